"""A worker as a process of its own, without a control plane."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zmq

from bmi_decoder.client import ALL_TOPICS, Subscriber
from bmi_decoder.config import SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.formats import write_npz
from bmi_decoder.recording import Output, Recording
from services.worker.flight.reader import FlightReader
from tests.system.conftest import Rig, Spawn
from tests.system.support import Program, Received
from tests.waiting import eventually


@dataclass
class Worker:
    program: Program
    flight: Path

    def reader(self) -> FlightReader:
        """Its flight recorder, once there is one."""

        def look() -> FlightReader | None:
            assert self.program.process.poll() is None, self.program.said
            return FlightReader.opened(self.flight)

        reader = eventually(look, lambda reader: reader is not None)
        assert reader is not None
        return reader

    def wait_state(self, *states: str) -> FlightReader:
        """Wait until it is in one of these states."""
        reader = self.reader()
        eventually(reader.status, lambda status: status.state in states)
        return reader

    def decoding(self, n_bins: int = 50) -> FlightReader:
        """Wait until it has decoded some bins."""
        reader = self.reader()
        eventually(reader.status, lambda status: status.bins_decoded >= n_bins)
        return reader


StartWorker = Callable[..., Worker]


@pytest.fixture
def settings(linear_bundle: Path, tmp_path: Path, stream_name: str) -> Callable[..., Path]:
    """Write a worker's settings."""

    def write(**changes: Any) -> Path:
        session = SessionSettings(name="m1", stream=StreamSettings(name=stream_name), decoder="x")
        values: dict[str, Any] = {
            "session": session,
            "bundle": str(linear_bundle),
            "flight": str(tmp_path / "flight"),
        }
        path = tmp_path / "settings.json"
        path.write_text(WorkerSettings(**values | changes).model_dump_json())
        return path

    return write


@pytest.fixture
def start_worker(spawn: Spawn, settings: Callable[..., Path], tmp_path: Path) -> StartWorker:
    def start(**changes: Any) -> Worker:
        return Worker(spawn(settings(**changes), module="services.worker"), tmp_path / "flight")

    return start


@pytest.fixture
def subscribe() -> Iterator[Callable[[FlightReader], Received]]:
    received: list[Received] = []

    def subscribe_(reader: FlightReader) -> Received:
        received.append(Received(Subscriber(reader.status().endpoint, topics=ALL_TOPICS)))
        return received[-1]

    yield subscribe_
    for one in received:
        one.subscriber.close()


@pytest.fixture
def looped(rig: Rig, tmp_path: Path) -> Callable[[], Program]:
    """Start a rig that never ends and fits the linear decoder."""
    outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    recording = tmp_path / "recording.npz"
    counts = np.random.default_rng(11).integers(0, 3, (500, 8))
    write_npz(Recording(counts, np.zeros((500, 2)), outputs, 0.004), recording)
    return lambda: rig(recording, "--loop")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("state", ["searching", "running"])
def test_a_signal_ends_it(
    number: signal.Signals, state: str, start_worker: StartWorker, looped: Callable[[], Program]
) -> None:
    worker = start_worker()
    if state == "running":
        looped()
        reader = worker.decoding()
    else:
        reader = worker.wait_state("searching")
    worker.program.process.send_signal(number)
    assert worker.program.wait(10) == 0
    assert reader.status().state == "stopped"
    assert worker.program.said == ""


def test_a_subscriber_that_never_reads_does_not_hold_up_its_end(
    start_worker: StartWorker, looped: Callable[[], Program]
) -> None:
    worker = start_worker()
    looped()
    reader = worker.decoding()
    asleep: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    asleep.setsockopt(zmq.RCVHWM, 1)
    asleep.setsockopt(zmq.LINGER, 0)
    asleep.subscribe(b"")
    asleep.connect(reader.status().endpoint)
    assert asleep.poll(10_000)
    n = reader.status().bins_decoded
    eventually(reader.status, lambda status: status.bins_decoded > n + 200)
    worker.program.process.terminate()
    assert worker.program.wait(10) == 0
    asleep.close()


def test_heartbeats_while_there_is_no_data(
    start_worker: StartWorker, subscribe: Callable[[FlightReader], Received]
) -> None:
    worker = start_worker(heartbeat_s=0.1, revision=7)
    received = subscribe(worker.wait_state("searching"))
    received.until(lambda: len(received.heartbeats) >= 3)
    assert {(beat.next_sequence, beat.revision) for beat in received.heartbeats} == {(0, 7)}
    assert received.estimates == []


def test_no_heartbeats_among_data(
    start_worker: StartWorker, looped: Callable[[], Program], subscribe: Callable[[FlightReader], Received]
) -> None:
    worker = start_worker(heartbeat_s=10.0)
    looped()
    received = subscribe(worker.decoding())
    received.until_estimates(500)
    assert received.heartbeats == []
    assert np.all(np.diff(received.sequences) == 1)


def test_killed_it_leaves_a_readable_flight_recorder(
    start_worker: StartWorker, looped: Callable[[], Program], subscribe: Callable[[FlightReader], Received]
) -> None:
    worker = start_worker()
    looped()
    received = subscribe(worker.decoding())
    received.until_estimates(200)
    worker.program.process.kill()
    assert worker.program.wait() == -9
    received.read()
    reader = FlightReader(worker.flight)
    status = reader.status()
    records = reader.records()
    assert (status.state, status.pid) == ("running", worker.program.process.pid)
    assert status.bins_decoded >= 200
    np.testing.assert_array_equal(records["sequence"], np.arange(len(records)))
    latency = reader.latency_us()
    assert latency is not None and 0 < latency["p50"] <= latency["p99"] <= latency["p999"]
    # The last estimate may have been sent and not yet recorded.
    recorded = [estimate for estimate in received.estimates if estimate.sequence < len(records)]
    assert len(recorded) >= len(received.estimates) - 1
    for estimate in recorded:
        n_values = estimate.outputs.size
        outputs = records[estimate.sequence]["outputs"]
        np.testing.assert_array_equal(outputs[:n_values], estimate.outputs.ravel())
        assert np.isnan(outputs[n_values:]).all()


def test_it_never_loads_torch(start_worker: StartWorker, looped: Callable[[], Program]) -> None:
    worker = start_worker()
    looped()
    worker.decoding()
    mapped = {entry.path for entry in psutil.Process(worker.program.process.pid).memory_maps()}
    assert any("liblsl" in path or "pylsl" in path for path in mapped), "else this test would see nothing"
    assert [path for path in mapped if "libtorch" in path or "/torch/" in path] == []


def test_settings_that_are_not_there(spawn: Spawn, tmp_path: Path) -> None:
    program = spawn(tmp_path / "nowhere.json", module="services.worker")
    assert program.wait() == 1
    assert program.said == f"cannot read {tmp_path}/nowhere.json: No such file or directory\n"


def test_settings_that_are_none(spawn: Spawn, settings: Callable[..., Path]) -> None:
    path = settings()
    path.write_text(path.read_text().replace('"revision"', '"revison"'))
    program = spawn(path, module="services.worker")
    assert program.wait() == 1
    assert "is not a worker's settings" in program.said
    assert len(program.said.splitlines()) == 1


def test_a_bundle_that_is_none(spawn: Spawn, settings: Callable[..., Path], tmp_path: Path) -> None:
    bundle = tmp_path / "broken.bmi"
    bundle.write_bytes(b"broken")
    program = spawn(settings(bundle=str(bundle)), module="services.worker")
    assert program.wait() == 1
    assert len(program.said.splitlines()) == 1
    status = FlightReader(tmp_path / "flight").status()
    assert status.state == "failed"
    assert "broken.bmi is not a complete zip file" in status.message
