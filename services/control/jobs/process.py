"""One process of a job: started at low priority, listened to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from services.control.jobs.kind import Stage
from services.control.sessions.worker_process import last_line
from services.control.storage.places import CODE

NICENESS = 15
"""A session that decodes on the same processors goes before."""

LOG = "log"
_LONGEST_LINE = 2**20
_GRACE_S = 5.0


class StageFailedError(Exception):
    """A process of a job has ended with an error; the text is the reason."""


Report = Callable[[float, str, dict[str, Any]], None]
"""Takes progress from 0 to 1, a message, and the figures behind it."""


async def run_stage(stage: Stage, folder: Path, report: Report) -> None:
    """Run a stage to its end; a cancelled one is ended with all its children.

    Parameters
    ----------
    stage : Stage
    folder : Path
        The job's own; what the process writes on standard error goes into its log there.
    report : callable

    Raises
    ------
    StageFailedError
    """
    log = folder / LOG
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *stage.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=CODE,
            start_new_session=True,
            limit=_LONGEST_LINE,
        )
    try:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(process.pid).nice(NICENESS)
        assert process.stdout is not None
        async for line in process.stdout:
            if (said := _progress(line)) is not None:
                report(*said)
        status = await process.wait()
    except ValueError as error:
        raise StageFailedError(f"its process wrote a line that is too long: {error}") from None
    finally:
        await _end(process)
    if status:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise StageFailedError(last_line(log) or f"its process {how}")


def end_leftovers(folder: Path) -> None:
    """End every process that an earlier control plane started on a job in `folder`."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.uids().effective == os.geteuid()
            if ours and any(part.startswith(f"{folder}{os.sep}") for part in process.cmdline()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(_GRACE_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    # It leads a group of its own, with all its children.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_S)
            return


def _progress(line: bytes) -> tuple[float, str, dict[str, Any]] | None:
    """What a process says of its progress; None for anything else that it prints."""
    try:
        said: Any = json.loads(line)
        details = said.get("details")
        done = float(said["progress"])
        if math.isnan(done):
            return None
        return (
            min(max(done, 0.0), 1.0),
            str(said.get("message", ""))[:500],
            details if isinstance(details, dict) else {},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
