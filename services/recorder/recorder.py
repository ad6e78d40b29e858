"""The recorder: sources in, one file at a time out."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from bmi_decoder import __version__
from bmi_decoder.clock import lsl_clock
from bmi_decoder.config import Settings
from bmi_decoder.errors import BmiError
from bmi_decoder.recorder_models import RecorderStatus, StreamStatus
from services.recorder.file import RecordingFile
from services.recorder.intake import Chunk, Intake
from services.recorder.log import EventTrack
from services.recorder.ring import Ring
from services.recorder.settings import RecorderCommand, RecorderSettings
from services.recorder.sources import Sources
from services.recorder.status_file import StatusFile
from services.recorder.syncing import Syncing

_TAKE_S = 0.1
_STATUS_S = 0.5
_ANSWER_S = 10.0


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
        self._sources = Sources(settings, self.intake, self._log)
        self._status_file = None if settings.status is None else StatusFile(Path(settings.status))
        self._file: RecordingFile | None = None
        self._last: RecordingFile | None = None
        self._syncing: Syncing | None = None
        self._began = self._ended = self._said = lsl_clock()
        self._before_s = 0.0
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
        if self._status_file is not None:
            self._status_file.start()
        self._sources.start()
        try:
            if self._settings.start:
                self._start()
            while not self.stop:
                self._turn()
        finally:
            self._sources.end()
            self._accept(0)
            self._end("")
            self._say(self._new_status("ended"))
            if self._status_file is not None:
                self._status_file.end()

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
        if self._status_file is not None:
            # Whoever has the answer may look there next.
            self._status_file.wait_written(_ANSWER_S)
        return self._status

    def _turn(self) -> None:
        self._accept(_TAKE_S)
        self._obey()
        if self._sources.look():
            self.failed = True
            self._tell(f"ALARM: {self._sources.alarm}")
        if self._syncing is not None and self._syncing.trouble:
            self._end(self._syncing.trouble)
        if lsl_clock() - self._said >= _STATUS_S:
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
        self._began, self._alarm = now, ""
        self._before_s = self._ring.held_s(now)
        self._syncing = Syncing(file, self._settings.min_free_bytes)
        self._syncing.start()
        self._tell(f"recording {file.path}")
        begin = {
            "event": "start",
            "utc": datetime.now(UTC).isoformat(),
            "host": platform.node(),
            "version": __version__,
            "pretrigger_s": self._settings.pretrigger_s,
        }
        for chunk in (self._log.chunk(begin, now), *self._ring.release(now)):
            self._write(chunk)
        if self._file is None:
            raise BmiError(self._alarm)
        self._sources.record(True)

    def _write(self, chunk: Chunk) -> None:
        if self._file is None:
            return
        try:
            self._file.write(chunk)
        except OSError as error:
            self._end(f"the recording ended: {error.strerror}")

    def _end(self, why: str) -> None:
        """Close the file, if there is one."""
        file, self._file = self._file, None
        if file is None:
            return
        self._ended = lsl_clock()
        if self._syncing is not None:
            self._syncing.end()
            self._syncing = None
        self._sources.record(False)
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
            self._say(self._new_status())

    def _new_status(self, state: str = "") -> RecorderStatus:
        now, file = lsl_clock(), self._last
        state = state or ("armed" if self._file is None else "recording")
        lost = dict(self.intake.lost)
        trouble = "" if self._status_file is None else self._status_file.trouble
        return RecorderStatus.model_validate(
            {
                "state": state,
                "message": "; ".join(filter(None, (self._alarm, self._sources.alarm, trouble))),
                "file": None if file is None else str(file.path),
                "before_s": self._ring.held_s(now) if state == "armed" else self._before_s,
                "elapsed_s": 0.0 if file is None else (self._ended if self._file is None else now) - self._began,
                "size_bytes": 0 if file is None else file.size,
                "streams": ()
                if file is None
                else tuple(
                    StreamStatus(name=track.name, type=track.type, samples=tally.n_samples, lost=lost.get(track, 0))
                    for track, tally in file.tallies.items()
                ),
                "waiting_for": tuple(self._sources.waiting_for),
                "pid": os.getpid(),
                "at": now,
            }
        )

    def _say(self, status: RecorderStatus) -> None:
        """Publish a status: for whoever asks, and in the status file."""
        self._status, self._said = status, lsl_clock()
        if self._status_file is not None:
            self._status_file.show(status)
