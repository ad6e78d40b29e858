"""The `serve` command as a process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bmi_decoder.client import ControlClient, ControlError
from bmi_decoder.rest_models import SessionStatus
from tests.control.support import flight_of, processes_of
from tests.waiting import eventually

pytestmark = pytest.mark.system

_ROOT = Path(__file__).parents[2]
Serve = Callable[..., "Server"]


class Server:
    """A running `serve`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.line = process.stdout.readline()
        found = re.fullmatch(r"bmi-decoder serving on (http://127\.0\.0\.1:\d+)  \(docs: \1/docs\)\n", self.line)
        assert found, f"{self.line!r}"
        self.url = found[1]
        self.client = ControlClient(self.url)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bmi_decoder.cli", "serve", *arguments]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def serve(control_dir: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def serve_(*options: str) -> Server:
        servers.append(Server(start("--port", "0", "--data-dir", str(control_dir), *options)))
        return servers[-1]

    yield serve_
    for server in servers:
        server.client.close()
        server.process.kill()
        server.process.communicate()


def run_session(server: Server, bundle: Path, stream_name: str) -> SessionStatus:
    """Upload a decoder, start a session with it and wait for bins."""
    decoder = server.client.upload_decoder(bundle)
    server.client.create_session("m1", stream_name, decoder.id)
    server.client.start_session("m1")
    return running(server)


def running(server: Server) -> SessionStatus:
    status = eventually(
        lambda: server.client.session("m1"), lambda status: status.state == "running" and status.bins_decoded > 10
    )
    assert isinstance(status, SessionStatus)
    return status


def refused(*arguments: str) -> tuple[int, str]:
    """Exit status and standard error of a `serve` that cannot start."""
    process = start(*arguments)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


def test_a_worker_outlives_its_control_plane(serve: Serve, bundle: Path, stream_name: str, control_dir: Path) -> None:
    server = serve()
    before = run_session(server, bundle, stream_name)
    server.end(signal.SIGKILL)
    assert [process.pid for process in processes_of(control_dir)] == [before.pid]

    server = serve()
    after = running(server)
    assert (after.pid, after.restarts, after.endpoint) == (before.pid, 0, before.endpoint)
    assert after.bins_decoded > before.bins_decoded
    stopped = server.client.stop_session("m1")
    assert stopped.state == "stopped"
    assert stopped.bins_decoded >= after.bins_decoded
    server.client.delete_session("m1")
    assert server.end(signal.SIGTERM) == 0
    assert processes_of(control_dir) == []


def test_a_worker_whose_note_is_lost_is_found(serve: Serve, bundle: Path, stream_name: str, control_dir: Path) -> None:
    server = serve()
    before = run_session(server, bundle, stream_name)
    server.end(signal.SIGKILL)
    (control_dir / "sessions" / "m1" / "worker.pid").unlink()
    assert running(serve()).pid == before.pid


def test_a_recycled_process_number_is_left_alone(
    serve: Serve, bundle: Path, stream_name: str, control_dir: Path
) -> None:
    server = serve()
    before = run_session(server, bundle, stream_name)
    server.end(signal.SIGKILL)
    assert before.pid is not None
    psutil.Process(before.pid).kill()
    eventually(lambda: processes_of(control_dir), lambda found: not found)
    stranger = psutil.Process()
    note = {"pid": stranger.pid, "create_time": stranger.create_time()}
    (control_dir / "sessions" / "m1" / "worker.pid").write_text(json.dumps(note))

    server = serve()
    after = running(server)
    assert after.pid not in (before.pid, stranger.pid)
    server.client.stop_session("m1")
    assert stranger.is_running()


def test_what_died_while_no_control_plane_ran_is_started_again(
    serve: Serve, bundle: Path, stream_name: str, control_dir: Path
) -> None:
    server = serve()
    before = run_session(server, bundle, stream_name)
    server.end(signal.SIGKILL)
    assert before.pid is not None
    psutil.Process(before.pid).kill()
    assert running(serve()).pid != before.pid
    assert (control_dir / "sessions" / "m1" / "crash.flight").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(
    serve: Serve, bundle: Path, stream_name: str, control_dir: Path, number: signal.Signals
) -> None:
    server = serve()
    run_session(server, bundle, stream_name)
    flight = flight_of(control_dir, "m1")
    assert flight.exists()
    assert server.end(number) == 0
    assert processes_of(control_dir) == []
    assert not flight.parent.exists()
    assert running(serve()).wanted


def test_taken_port(serve: Serve, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, errors = refused("--port", port, "--data-dir", str(tmp_path / "other"))
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in errors
    assert len(errors.strip().splitlines()) == 1
    assert processes_of(tmp_path) == []


def test_two_servers_on_one_data_directory(serve: Serve, control_dir: Path) -> None:
    first = serve()
    status, errors = refused("--port", "0", "--data-dir", str(control_dir))
    assert status == 1
    assert f"in use by another bmi-decoder serve (process {first.process.pid})" in errors
    assert len(errors.strip().splitlines()) == 1
    assert first.client.healthy()


@pytest.mark.parametrize("token", [None, "short"])
def test_other_machines_need_a_token(control_dir: Path, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token:
        monkeypatch.setenv("BMI_TOKEN", token)
    status, errors = refused("--host", "0.0.0.0", "--port", "0", "--data-dir", str(control_dir))
    assert status == 2
    assert "BMI_TOKEN" in errors
    assert len(errors.strip().splitlines()) == 1


def test_no_child_is_handed_the_token(
    serve: Serve, bundle: Path, stream_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "t" * 32
    monkeypatch.setenv("BMI_TOKEN", token)
    server = serve()
    server.client = ControlClient(server.url, token)
    status = run_session(server, bundle, stream_name)
    assert token not in psutil.Process(status.pid).environ().values()


def test_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    status, errors = refused("--port", "0", "--data-dir", str(tmp_path / "file"))
    assert status == 1
    assert "cannot use data directory" in errors


def test_damaged_database(control_dir: Path) -> None:
    control_dir.mkdir()
    (control_dir / "control.sqlite").write_bytes(b"not a database" * 1000)
    status, errors = refused("--port", "0", "--data-dir", str(control_dir))
    assert status == 1
    assert "control.sqlite" in errors
    assert len(errors.strip().splitlines()) == 1


def test_client_speaks_every_route(serve: Serve, bundle: Path, stream_name: str, tmp_path: Path) -> None:
    client = serve().client
    assert client.healthy()
    assert client.ready()
    decoder = client.upload_decoder(bundle)
    assert client.decoders() == [decoder]
    assert client.decoder(decoder.id).manifest["decoder"] == "linear"
    client.download_decoder(decoder.id, tmp_path / "copy.bmi")
    assert (tmp_path / "copy.bmi").read_bytes() == bundle.read_bytes()
    created = client.create_session("m1", {"name": stream_name}, decoder.id, gap_policy="zero")
    assert created.settings.gap_policy == "zero"
    assert client.change_session("m1", gap_policy="hold").settings.gap_policy == "hold"
    assert client.start_session("m1").state in ("searching", "running")
    with pytest.raises(ControlError, match="stop it first") as caught:
        client.delete_session("m1")
    assert caught.value.status == 409
    assert client.stop_session("m1").state == "stopped"
    assert [session.name for session in client.sessions()] == ["m1"]
    client.delete_session("m1")
    client.delete_decoder(decoder.id)
    assert client.sessions() == []
    eventually(lambda: [stream.name for stream in client.streams(0.5)], lambda names: stream_name in names)


def test_oversize_upload_over_a_socket(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    large = tmp_path / "large.bmi"
    with large.open("wb") as file:
        os.ftruncate(file.fileno(), 300 * 2**20)
    with pytest.raises(ControlError) as caught:
        server.client.upload_decoder(large)
    assert caught.value.status == 413


BEGUN = (
    b"POST /v1/decoders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b'Content-Length: 1000\r\n\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nPK'
)
"""The first bytes of an upload."""


@pytest.mark.parametrize("drips", [False, True])
def test_an_upload_that_stalls_is_given_up(serve: Serve, control_dir: Path, drips: bool) -> None:
    server = serve("--upload-stall", "0.5")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(BEGUN)
        while drips and not select.select([connection], [], [], 0.05)[0]:
            connection.sendall(b"K")
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # where a last drip met a connection that was closed
            while piece := connection.recv(1 << 16):
                answer += piece
    assert answer.startswith(b"HTTP/1.1 408") and b"KiB of the upload came in 0.5 s" in answer
    assert not list((control_dir / "uploads").iterdir())


def test_slow_uploads_hold_nobody_up(serve: Serve, bundle: Path, control_dir: Path) -> None:
    """Many that send a little and then nothing; who gives up leaves nothing behind."""
    server, uploads = serve(), control_dir / "uploads"
    host, port = server.url.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(40)]
    for connection in slow:
        connection.sendall(BEGUN)
    eventually(lambda: len(list(uploads.iterdir())), lambda n: n == len(slow))
    assert server.client.upload_decoder(bundle).decoder == "linear"
    for connection in slow:
        connection.close()
    eventually(lambda: list(uploads.iterdir()), lambda left: left == [])


def test_many_requests_at_once_make_one_worker(serve: Serve, bundle: Path, stream_name: str, control_dir: Path) -> None:
    server = serve()
    decoder = server.client.upload_decoder(bundle)
    server.client.create_session("m1", stream_name, decoder.id)
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(server.client.start_session, ["m1"] * 8))
        assert len({status.pid for status in started}) == 1
        assert [process.pid for process in processes_of(control_dir) if process.pid != server.process.pid] == [
            started[0].pid
        ]
        list(pool.map(lambda act: act("m1"), [server.client.start_session, server.client.stop_session] * 4))
    server.client.stop_session("m1")
    assert [process.pid for process in processes_of(control_dir)] == [server.process.pid]
