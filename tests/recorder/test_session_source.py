"""A recorder beside a worker that publishes, and does not come to answer."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder import wire
from bmi_decoder.config import SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.wire import Variant
from services.recorder import snapshots as snapshots_module
from services.recorder.intake import Intake
from services.recorder.log import EventTrack
from services.recorder.session_source import SessionSource
from services.recorder.snapshots import Snapshots
from services.worker.command import Command
from services.worker.flight.layout import WorkerState
from services.worker.flight.writer import FlightWriter
from services.worker.publisher import Publisher
from tests.control.support import eventually, write_linear_bundle


def test_estimates_do_not_wait_for_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WorkerSettings(
        session=SessionSettings(name="m1", stream=StreamSettings(name="M1"), decoder="d"),
        bundle=str(write_linear_bundle(tmp_path / "d.bmi")),
        flight=str(tmp_path / "flight"),
        commands=str(tmp_path / "commands"),
    )
    worker = tmp_path / "worker.json"
    worker.write_text(settings.model_dump_json())
    publisher = Publisher("tcp://127.0.0.1:0")
    flight = FlightWriter(tmp_path / "flight", 0.004, 2, 1)
    flight.set_endpoint(publisher.endpoint)
    flight.set_state(WorkerState.running, 1)
    pack = wire.EstimatePacker((Variant.raw,), 2)
    ended = threading.Event()

    def publish() -> None:
        sequence = 0
        while not ended.wait(0.004):
            pack.outputs[:] = np.float32(sequence)
            publisher.send(pack.pack(sequence, sequence, 0.0, 0.0, 0, 1, [0.0]))
            sequence += 1

    asked, answered = threading.Event(), threading.Event()

    def ask(path: Path, command: Command) -> bytes:
        asked.set()
        assert answered.wait(20)
        raise BmiError("the worker is busy")

    monkeypatch.setattr(snapshots_module, "ask", ask)
    intake = Intake(1 << 20)
    log = EventTrack(intake, "recorder")
    snapshots = Snapshots("m1", intake, 10.0, log)
    source = SessionSource(worker, "m1", intake, snapshots, log)
    threads = [threading.Thread(target=publish), snapshots, source]
    for thread in threads:
        thread.start()
    written = 0

    def estimates() -> int:
        nonlocal written
        chunks, _ = intake.take(0.05)
        written += sum(chunk.n_samples for chunk in chunks if chunk.track.name == "m1-estimates")
        return written

    try:
        assert asked.wait(20)
        eventually(estimates, lambda n: n > 100)
        assert not answered.is_set()
    finally:
        source.stop = True
        snapshots.end()
        answered.set()
        ended.set()
        for thread in threads:
            thread.join(20)
        publisher.close()
