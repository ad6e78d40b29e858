"""The recorder: sources in, one file at a time out."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from bmi_decoder import __version__
from bmi_decoder.config import Settings, WorkerSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.recorder_models import RecorderStatus, StreamStatus
from services.recorder.file import RecordingFile
from services.recorder.intake import Chunk, Intake
from services.recorder.log import EventTrack
from services.recorder.lsl_source import LslSource
from services.recorder.ring import Ring
from services.recorder.session_source import SessionSource
from services.recorder.settings import RecorderCommand, RecorderSettings
from services.worker.flight import lsl_clock

_TAKE_S = 0.1
_SYNC_S = 1.0
_STATUS_S = 0.5
_ANSWER_S = 10.0
_SNAPSHOT_S = 10.0


class Recorder:
    """Receives all the time, and writes a file between `start` and `stop`.

    One thread per source hands chunks to a bounded queue; the thread that calls `run` alone touches ring and file.

    Parameters
    ----------
    settings : RecorderSettings
    tell : callable
        Gets one line for a person: a file was begun or ended, and every alarm.

    Attributes
    ----------
    intake : Intake
    stop : bool
        Set it and `run` ends the file and returns.
    failed : bool
        Whether a recording has ended by itself.
    """

    def __init__(self, settings: RecorderSettings, tell: Callable[[str], None]) -> None:
        self._settings, self._tell = settings, tell
        self.intake = Intake(settings.max_queue_bytes)
        self._ring = Ring(settings.pretrigger_s, settings.max_pretrigger_bytes)
        self._log = EventTrack(self.intake, "recorder")
        self._session: SessionSource | None = None
        wanted = list(settings.streams)
        if settings.worker is not None:
            session = WorkerSettings.model_validate_json(Path(settings.worker).read_bytes()).session
            wanted.insert(0, session.stream)
            self._session = SessionSource(
                Path(settings.worker), session.name, self.intake, _snapshot_every(settings.pretrigger_s), self._log
            )
        self._streams = [LslSource(stream, self.intake, self._log) for stream in wanted]
        self._sources: list[threading.Thread] = [*self._streams, *([self._session] if self._session else [])]
        self._input_connected = False
        self._file: RecordingFile | None = None
        self._last: RecordingFile | None = None
        self._began = self._ended = self._synced = self._said = lsl_clock()
        self._alarm = ""
        self._requests: SimpleQueue[tuple[str, Future[None]]] = SimpleQueue()
        self._status = self._new_status()
        self.stop = self.failed = False

    def run(self) -> None:
        """Receive and record until stopped.

        Raises
        ------
        BmiError
            If a recording that was to begin at once cannot.
        """
        for source in self._sources:
            source.start()
        try:
            if self._settings.start:
                self._start()
            while not self.stop:
                self._turn()
        finally:
            for one in self._streams:
                one.stop = True
            if self._session is not None:
                self._session.stop = True
            for source in self._sources:
                source.join(_ANSWER_S)
            self._accept(0)
            self._end("")
            self._say(self._new_status("ended"))

    def answer(self, line: bytes) -> Settings:
        """Answer one line of the command socket; called by other threads."""
        command = RecorderCommand.model_validate_json(line).command
        if command == "status":
            return self._status
        done: Future[None] = Future()
        self._requests.put((command, done))
        try:
            done.result(_ANSWER_S)
        except (BmiError, TimeoutError) as error:
            why = str(error) or "the disk does not answer"
            return self._status.model_copy(update={"message": f"{command} failed: {why}"})
        return self._status

    def _turn(self) -> None:
        self._accept(_TAKE_S)
        self._obey()
        for source in self._sources:
            if not source.is_alive():
                self._sources.remove(source)
                self.failed = True
                self._alarm = f"{source.name}: nothing more is recorded of it, by a bug; see the recorder's log"
                self._tell(f"ALARM: {self._alarm}")
        connected = bool(self._streams) and self._streams[0].connected
        if connected and not self._input_connected and self._session is not None:
            # A state is of use from the first recorded sample on.
            self._session.snapshot_now()
        self._input_connected = connected
        now = lsl_clock()
        if self._file is not None and now - self._synced >= _SYNC_S:
            self._synced = now
            self._keep_safe(self._file)
        if now - self._said >= _STATUS_S:
            self._say(self._new_status())

    def _accept(self, timeout_s: float) -> None:
        chunks, dropped = self.intake.take(timeout_s)
        for track, n_samples in dropped.items():
            event = {"event": "dropped", "stream": track.name, "id": track.number, "samples": n_samples}
            self._alarm = f"the disk is too slow: samples of {track.name} were dropped"
            chunks.append(self._log.chunk(event))
        for chunk in chunks:
            self._put(chunk)

    def _put(self, chunk: Chunk) -> None:
        if self._file is None or chunk.keep or chunk.offset is not None:
            self._ring.add(chunk)
        self._write(chunk)

    def _obey(self) -> None:
        while True:
            try:
                command, done = self._requests.get_nowait()
            except Empty:
                return
            try:
                if command in ("stop", "end"):
                    self._end("")
                    self.stop = command == "end"
                elif self._file is None:
                    self._start()
                self._say(self._new_status())
                done.set_result(None)
            except BmiError as error:
                done.set_exception(error)

    def _start(self) -> None:
        now = lsl_clock()
        try:
            file = RecordingFile(Path(self._settings.folder), self._settings.file, now)
        except OSError as error:
            raise BmiError(f"cannot record into {self._settings.folder}: {error.strerror}") from None
        self._file = self._last = file
        self._began, self._synced, self._alarm = now, now, ""
        self._tell(f"recording {file.path}")
        begin = {
            "event": "start",
            "utc": datetime.now(UTC).isoformat(),
            "host": platform.node(),
            "version": __version__,
            "pretrigger_s": self._settings.pretrigger_s,
        }
        for chunk in (self._log.chunk(begin, now), *self._ring.release()):
            self._write(chunk)
        if self._session is not None:
            self._session.recording = True
            self._session.snapshot_now()

    def _write(self, chunk: Chunk) -> None:
        if self._file is None:
            return
        try:
            self._file.write(chunk)
        except OSError as error:
            self._give_up(f"the recording ended: {error.strerror}")

    def _end(self, why: str) -> None:
        """Close the file, if there is one."""
        file, self._file = self._file, None
        if file is None:
            return
        self._ended = lsl_clock()
        if self._session is not None:
            self._session.recording = False
            self._session.snapshot_now()
        try:
            if not why:
                file.write(self._log.chunk({"event": "stop"}))
            file.close()
        except OSError as error:
            why = why or f"the recording ended without footers: {error.strerror}"
        self._tell(f"recorded {file.path}: {file.size} bytes in {self._ended - self._began:.1f} s")
        if why:
            self._alarm, self.failed = why, True
            self._tell(f"ALARM: {why}; {file.path} is good up to there, and decoding goes on")
            # Nobody could start another one.
            self.stop = self.stop or self._settings.commands is None

    def _give_up(self, why: str) -> None:
        self._end(why)
        self._say(self._new_status())

    def _keep_safe(self, file: RecordingFile) -> None:
        try:
            file.sync()
            free = file.free_bytes()
        except OSError as error:
            self._give_up(f"the recording ended: {error.strerror}")
            return
        if free < self._settings.min_free_bytes:
            self._give_up(
                f"the recording ended: only {free // 2**20} MiB are free, {self._settings.min_free_bytes // 2**20} are "
                "to stay"
            )

    def _new_status(self, state: str = "") -> RecorderStatus:
        now, file = lsl_clock(), self._last
        lost = dict(self.intake.lost)
        waiting = [source.wanted.name for source in self._streams if not source.connected]
        if self._session is not None and not self._session.connected:
            waiting.append("the session's worker")
        return RecorderStatus.model_validate(
            {
                "state": state or ("armed" if self._file is None else "recording"),
                "message": self._alarm,
                "file": None if file is None else str(file.path),
                "elapsed_s": 0.0 if file is None else (self._ended if self._file is None else now) - self._began,
                "size_bytes": 0 if file is None else file.size,
                "streams": ()
                if file is None
                else tuple(
                    StreamStatus(name=track.name, type=track.type, samples=tally.n_samples, lost=lost.get(track, 0))
                    for track, tally in file.tallies.items()
                ),
                "waiting_for": tuple(waiting),
                "pid": os.getpid(),
                "at": now,
            }
        )

    def _say(self, status: RecorderStatus) -> None:
        """Publish a status: for whoever asks, and in the status file."""
        self._status, self._said = status, lsl_clock()
        if self._settings.status is None:
            return
        path = Path(self._settings.status)
        temporary = path.with_name(f".{path.name}.new")
        try:
            temporary.write_text(status.model_dump_json())
            os.replace(temporary, path)
        except OSError as error:
            if not self._alarm:
                self._alarm = f"cannot write {path}: {error.strerror}"


def _snapshot_every(pretrigger_s: float) -> float:
    """So often that most of what came before "record" has a state in front of it."""
    return max(0.25, min(_SNAPSHOT_S, pretrigger_s / 6))
