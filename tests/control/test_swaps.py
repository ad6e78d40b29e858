"""Swaps on running sessions, as REST shows them; tests/system looks at every message."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.control.sessions.worker_link import ask_state
from services.control.storage.places import DataDirectory
from tests.control.support import write_linear_bundle
from tests.control.test_serve import Serve, run_session
from tests.control.test_serve import serve as serve
from tests.control.test_supervision import running, until
from tests.control.test_supervision import session as session
from tests.waiting import eventually

pytestmark = pytest.mark.system

SLOW: dict[str, Any] = {"output_filters": {"low_latency": {"cutoff_hz": 6, "width": 1000}}}
"""Four seconds to warm up: a swap that a test can find under way."""

NO_FILTERS: dict[str, Any] = {"output_filters": {}}


def upload(client: TestClient, bundle: Path) -> str:
    answer = client.post("/v1/decoders", files={"file": bundle.read_bytes()})
    decoder = answer.json()["id"]
    assert isinstance(decoder, str)
    return decoder


def history(client: TestClient, session: str) -> list[tuple[int, int | None, str]]:
    return [(row["revision"], row["parent"], row["state"]) for row in client.get(f"{session}/revisions").json()]


@pytest.fixture
def other(client: TestClient, other_bundle: Path) -> str:
    return upload(client, other_bundle)


@pytest.fixture
def live(client: TestClient, session: str) -> int:
    """Process id of the session's worker, which has decoded some bins."""
    client.post(f"{session}/start")
    pid = running(client, session)["pid"]
    assert isinstance(pid, int)
    return pid


def test_decoder_and_filters_are_swapped_and_undone(
    client: TestClient, session: str, live: int, decoder: str, other: str
) -> None:
    swapped = client.patch(session, json={"decoder": other})
    assert swapped.status_code == 200, swapped.text
    status = swapped.json()
    assert (status["revision"], status["decoder"], status["variants"]) == (2, other, ["raw", "low_latency"])
    raw = client.patch(session, json=NO_FILTERS).json()
    assert (raw["revision"], raw["decoder"], raw["variants"], raw["pid"]) == (3, other, ["raw"], live)
    assert client.patch(session, json={"decoder": other} | NO_FILTERS).json()["revision"] == 3
    assert client.patch(session, json={}).json()["revision"] == 3

    undone = client.post(f"{session}/rollback").json()
    assert (undone["revision"], undone["variants"]) == (2, ["raw", "low_latency"])
    again = client.post(f"{session}/rollback").json()
    assert (again["revision"], again["decoder"]) == (1, decoder)
    nothing = client.post(f"{session}/rollback")
    assert nothing.status_code == 409
    assert "none before it" in nothing.json()["detail"]
    assert client.patch(session, json={"decoder": other}).json()["revision"] == 4
    assert history(client, session) == [(1, None, "used"), (2, 1, "rolled_back"), (3, 2, "rolled_back"), (4, 1, "used")]
    status = running(client, session)
    assert (status["pid"], status["restarts"], status["bins_lost"], status["bins_invalid"]) == (live, 0, 0, 0)


def test_channels_are_masked_while_it_runs(client: TestClient, session: str, live: int, other: str) -> None:
    assert client.get(session).json()["channels"]["masked"] == []
    masked = client.patch(session, json={"masked_channels": [7, 3]})
    assert masked.status_code == 200, masked.text
    status = masked.json()
    assert (status["revision"], status["pid"], status["settings"]["masked_channels"]) == (2, live, [3, 7])
    assert status["channels"]["masked"] == [3, 7]
    shown = client.get("/metrics").text
    assert 'bmi_channels{session="m1",state="masked"} 2.0' in shown
    # What is not named stays: another decoder is masked as well.
    assert client.patch(session, json={"decoder": other}).json()["settings"]["masked_channels"] == [3, 7]
    none = client.patch(session, json={"masked_channels": []}).json()
    assert (none["revision"], none["channels"]["masked"]) == (4, [])
    back = client.post(f"{session}/rollback").json()
    assert (back["revision"], back["settings"]["masked_channels"], back["channels"]["masked"]) == (3, [3, 7], [3, 7])
    os.kill(live, signal.SIGKILL)
    again = until(client, session, restarts=1, state="running")
    assert (again["revision"], again["channels"]["masked"]) == (3, [3, 7])


def test_what_cannot_be_swapped(client: TestClient, session: str, live: int, other: str, tmp_path: Path) -> None:
    fixed = client.patch(session, json={"gap_policy": "zero", "decoder": other})
    assert fixed.status_code == 409
    assert fixed.json()["fields"] == ["gap_policy"]
    unknown = client.patch(session, json={"decoder": "nope"})
    assert unknown.status_code == 422
    wider = upload(client, write_linear_bundle(tmp_path / "wider.bmi", n_channels=9))
    unfit = client.patch(session, json={"decoder": wider})
    assert unfit.status_code == 422
    assert unfit.json()["errors"][0]["field"] == "decoder"
    assert "keeps revision 1: it was trained on 9 channels, the running stream has 8" in unfit.json()["detail"]
    slow = client.patch(session, json={"output_filters": {"low_latency": {"cutoff_hz": 500}}})
    assert slow.json()["errors"][0]["field"] == "output_filters.low_latency.cutoff_hz"
    status = client.get(session).json()
    assert (status["revision"], status["pid"], status["settings"]["decoder"]) == (1, live, status["decoder"])
    assert history(client, session) == [(1, None, "used"), (2, 1, "failed")]
    assert client.delete(f"/v1/decoders/{wider}").status_code == 204


def test_nothing_to_warm_up_with(client: TestClient, decoder: str) -> None:
    stream = {"name": "missing-stream", "search_timeout_s": 60}
    client.post("/v1/sessions", json={"name": "m1", "stream": stream, "decoder": decoder})
    client.post("/v1/sessions/m1/start")
    until(client, "/v1/sessions/m1", state="searching")
    answer = client.patch("/v1/sessions/m1", json=NO_FILTERS)
    assert answer.status_code == 504
    assert "no bin has come" in answer.json()["detail"]
    assert client.get("/v1/sessions/m1").json()["revision"] == 1
    assert history(client, "/v1/sessions/m1")[1] == (2, 1, "failed")


def test_two_at_once(client: TestClient, session: str, live: int, other: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.patch, session, json={"decoder": other} | SLOW)
        eventually(lambda: client.get(session).json()["swapping_to"], lambda revision: revision == 2)
        second = client.patch(session, json=NO_FILTERS)
        assert (second.status_code, second.json()["swapping_to"]) == (409, 2)
        assert client.delete(f"/v1/decoders/{other}").json()["used_by"] == ["m1"]
        assert first.result(60).status_code == 200
    assert client.get(session).json()["swapping_to"] is None


def test_the_decoder_that_was_left_is_kept_for_a_rollback(
    client: TestClient, session: str, live: int, decoder: str, other: str
) -> None:
    client.patch(session, json={"decoder": other})
    assert client.delete(f"/v1/decoders/{decoder}").status_code == 409
    client.post(f"{session}/stop")
    assert client.delete(f"/v1/decoders/{decoder}").status_code == 204
    gone = client.post(f"{session}/rollback")
    assert gone.status_code == 409
    assert "has been deleted" in gone.json()["detail"]


def test_rollback_of_a_session_that_does_not_run(client: TestClient, session: str, decoder: str, other: str) -> None:
    assert client.patch(session, json={"decoder": other}).json()["revision"] == 2
    undone = client.post(f"{session}/rollback").json()
    assert (undone["revision"], undone["decoder"], undone["state"]) == (1, decoder, "stopped")
    assert client.patch(session, json={"decoder": other}).json()["revision"] == 3
    assert history(client, session) == [(1, None, "used"), (2, 1, "rolled_back"), (3, 1, "used")]


def test_a_worker_that_dies_in_mid_swap(client: TestClient, session: str, live: int, other: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.patch, session, json={"decoder": other} | SLOW)
        eventually(lambda: client.get(session).json()["swapping_to"], lambda revision: revision == 2)
        os.kill(live, signal.SIGKILL)
        answer = asked.result(60)
    assert answer.status_code == 503
    assert "keeps revision 1" in answer.json()["detail"]
    assert until(client, session, restarts=1, state="running")["revision"] == 1
    assert history(client, session) == [(1, None, "used"), (2, 1, "failed")]


def test_a_swap_that_was_acknowledged_outlives_its_worker(
    client: TestClient, session: str, live: int, other: str
) -> None:
    assert client.patch(session, json={"decoder": other}).status_code == 200
    os.kill(live, signal.SIGKILL)
    status = until(client, session, restarts=1, state="running")
    assert (status["revision"], status["decoder"]) == (2, other)
    assert client.post(f"{session}/rollback").json()["revision"] == 1


def test_a_swap_outlives_the_control_plane_that_asked_for_it(
    serve: Serve, bundle: Path, other_bundle: Path, stream_name: str, control_dir: Path
) -> None:
    server = serve()
    before = run_session(server, bundle, stream_name)
    other = server.client.upload_decoder(other_bundle).id
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.client.change_session, "m1", decoder=other, **SLOW)
        # The worker has been asked: the control plane notes a swap before it asks.
        commands = DataDirectory.create(control_dir).session("m1").commands
        eventually(lambda: asyncio.run(ask_state(commands)).swapping_to, lambda revision: revision == 2)
        server.end(signal.SIGKILL)
        assert asked.exception(60) is not None

    client = serve().client
    after = eventually(lambda: client.session("m1"), lambda status: status.revision == 2)
    assert (after.pid, after.decoder, after.restarts) == (before.pid, other, 0)
    assert [row.state for row in client.revisions("m1")] == ["used", "used"]
    back = client.roll_back_session("m1")
    assert (back.revision, back.pid) == (1, before.pid)


def test_commands_are_for_this_user_alone(client: TestClient, session: str, live: int, control_dir: Path) -> None:
    """And a worker leaves nothing behind."""
    path = DataDirectory.create(control_dir).session("m1").commands
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    client.post(f"{session}/stop")
    assert not path.exists()
