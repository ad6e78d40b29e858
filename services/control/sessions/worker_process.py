"""One worker process: start it detached, find it again after a restart, signal it, collect its exit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import psutil

from bmi_decoder.config import WorkerSettings
from services.control.storage.places import CODE, SessionFiles
from services.durable import write_durably

WORKER_MODULE = "services.worker"
_LOG_LIMIT = 2**20
_SAME_CREATION_S = 0.5


class WorkerProcess:
    """A running or ended worker.

    A worker has a process group and session of its own and only files as standard streams, so nothing that
    happens to the control plane reaches it: neither Ctrl-C in its terminal nor its death.

    Parameters
    ----------
    process : psutil.Process
        The process; psutil remembers its creation time and never signals another one under the same
        number.
    child : subprocess.Popen, optional
        Given if we started it ourselves, and can therefore collect its exit status.
    """

    def __init__(self, process: psutil.Process, child: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process
        self._child = child

    @classmethod
    def spawn(cls, files: SessionFiles, settings: WorkerSettings) -> Self:
        """Start a worker on `settings`.

        Raises
        ------
        OSError
            If a file cannot be written or no process can be made.
        """
        files.folder.mkdir(exist_ok=True)
        files.flight.unlink(missing_ok=True)
        write_durably(files.settings, settings.model_dump_json(indent=1).encode())
        _rotate(files.log)
        with files.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", WORKER_MODULE, str(files.settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=CODE,
                start_new_session=True,
            )
        try:
            worker = cls(psutil.Process(child.pid), child)
            worker._remember(files)
        except BaseException:
            child.kill()
            child.wait()
            raise
        return worker

    @classmethod
    def find(cls, files: SessionFiles) -> Self | None:
        """The worker of this session that an earlier control plane left running, None if there is none.

        The process that was written down is taken if its creation time agrees. Otherwise every process is
        looked at: the note may be missing if the control plane was killed right after a start, and creation
        times move when the system clock is set. In both cases the command line must name this session's
        own settings file.
        """
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
            noted = json.loads(files.pid.read_text())
            process = psutil.Process(int(noted["pid"]))
            same = abs(process.create_time() - float(noted["create_time"])) < _SAME_CREATION_S
            if same and is_process_of(process, WORKER_MODULE, files.settings):
                return cls(process)
        for process in psutil.process_iter():
            if is_process_of(process, WORKER_MODULE, files.settings):
                worker = cls(process)
                worker._remember(files)
                return worker
        return None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit status, negative for a signal; None while running, and of a process that is not our child."""
        return None if self._child is None else self._child.returncode

    def running(self) -> bool:
        """Whether it still runs; collects the exit of a child, so that no zombie stays."""
        if self._child is not None:
            return self._child.poll() is None
        try:
            return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def terminate(self) -> None:
        """Ask it to stop."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.running():
                self._process.send_signal(number)

    def _remember(self, files: SessionFiles) -> None:
        note = {"pid": self.pid, "create_time": self._process.create_time()}
        write_durably(files.pid, json.dumps(note).encode())


def last_line(log: Path) -> str:
    """The last line that a worker wrote: of a Python error, the one that says what it was."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:500]


def is_process_of(process: psutil.Process, module: str, settings: Path) -> bool:
    """Whether a process runs this module of ours on these settings."""
    try:
        command = process.cmdline()
        return (
            command[-3:] == ["-m", module, str(settings)]
            and process.uids().effective == os.geteuid()
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name("worker.log.1"))
