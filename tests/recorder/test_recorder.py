"""A recorder without sources: what is put into its queue, and what stands in its file."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
import pytest
import pyxdf

from bmi_decoder.clock import lsl_clock
from bmi_decoder.config import StreamSettings
from bmi_decoder.formats.xdf_chunks import cut_to_whole_chunks
from bmi_decoder.formats.xdf_encode import clock_offset, describe_stream, samples
from bmi_decoder.formats.xdf_streams import load_xdf
from bmi_decoder.recorder_models import RecorderStatus
from services.recorder import recorder as recorder_module
from services.recorder.file import RecordingFile
from services.recorder.intake import Chunk, Intake, Track
from services.recorder.lsl_source import LslSource
from services.recorder.naming import FileName
from services.recorder.recorder import Recorder
from services.recorder.ring import Ring
from services.recorder.settings import RecorderSettings
from tests.waiting import eventually

N_CHANNELS = 4


class Running:
    """A recorder that runs in a thread, and one track to put samples on."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.told: list[str] = []
        wanted = RecorderSettings(folder=str(folder), file=FileName(template="%r.xdf"), **settings)
        self.recorder = Recorder(wanted, self.told.append)
        header = describe_stream("M1", "spikes", "float32", [(f"ch{k}", "spikes") for k in range(N_CHANNELS)], "x")
        self.track = self.recorder.intake.track("M1", "spikes", header)
        self.thread = threading.Thread(target=self.recorder.run)
        self.thread.start()

    def put(self, first: int, n: int = 10, at: float | None = None) -> None:
        """Samples that hold their number, stamped one a second."""
        stamps = np.arange(first, first + n, dtype=np.float64)
        content = samples(self.track.number, "float32", stamps, np.repeat(stamps[:, None], N_CHANNELS, axis=1))
        at = lsl_clock() if at is None else at
        self.recorder.intake.put(Chunk(self.track, content, at, n, stamps[0], stamps[-1]))

    def tell(self, command: str) -> RecorderStatus:
        answer = self.recorder.answer(json.dumps({"command": command}).encode())
        assert isinstance(answer, RecorderStatus)
        return answer

    def samples(self) -> int:
        """Of the track, as the status has them."""
        found = [stream.samples for stream in self.tell("status").streams if stream.name == "M1"]
        return found[0] if found else 0

    def end(self) -> None:
        self.recorder.stop = True
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    live: list[Running] = []

    def start_(**settings: Any) -> Running:
        live.append(Running(tmp_path, **settings))
        return live[-1]

    yield start_
    for one in live:
        one.end()


def numbers(path: Path) -> list[int]:
    """The samples of M1, in the order of the file."""
    values = [stream.values for stream in load_xdf(path).streams if stream.name == "M1"]
    return [int(row[0]) for row in values[0]] if values else []


def events(path: Path) -> list[dict[str, Any]]:
    """The recorder's own."""
    (log,) = [stream for stream in load_xdf(path).streams if stream.name == "recorder"]
    return [json.loads(row[0]) for row in log.values]


def test_pyxdf_reads_it_without_a_word(start: Callable[..., Running], tmp_path: Path, caplog: Any) -> None:
    running = start()
    for first in range(0, 100, 10):
        running.put(first)
    now = lsl_clock()
    running.recorder.intake.put(
        Chunk(running.track, clock_offset(running.track.number, 0.0, 0.5), now, offset=(0.0, 0.5))
    )
    eventually(running.samples, lambda n: n == 100)
    running.end()
    logging.getLogger("pyxdf.pyxdf").handlers.clear()
    with caplog.at_level(logging.WARNING):
        streams, header = pyxdf.load_xdf(tmp_path / "001.xdf", dejitter_timestamps=False)
    assert caplog.records == []
    assert header["info"]["version"] == ["1.0"]
    (found,) = [stream for stream in streams if stream["info"]["name"] == ["M1"]]
    np.testing.assert_array_equal(found["time_stamps"], np.arange(100) + 0.5)
    footer = found["footer"]["info"]
    assert [footer[key] for key in ("sample_count", "first_timestamp", "last_timestamp")] == [
        ["100"],
        ["0.0"],
        ["99.0"],
    ]
    assert [event["event"] for event in events(tmp_path / "001.xdf")] == ["start", "stop"]


def test_what_came_before_start_is_in_the_file(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(start=False, pretrigger_s=60.0)
    now = lsl_clock()
    running.put(0, at=now - 61)
    running.put(10, at=now - 5)
    running.put(20, at=now)
    held = eventually(lambda: running.tell("status"), lambda status: status.before_s > 0)
    assert held.state == "armed" and held.before_s == pytest.approx(5, abs=0.01)
    assert not list(tmp_path.glob("*.xdf"))
    assert running.tell("start").before_s == held.before_s
    running.put(30)
    eventually(running.samples, lambda n: n == 30)
    status = running.tell("stop")
    assert (status.state, status.file) == ("armed", str(tmp_path / "001.xdf"))
    running.put(40)
    running.tell("start")
    eventually(running.samples, lambda n: n == 10)
    running.tell("stop")
    assert numbers(tmp_path / "001.xdf") == list(range(10, 40))
    assert numbers(tmp_path / "002.xdf") == list(range(40, 50))


def test_the_ring_is_bounded_and_keeps_what_explains_the_rest() -> None:
    ring = Ring(seconds=10.0, max_bytes=1000)
    track = Track(1, "a", "b", b"")
    ring.add(Chunk(track, b"settings 1", 0.0, keep="settings"))
    ring.add(Chunk(track, b"offset 1", 0.0, offset=(0.0, 0.0)))
    for at in range(100):
        ring.add(Chunk(track, bytes([at]) * 10, float(at), 1))
    ring.add(Chunk(track, b"settings 2", 99.0, keep="settings"))
    assert ring.held_s(99.0) == 10.0
    assert [chunk.content for chunk in ring.release(99.0)] == [
        b"settings 2",
        b"offset 1",
        *(bytes([at]) * 10 for at in range(89, 100)),
        b"settings 1",  # what the samples before it were decoded with
    ]
    for at in range(100, 300):
        ring.add(Chunk(track, bytes(400), float(at) / 1e3, 1))
    assert len([chunk for chunk in ring.release(0.3) if chunk.n_samples]) == 2


def test_what_is_too_old_when_record_is_pressed_is_not_in_the_file() -> None:
    ring = Ring(seconds=10.0, max_bytes=1000)
    for at in (0.0, 4.0):
        ring.add(Chunk(Track(1, "a", "b", b""), b"x", at, 1))
    assert ring.held_s(9.0) == 4.0
    assert ring.held_s(12.0) == 0.0 and [chunk.at for chunk in ring.release(12.0)] == [4.0]
    assert ring.release(12.0) == []


def test_a_stalled_disk_costs_samples_and_no_memory(
    start: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled, going = threading.Event(), threading.Event()

    class Stalling(RecordingFile):
        def write(self, chunk: Chunk) -> None:
            if chunk.first == 10:
                stalled.set()
                assert going.wait(20)
            super().write(chunk)

    monkeypatch.setattr(recorder_module, "RecordingFile", Stalling)
    running = start(max_queue_bytes=2000)
    running.put(0)
    eventually(running.samples, lambda n: n == 10)
    running.put(10)
    assert stalled.wait(20)
    for first in range(20, 1000, 10):
        running.put(first)
    going.set()
    eventually(lambda: running.tell("status").message, lambda message: "too slow" in message)
    running.put(1000)
    eventually(lambda: running.tell("status").streams[-1], lambda stream: stream.samples > 20)
    running.end()
    written = numbers(tmp_path / "001.xdf")
    (dropped,) = [event for event in events(tmp_path / "001.xdf") if event["event"] == "dropped"]
    assert dropped["stream"] == "M1" and dropped["samples"] == 1010 - len(written) > 800
    assert written == [*range(len(written) - 10), *range(1000, 1010)]


def test_samples_take_no_room_from_what_explains_them() -> None:
    intake = Intake(1000)
    track = Track(1, "a", "b", b"")
    assert intake.put(Chunk(track, bytes(1000), 0.0, 10))
    assert not intake.put(Chunk(track, bytes(1), 0.0, 1))
    assert intake.put(Chunk(track, bytes(900), 0.0, 1, keep="settings"))
    assert not intake.put(Chunk(track, bytes(200), 0.0, 1, keep="settings"))
    chunks, dropped = intake.take(0)
    assert [len(chunk.content) for chunk in chunks] == [1000, 900] and dropped == {track: 2}
    assert intake.put(Chunk(track, bytes(1000), 0.0, 10))


def test_what_explains_samples_may_be_larger_than_its_room() -> None:
    """A decoder of hundreds of megabytes would never be in any recording."""
    intake = Intake(1000)
    track = Track(1, "a", "b", b"")
    assert not intake.put(Chunk(track, bytes(1001), 0.0, 1))
    assert intake.put(Chunk(track, bytes(3000), 0.0, 1, keep="decoder"))
    assert not intake.put(Chunk(track, bytes(1), 0.0, 1, keep="settings"))
    intake.take(0)
    assert intake.put(Chunk(track, bytes(1), 0.0, 1, keep="settings"))


def test_writing_does_not_wait_for_syncing(
    start: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing, synced = threading.Event(), threading.Event()

    def fdatasync(descriptor: int) -> None:
        if threading.current_thread().name == "syncing":
            syncing.set()
            assert synced.wait(20)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    running = start()
    running.put(0)
    assert syncing.wait(20)
    running.put(10)
    eventually(running.samples, lambda n: n == 20)
    synced.set()


def test_a_source_that_dies_of_a_bug_is_an_alarm_and_not_connected(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(source: LslSource, info: object) -> None:
        source.connected = True
        raise RuntimeError("a bug")

    monkeypatch.setattr(LslSource, "_find", lambda source, uid: pylsl.StreamInfo("M1", "spikes"))
    monkeypatch.setattr(LslSource, "_receive", receive)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    running = start(streams=(StreamSettings(name="M1"),), commands="a socket")
    status = eventually(lambda: running.tell("status"), lambda status: status.message)
    assert status.message == "nothing more is recorded of lsl M1, by a bug; see the recorder's log"
    assert status.waiting_for == ("M1",) and running.recorder.failed
    running.tell("stop")
    assert "by a bug" in running.tell("start").message


def test_a_full_disk_ends_the_recording_and_nothing_else(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(min_free_bytes=0, commands="a socket")
    running.put(0)
    eventually(running.samples, lambda n: n == 10)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # The kernel refuses whatever goes beyond, in the middle of a chunk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        for first in range(10, 200, 10):
            running.put(first)
        eventually(lambda: running.tell("status").state, lambda state: state == "armed")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large" in running.tell("status").message
    assert any(line.startswith("ALARM") for line in running.told)
    path = tmp_path / "001.xdf"
    assert not load_xdf(path).remarks
    written = numbers(path)
    assert written == list(range(len(written))) and len(written) > 20
    assert running.recorder.failed
    running.tell("start")
    assert running.tell("status").state == "recording"


def test_a_disk_that_is_full_before_anything_is_written_is_answered(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(file: RecordingFile, chunk: Chunk) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordingFile, "write", write)
    running = start(start=False, commands="a socket")
    assert "start failed: the recording ended: No space left on device" in running.tell("start").message
    assert running.tell("status").state == "armed"


def test_a_disk_that_is_almost_full_leaves_room_for_the_footers(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(min_free_bytes=1 << 60, commands="a socket")
    running.put(0)
    status = eventually(lambda: running.tell("status"), lambda status: "MiB are free" in status.message)
    assert status.state == "armed"
    assert numbers(tmp_path / "001.xdf") == list(range(10))
    assert not running.recorder.stop
    found, _ = pyxdf.load_xdf(tmp_path / "001.xdf")
    assert all("footer" in stream for stream in found)


def test_a_recorder_that_nobody_can_start_again_ends_with_its_recording(start: Callable[..., Running]) -> None:
    running = start(min_free_bytes=1 << 60)
    running.thread.join(20)
    assert not running.thread.is_alive() and running.recorder.failed


def test_a_folder_that_cannot_be_written_is_answered(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(start=False)
    running.recorder._settings = running.recorder._settings.model_copy(update={"folder": str(tmp_path / "file")})
    (tmp_path / "file").touch()
    assert "start failed" in running.tell("start").message
    assert running.tell("status").state == "armed"


def test_a_file_cut_anywhere_holds_all_chunks_before(tmp_path: Path, caplog: Any) -> None:
    """Every byte: our reader as it is, pyxdf behind a repair."""
    intake = Intake(1 << 20)
    track = intake.own_track("M1", "spikes", describe_stream("M1", "spikes", "float32", [("a", "b")], "x"))
    file = RecordingFile(tmp_path, FileName(template="%r.xdf"), lsl_clock())
    ends = {}
    (offset,), _ = intake.take(0)
    file.write(offset)
    for first in range(5):
        stamps = np.arange(3.0) + 3 * first
        content = samples(track.number, "float32", stamps, stamps[:, None])
        file.write(Chunk(track, content, lsl_clock(), 3, stamps[0], stamps[-1]))
        file.mark(lsl_clock())
        ends[file.size] = 3 * first + 3
    file.close()
    content = file.path.read_bytes()
    cut = tmp_path / "cut.xdf"
    logging.getLogger("pyxdf.pyxdf").handlers.clear()
    begin = content.index(b"</datetime>") + len(b"</datetime></info>")
    for at in range(begin, len(content)):
        cut.write_bytes(content[:at])
        expected = max([n for end, n in ends.items() if end - 20 <= at], default=0)
        found = [len(stream.times) for stream in load_xdf(cut).streams]
        assert sum(found) == expected, at
        cut_to_whole_chunks(cut)
        with caplog.at_level(logging.WARNING):
            streams, _ = pyxdf.load_xdf(cut)
        assert sum(len(stream["time_stamps"]) for stream in streams) == expected, at
    assert caplog.records == []


def test_streams_are_told_apart_from_sessions(tmp_path: Path) -> None:
    settings = RecorderSettings(folder=str(tmp_path), streams=(StreamSettings(name="a"), StreamSettings(name="b")))
    recorder = Recorder(settings, print)
    assert [source.wanted.name for source in recorder._sources.streams] == ["a", "b"]
