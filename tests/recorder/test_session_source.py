"""A recorder beside a worker that publishes, and answers as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from services.worker.command import Command, SnapshotAnswer
from services.worker.flight.layout import WorkerState
from services.worker.flight.writer import FlightWriter
from services.worker.publisher import Publisher
from tests.control.support import write_linear_bundle
from tests.waiting import eventually


@contextmanager
def recorded(folder: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Path, Command], bytes]) -> Iterator[Intake]:
    """What a recorder takes of a worker that was started with ``d.bmi``, and answers its commands with `ask`."""
    settings = WorkerSettings(
        session=SessionSettings(name="m1", stream=StreamSettings(name="M1"), decoder="d"),
        bundle=str(folder / "d.bmi"),
        flight=str(folder / "flight"),
        commands=str(folder / "commands"),
    )
    worker = folder / "worker.json"
    worker.write_text(settings.model_dump_json())
    publisher = Publisher("tcp://127.0.0.1:0")
    flight = FlightWriter(folder / "flight", 0.004, 2, 1)
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

    monkeypatch.setattr(snapshots_module, "ask", ask)
    intake = Intake(1 << 20)
    log = EventTrack(intake, "recorder")
    snapshots = Snapshots("m1", intake, 10.0, log)
    source = SessionSource(worker, "m1", intake, snapshots, log)
    threads = [threading.Thread(target=publish), snapshots, source]
    for thread in threads:
        thread.start()
    try:
        yield intake
    finally:
        source.stop = True
        snapshots.end()
        ended.set()
        for thread in threads:
            thread.join(20)
        publisher.close()


def test_estimates_do_not_wait_for_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_linear_bundle(tmp_path / "d.bmi")
    asked, answered = threading.Event(), threading.Event()

    def ask(path: Path, command: Command) -> bytes:
        asked.set()
        assert answered.wait(20)
        raise BmiError("the worker is busy")

    written = 0
    with recorded(tmp_path, monkeypatch, ask) as intake:

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
            answered.set()


def test_outputs_have_the_names_of_the_decoder_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind swaps, that which the worker was started with may be deleted."""
    answer = SnapshotAnswer(outcome="taken", revision=3, bundle=str(write_linear_bundle(tmp_path / "in_use.bmi")))
    with recorded(tmp_path, monkeypatch, lambda path, command: answer.model_dump_json().encode()) as intake:
        eventually(
            lambda: [chunk.track.header for chunk in intake.take(0.05)[0] if chunk.track.name == "m1-raw"],
            lambda headers: any(b"x_velocity" in header for header in headers),
        )
