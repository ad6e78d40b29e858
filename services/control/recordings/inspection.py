"""Looks into an uploaded recording in another process: the file may be large, or made to do harm."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import psutil

from services.control.rest.problem import bad_value
from services.control.storage.places import CODE

LONGEST_S = 300.0
_AT_ONCE = 2
_SMALLEST_BYTES = 2 << 30


class Inspector:
    """Reads uploads, two at a time, each within a time and within a quarter of this machine's memory.

    Parameters
    ----------
    longest_s : float
        After this time a reader is ended, and its file refused.
    memory_bytes : int, optional
        Most address space of one reader; by default a quarter of the memory, and 2 GiB at least.
    """

    def __init__(self, longest_s: float = LONGEST_S, memory_bytes: int | None = None) -> None:
        self._longest_s = longest_s
        self._memory_bytes = memory_bytes or max(_SMALLEST_BYTES, psutil.virtual_memory().total // 4)
        self._reading = asyncio.Semaphore(_AT_ONCE)

    async def inspect(self, path: Path, file_name: str) -> dict[str, Any]:
        """What is in a file, as the ``inspect`` command says it.

        Raises
        ------
        Problem
            422 if it is damaged, or takes too much time or memory to read.
        """
        async with self._reading:
            reading = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "services.control.recordings.inspect_upload", str(self._memory_bytes), str(path)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=CODE,
            )
            try:
                async with asyncio.timeout(self._longest_s):
                    said, errors = await reading.communicate()
            except TimeoutError:
                raise bad_value(
                    "file", f"could not be read within {self._longest_s:g} s; upload it in parts", file_name
                ) from None
            finally:
                if reading.returncode is None:
                    reading.kill()
                    await reading.wait()
        if reading.returncode:
            raise bad_value("file", _reason(errors, reading.returncode, path, file_name), file_name)
        inspection: dict[str, Any] = json.loads(said)
        del inspection["path"]
        return inspection


def _reason(errors: bytes, status: int, path: Path, file_name: str) -> str:
    if status < 0:
        return f"its reader was ended by signal {-status}: the file is damaged, or too large for this machine"
    last = (errors.decode(errors="replace").strip().splitlines() or ["it cannot be read"])[-1]
    return last.removeprefix("bmi-decoder inspect: ").replace(str(path), file_name)
