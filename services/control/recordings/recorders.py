"""The recorders of sessions: one process each, which outlives a control plane that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from pydantic import ValidationError

from bmi_decoder.config import StreamSettings
from bmi_decoder.recorder_models import RecorderStatus, RecordingStart
from services.control.recordings.announcer import RecordingAnnouncer
from services.control.recordings.library import RecordingLibrary
from services.control.rest.problem import Problem
from services.control.rest.upload import Upload
from services.control.sessions.command_link import NoAnswerError, ask
from services.control.sessions.supervised import wait_until
from services.control.sessions.worker_process import is_process_of, last_line
from services.control.storage.disk_threads import on_disk
from services.control.storage.places import CODE, DataDirectory, SessionFiles
from services.control.storage.tables import RecordingRow
from services.durable import write_durably
from services.recorder.naming import FileName
from services.recorder.settings import RecorderCommand, RecorderSettings

_MODULE = "services.recorder"
_UP_S = 15.0
_WATCH_S = 1.0
_END_S = 30.0
_POLL_S = 0.05
_STATUS_S = 5.0
_CRASHED = "the recorder ended unexpectedly; its file is good up to the last half second"
_SILENT = "the recorder does not answer: its disk may hang; stop or disarm it to end it by force"
_log = logging.getLogger(__name__)


class SessionRecorders:
    """Starts, asks and ends recorders, and stores what they have written.

    A recorder belongs to no control plane: it is found again by its socket.

    Parameters
    ----------
    places : DataDirectory
    library : RecordingLibrary
    announcer : RecordingAnnouncer
        Is told how recorders fare.
    """

    def __init__(self, places: DataDirectory, library: RecordingLibrary, announcer: RecordingAnnouncer) -> None:
        self._places, self._library, self._announcer = places, library, announcer
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch recorders for the length of an ``async with`` block."""
        watching = asyncio.create_task(self._watch(), name="recorders")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def status(self, name: str) -> RecorderStatus | None:
        """How a session's recorder fares, or how its last recording ended that is not stored yet; None without one."""
        files = self._files(name)
        if (child := self._children.get(name)) is not None:
            child.poll()
        if files.recorder_commands.exists():
            with contextlib.suppress(NoAnswerError):
                return await self._tell(name, "status", _STATUS_S)
        return await asyncio.to_thread(_last_status, files)

    async def start(self, name: str, wanted: RecordingStart) -> RecorderStatus:
        """Record a session, or arm its recorder.

        Raises
        ------
        Problem
            409 if it is being recorded, was never started, or the recorder cannot begin.
        """
        async with self._locks[name]:
            status = await self.status(name)
            if status is not None and status.state == "recording":
                raise Problem(409, f"session {name!r} is being recorded; end that with POST .../recordings/stop first")
            if status is not None and status.state == "armed":
                try:
                    status = await self._tell(name, "start", _END_S)
                except NoAnswerError as error:
                    raise Problem(409, f"the recorder of session {name!r} cannot begin: {error}") from None
                if status.state != "recording":
                    raise Problem(409, status.message)
            else:
                if status is not None:
                    await self._put_away(name, status)
                status = await self._spawn(name, wanted)
            self._announcer.take(name, status)
            return status

    async def disarm(self, name: str) -> None:
        """End a recorder that is armed, and what it holds with it; without one nothing is done.

        Raises
        ------
        Problem
            409 if it records.
        """
        async with self._locks[name]:
            status = await self.status(name)
            if status is not None and status.state == "recording":
                raise Problem(409, f"session {name!r} is being recorded; POST .../recordings/stop ends that")
            if status is not None and status.state == "armed":
                await self._end(name)
                self._announcer.take(name, await self.status(name))
                if status.file is None:
                    self._files(name).recorder_status.unlink(missing_ok=True)

    async def stop(self, name: str) -> tuple[RecorderStatus, RecordingRow]:
        """End a session's recorder, and store its file.

        Raises
        ------
        Problem
            409 if there is no recording.
        """
        async with self._locks[name]:
            status = await self.status(name)
            if status is not None and status.state == "armed" and status.file is None:
                raise Problem(409, f"session {name!r} is only armed; POST .../recordings/disarm ends that")
            if status is not None and status.state != "ended":
                await self._end(name)
                status = await self.status(name)
            self._announcer.take(name, status)
            row = None if status is None else await self._store(name, status)
            if status is None or row is None:
                raise Problem(409, f"session {name!r} is not being recorded; begin with POST .../recordings")
            return status, row

    async def close(self) -> None:
        """End all recorders; their files are stored by the next control plane that is asked to."""

        async def end(name: str) -> None:
            async with self._locks[name]:
                await self._end(name)

        names = [path.parent.name for path in self._places.root.glob("sessions/*/recorder.json")]
        for error in await asyncio.gather(*map(end, names), return_exceptions=True):
            if isinstance(error, BaseException):
                _log.error("a recorder could not be ended properly", exc_info=error)

    async def _watch(self) -> None:
        while True:
            for path in list(self._places.root.glob("sessions/*/recorder.json")):
                name = path.parent.name
                if self._locks[name].locked():
                    continue
                async with self._locks[name]:
                    try:
                        self._announcer.take(name, await self.status(name))
                    except Exception:
                        _log.exception("session %s: cannot look at its recorder", name, extra={"session": name})
            await asyncio.sleep(_WATCH_S)

    async def _spawn(self, name: str, wanted: RecordingStart) -> RecorderStatus:
        files = self._files(name)
        if not files.settings.exists():
            raise Problem(409, f"session {name!r} was never started, so that nothing can be recorded of it")
        if not files.takes_commands:
            raise Problem(409, "the path of the data directory is too long for a recorder's socket; use a shorter one")
        await asyncio.to_thread(self._launch, name, files, wanted)
        child, deadline = self._children[name], time.monotonic() + _UP_S
        while child.poll() is None and time.monotonic() < deadline:
            status = await self.status(name)
            if status is not None and status.state == ("armed" if wanted.armed else "recording"):
                return status
            await asyncio.sleep(_POLL_S)
        await self._end(name)
        raise Problem(409, last_line(_log_of(files)) or "the recorder did not begin; its log is in the data directory")

    def _launch(self, name: str, files: SessionFiles, wanted: RecordingStart) -> None:
        folder = self._places.recorded(name)
        folder.mkdir(exist_ok=True)
        streams = list(wanted.streams)
        if wanted.kinematics is not None:
            streams.append(StreamSettings(name=wanted.kinematics, type="kinematics"))
        labels = wanted.model_dump(include={"participant", "session", "task", "acquisition", "modality"})
        settings = RecorderSettings(
            folder=str(folder),
            file=FileName(**labels),
            streams=tuple(streams),
            worker=str(files.settings),
            commands=str(files.recorder_commands),
            status=str(files.recorder_status),
            start=not wanted.armed,
            pretrigger_s=wanted.pretrigger_s,
        )
        files.recorder_status.unlink(missing_ok=True)
        write_durably(files.recorder, settings.model_dump_json(indent=1).encode())
        with _log_of(files).open("wb") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(files.recorder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=CODE,
                start_new_session=True,
            )

    async def _tell(self, name: str, command: str, timeout_s: float) -> RecorderStatus:
        order = RecorderCommand.model_validate({"command": command})
        return RecorderStatus.model_validate_json(await ask(self._files(name).recorder_commands, order, timeout_s))

    async def _end(self, name: str) -> None:
        """Have a recorder close its file and end; one that does not is ended."""
        with contextlib.suppress(NoAnswerError):
            await self._tell(name, "end", _END_S)
        child = self._children.pop(name, None)
        if child is None:
            await self._end_former(name)
            return
        if not await wait_until(lambda: child.poll() is not None, _END_S):
            child.kill()
            await wait_until(lambda: child.poll() is not None, _END_S)

    async def _end_former(self, name: str) -> None:
        """Wait for the end of one that a former control plane has started."""
        files = self._files(name)
        with contextlib.suppress(OSError, ValidationError):
            pid = RecorderStatus.model_validate_json(files.recorder_status.read_bytes()).pid
            if not await wait_until(lambda: _process(pid, files) is None, _END_S):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if (process := _process(pid, files)) is not None:
                        process.kill()
                await wait_until(lambda: _process(pid, files) is None, _END_S)

    async def _store(self, name: str, status: RecorderStatus) -> RecordingRow | None:
        """Move a recorder's file to the stored recordings; None if it has written none."""
        files, row = self._files(name), None
        files.recorder_commands.unlink(missing_ok=True)  # which one that was killed leaves behind
        path = None if status.file is None else Path(status.file)
        if path is not None and path.exists():
            upload = await on_disk(self._as_upload, path)
            row = await self._library.add(upload)
            path.unlink()
        files.recorder_status.unlink(missing_ok=True)
        return row

    async def _put_away(self, name: str, status: RecorderStatus) -> None:
        """Store what nobody has ended, or leave it where it is: it is no reason not to record again."""
        try:
            await self._store(name, status)
        except Problem as problem:
            _log.warning("%s stays where it is and is not stored: %s", status.file, problem.detail)
        except Exception:
            _log.exception("%s stays where it is and is not stored", status.file)
        self._files(name).recorder_status.unlink(missing_ok=True)

    def _as_upload(self, path: Path) -> Upload:
        """A second name for the file: should it not be accepted, the first one stays."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        link = self._places.uploads / f"recorded-{os.getpid()}-{sha256[:16]}.part"
        link.unlink(missing_ok=True)
        os.link(path, link)
        return Upload(link, path.name, sha256, path.stat().st_size)

    def _files(self, name: str) -> SessionFiles:
        return self._places.session(name)


def _last_status(files: SessionFiles) -> RecorderStatus | None:
    """What a recorder that does not answer has written about itself last."""
    try:
        last = RecorderStatus.model_validate_json(files.recorder_status.read_bytes())
    except (OSError, ValidationError):
        return None
    if last.state == "ended":
        return last
    if _process(last.pid, files) is not None:
        return last.model_copy(update={"message": "; ".join(filter(None, (last.message, _SILENT)))})
    return last.model_copy(update={"state": "ended", "message": last.message or _CRASHED})


def _log_of(files: SessionFiles) -> Path:
    return files.folder / "recorder.log"


def _process(pid: int, files: SessionFiles) -> psutil.Process | None:
    """A session's recorder, None if that process is none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return process if is_process_of(process, _MODULE, files.recorder) else None
    return None
