"""Recorders that are found in a bad state."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bmi_decoder.events import RecordingEvent
from bmi_decoder.formats.xdf_encode import file_header
from bmi_decoder.recorder_models import RecorderStatus, RecordingStart
from services.control.events.log import EventLog
from services.control.recordings import recorders as session_recorder
from services.control.recordings.announcer import RecordingAnnouncer
from services.control.recordings.library import RecordingLibrary
from services.control.recordings.recorders import SessionRecorders
from services.control.rest.problem import Problem
from services.control.storage.database import Database
from services.control.storage.job_store import JobStore
from services.control.storage.places import DataDirectory
from services.control.storage.recording_store import RecordingStore
from services.recorder.settings import RecorderSettings
from tests.waiting import eventually


class Here:
    """A reader in this process."""

    def __init__(self, read: Callable[[], object], *limits: object) -> None:
        self.result = read

    def kill(self) -> None: ...


@pytest.fixture
def places(control_dir: Path) -> DataDirectory:
    found = DataDirectory.create(control_dir)
    found.session("m1").folder.mkdir()
    return found


@pytest.fixture
def recorders(places: DataDirectory) -> SessionRecorders:
    database = Database(f"sqlite:///{places.database}")
    return SessionRecorders(
        places, RecordingLibrary(places, RecordingStore(database), JobStore(database)), RecordingAnnouncer(EventLog())
    )


def test_nobody_waits_for_a_recorder_that_was_killed(
    places: DataDirectory, recorders: SessionRecorders, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = places.session("m1")
    files.recorder.write_text("{}")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(files.recorder_commands))
    waited: list[float] = []

    async def wait(condition: object, timeout_s: float) -> bool:
        waited.append(timeout_s)
        return False

    monkeypatch.setattr(session_recorder, "wait_until", wait)
    asyncio.run(recorders.close())
    assert not waited


def test_a_recording_that_cannot_be_stored_is_no_reason_not_to_record_again(
    places: DataDirectory, recorders: SessionRecorders, caplog: pytest.LogCaptureFixture
) -> None:
    files, path = places.session("m1"), places.recorded("m1") / "empty.xdf"
    path.parent.mkdir()
    path.write_bytes(file_header(datetime.now(UTC)))
    status = RecorderStatus(state="ended", file=str(path), pid=1, at=0.0)
    files.recorder_status.write_text(status.model_dump_json())
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(files.recorder_commands))
    with pytest.raises(Problem) as refused:
        asyncio.run(recorders.stop("m1"))
    assert refused.value.status == 422 and not files.recorder_commands.exists()
    with pytest.raises(Problem, match="never started"):
        asyncio.run(recorders.start("m1", RecordingStart()))
    assert str(path) in caplog.text
    assert path.exists() and not list(places.uploads.iterdir())
    assert asyncio.run(recorders.status("m1")) is None


def test_nor_is_one_that_its_reader_fails_on(
    places: DataDirectory,
    recorders: SessionRecorders,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files, path = places.session("m1"), places.recorded("m1") / "odd.xdf"
    path.parent.mkdir()
    path.write_bytes(b"odd")
    status = RecorderStatus(state="ended", file=str(path), pid=1, at=0.0)
    files.recorder_status.write_text(status.model_dump_json())

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("in a library")

    monkeypatch.setattr("services.control.recordings.inspection.inspection_as_json", fail)
    monkeypatch.setattr("services.control.recordings.inspection.ReaderProcess", Here)
    with pytest.raises(Problem, match="never started"):
        asyncio.run(recorders.start("m1", RecordingStart()))
    assert "in a library" in caplog.text and str(path) in caplog.text
    assert path.exists() and not list(places.uploads.iterdir()) and not files.recorder_status.exists()


def test_recordings_are_announced_when_they_change() -> None:
    events = EventLog()
    announcer = RecordingAnnouncer(events)
    said = RecorderStatus(state="armed", pid=1, at=0.0)
    for status in (
        None,
        said,
        said,
        said.model_copy(update={"state": "recording", "file": "a.xdf"}),
        said.model_copy(update={"state": "recording", "file": "a.xdf", "size_bytes": 9}),
        said.model_copy(update={"state": "armed", "file": "a.xdf", "message": "disk full"}),
        None,
        said,
    ):
        announcer.take("m1", status)
    told = [(event.state, event.message) for event in events.kept() if isinstance(event, RecordingEvent)]
    assert told == [("armed", ""), ("recording", ""), ("armed", "disk full"), ("armed", "")]


def test_a_recorder_that_hangs_is_not_taken_as_ended_and_is_ended_when_asked(
    places: DataDirectory, recorders: SessionRecorders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a former control plane has started."""
    files = places.session("m1")
    settings = RecorderSettings(
        folder=str(places.recorded("m1")), commands=str(files.recorder_commands), status=str(files.recorder_status)
    )
    places.recorded("m1").mkdir()
    files.recorder.write_text(settings.model_dump_json())
    process = subprocess.Popen([sys.executable, "-m", "services.recorder", str(files.recorder)])
    try:
        alive = eventually(lambda: asyncio.run(recorders.status("m1")), lambda one: one and one.state == "recording")
        assert alive is not None and alive.message == ""
        # It answers before its first status is on disk, which is all that can be known of it once it hangs.
        eventually(files.recorder_status.exists, bool)
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(session_recorder, "_STATUS_S", 0.2)
        monkeypatch.setattr(session_recorder, "_END_S", 0.2)
        hung = asyncio.run(recorders.status("m1"))
        assert hung is not None and hung.state == "recording" and "does not answer" in hung.message
        asyncio.run(recorders.close())
        assert process.wait(20) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
