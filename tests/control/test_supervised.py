from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.control.sessions import supervised
from services.control.sessions.supervised import Supervised
from services.control.storage.places import SessionFiles
from services.worker.flight.reader import FlightReader
from services.worker.flight.writer import FlightWriter


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Supervised]:
    """A session whose worker has recorded ten bins, each a millisecond late."""
    writer = FlightWriter(tmp_path / "flight", 0.004, 2, revision=1)
    for k in range(10):
        writer.record(k, k, k, k, k, k + 0.001, k, 0, 1, (0.0, 0.0))
    session = Supervised(SessionFiles(tmp_path / "m1", tmp_path / "flight", tmp_path / "commands"))
    yield session
    session.close_report()
    writer.close()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads in which percentiles were computed."""
    threads: list[str] = []
    compute = FlightReader.latency_us

    def noted(reader: FlightReader) -> dict[str, float] | None:
        threads.append(threading.current_thread().name)
        return compute(reader)

    monkeypatch.setattr(FlightReader, "latency_us", noted)
    return threads


def test_percentiles_are_computed_once_for_many_and_not_in_the_event_loop(
    session: Supervised, computed: list[str]
) -> None:
    async def ask() -> list[dict[str, float] | None]:
        return [await session.recent_latency_us() for _ in range(20)]

    answers = asyncio.run(ask())
    assert len(computed) == 1
    assert computed[0] != threading.main_thread().name
    assert answers == [session.latency_us()] * 20
    assert answers[0] is not None and answers[0]["p50"] == pytest.approx(1000)


def test_percentiles_are_those_of_now_when_they_have_grown_old(
    session: Supervised, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "_LATENCY_KEPT_S", -1.0)

    async def ask() -> None:
        await session.recent_latency_us()
        await session.recent_latency_us()

    asyncio.run(ask())
    assert len(computed) == 2


def test_percentiles_go_with_the_worker_that_they_are_of(session: Supervised, computed: list[str]) -> None:
    async def ask() -> None:
        await session.recent_latency_us()
        session.close_report()
        await session.recent_latency_us()

    asyncio.run(ask())
    assert len(computed) == 2
