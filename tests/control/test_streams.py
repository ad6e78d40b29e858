from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from services.ingest import lsl

_MANY = 50


def test_nobody_waits_for_those_who_listen(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are threads for other requests."""
    listening, heard = threading.Semaphore(0), threading.Event()

    def listen(_wait_s: float) -> list[lsl.VisibleStream]:
        listening.release()
        assert heard.wait(60)
        return []

    monkeypatch.setattr(lsl, "visible_streams", listen)
    with ThreadPoolExecutor(_MANY + 1) as pool:
        try:
            asked = [pool.submit(client.get, "/v1/streams") for _ in range(_MANY)]
            assert all(listening.acquire(timeout=20) for _ in range(16))
            for _ in range(20):
                other = pool.submit(client.post, "/v1/decoders", files={"file": ("a.bmi", b"no bundle")})
                assert other.result(20).status_code == 422
        finally:
            heard.set()
        assert [future.result(20).status_code for future in asked] == [200] * _MANY
