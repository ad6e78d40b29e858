"""Workers under a control plane that runs in this process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient

from tests.control.conftest import OpenControl
from tests.control.support import flight_of, processes_of
from tests.waiting import eventually

pytestmark = pytest.mark.system


@pytest.fixture
def session(client: TestClient, decoder: str, stream_name: str) -> str:
    body = {"name": "m1", "stream": {"name": stream_name}, "decoder": decoder}
    assert client.post("/v1/sessions", json=body).status_code == 201
    return "/v1/sessions/m1"


def until(client: TestClient, path: str, **wanted: Any) -> dict[str, Any]:
    """Wait for a status that has these values."""
    status = eventually(
        lambda: client.get(path).json(), lambda status: all(status[name] == wanted[name] for name in wanted)
    )
    assert isinstance(status, dict)
    return status


def running(client: TestClient, path: str) -> dict[str, Any]:
    """Wait until bins arrive."""
    status = eventually(
        lambda: client.get(path).json(), lambda status: status["state"] == "running" and status["bins_decoded"] > 10
    )
    assert isinstance(status, dict)
    return status


def test_start_run_stop(client: TestClient, session: str, control_dir: Path) -> None:
    started = client.post(f"{session}/start")
    assert started.status_code == 200
    assert started.json()["state"] in ("searching", "running")
    status = running(client, session)
    assert status["endpoint"].startswith("tcp://127.0.0.1:")
    assert not status["endpoint"].endswith(":0")
    assert status["latency_us"]["p50"] > 0
    assert status["last_bin_age_s"] < 5
    assert (status["revision"], status["restarts"], status["bins_lost"]) == (1, 0, 0)
    assert client.get("/readyz").json() == {"status": "ready", "sessions": ["m1"]}

    stopped = client.post(f"{session}/stop").json()
    assert (stopped["state"], stopped["wanted"], stopped["pid"], stopped["exit_code"]) == ("stopped", False, None, 0)
    assert stopped["bins_decoded"] >= status["bins_decoded"]
    assert processes_of(control_dir) == []
    assert client.get(session).json() == stopped
    assert client.post(f"{session}/stop").json() == stopped
    assert client.get("/readyz").json()["sessions"] == []


def test_starting_twice_leaves_the_worker_alone(client: TestClient, session: str, control_dir: Path) -> None:
    pid = client.post(f"{session}/start").json()["pid"]
    again = client.post(f"{session}/start")
    assert again.status_code == 200
    assert again.json()["pid"] == pid
    assert [process.pid for process in processes_of(control_dir)] == [pid]


def test_a_running_session_is_not_changed_or_deleted(client: TestClient, session: str) -> None:
    pid = client.post(f"{session}/start").json()["pid"]
    for answer in (client.patch(session, json={"gap_policy": "zero"}), client.delete(session)):
        assert answer.status_code == 409
        assert "stop it first" in answer.json()["detail"]
        assert answer.json()["allowed"] == ["stopped", "failed"]
    assert client.get(session).json()["pid"] == pid


def test_a_worker_that_dies_is_started_again(client: TestClient, session: str, control_dir: Path) -> None:
    client.post(f"{session}/start")
    first = running(client, session)
    os.kill(first["pid"], signal.SIGKILL)
    second = until(client, session, restarts=1, state="running")
    assert second["pid"] != first["pid"]
    assert (control_dir / "sessions" / "m1" / "crash.flight").stat().st_size > 0
    assert [process.pid for process in processes_of(control_dir)] == [second["pid"]]
    assert not psutil.pid_exists(first["pid"])


def test_the_cause_of_death_is_shown(client: TestClient, session: str) -> None:
    client.post(f"{session}/start")
    os.kill(running(client, session)["pid"], signal.SIGKILL)
    status = until(client, session, state="starting", pid=None)
    assert "signal 9" in status["message"]
    assert status["wanted"]
    assert client.get("/readyz").status_code == 503


def test_a_worker_that_fails_waits_for_the_user(client: TestClient, decoder: str, control_dir: Path) -> None:
    stream = {"name": "missing-stream", "search_timeout_s": 0.5}
    client.post("/v1/sessions", json={"name": "m1", "stream": stream, "decoder": decoder})
    client.post("/v1/sessions/m1/start")
    status = until(client, "/v1/sessions/m1", state="failed")
    assert "missing-stream" in status["message"]
    assert (status["restarts"], status["exit_code"], status["pid"]) == (0, 1, None)
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "missing-stream" in ready.json()["sessions"]["m1"]
    assert processes_of(control_dir) == []

    assert client.patch("/v1/sessions/m1", json={"stream": stream | {"search_timeout_s": 60}}).status_code == 200
    again = client.post("/v1/sessions/m1/start").json()
    assert (again["state"], again["restarts"]) == ("searching", 0)
    assert client.post("/v1/sessions/m1/stop").json()["state"] == "stopped"
    assert client.get("/readyz").status_code == 200


def test_stopping_a_failed_session(client: TestClient, decoder: str) -> None:
    stream = {"name": "missing-stream", "search_timeout_s": 0.5}
    client.post("/v1/sessions", json={"name": "m1", "stream": stream, "decoder": decoder})
    client.post("/v1/sessions/m1/start")
    until(client, "/v1/sessions/m1", state="failed")
    stopped = client.post("/v1/sessions/m1/stop").json()
    assert stopped["state"] == "stopped"
    assert "missing-stream" in stopped["message"]
    assert client.delete("/v1/sessions/m1").status_code == 204


def test_a_session_can_be_stopped_while_it_waits_to_start_again(
    client: TestClient, session: str, control_dir: Path
) -> None:
    client.post(f"{session}/start")
    os.kill(running(client, session)["pid"], signal.SIGKILL)
    until(client, session, state="starting", pid=None)
    assert client.post(f"{session}/stop").json()["state"] == "stopped"
    assert client.delete(session).status_code == 204
    assert processes_of(control_dir) == []
    assert not (control_dir / "sessions" / "m1").exists()


def test_what_should_run_runs_after_a_restart(
    open_control: OpenControl, bundle: Path, stream_name: str, control_dir: Path
) -> None:
    with open_control() as client:
        decoder = client.post("/v1/decoders", files={"file": bundle.read_bytes()}).json()["id"]
        for name in ("m1", "m2"):
            stream = {"name": stream_name}
            client.post("/v1/sessions", json={"name": name, "stream": stream, "decoder": decoder})
            client.post(f"/v1/sessions/{name}/start")
        running(client, "/v1/sessions/m1")
        client.post("/v1/sessions/m2/stop")
        assert flight_of(control_dir, "m1").exists()
        assert not flight_of(control_dir, "m2").exists()
    assert processes_of(control_dir) == []
    assert not flight_of(control_dir, "m1").parent.exists()
    with open_control() as client:
        assert running(client, "/v1/sessions/m1")["restarts"] == 0
        assert client.get("/v1/sessions/m2").json()["state"] == "stopped"
        assert len(processes_of(control_dir)) == 1


def test_a_failed_session_stays_failed_after_a_restart(open_control: OpenControl, bundle: Path) -> None:
    with open_control() as client:
        decoder = client.post("/v1/decoders", files={"file": bundle.read_bytes()}).json()["id"]
        stream = {"name": "missing-stream", "search_timeout_s": 0.2}
        client.post("/v1/sessions", json={"name": "m1", "stream": stream, "decoder": decoder})
        client.post("/v1/sessions/m1/start")
        failed = until(client, "/v1/sessions/m1", state="failed")
    with open_control() as client:
        assert client.get("/v1/sessions/m1").json() == failed
