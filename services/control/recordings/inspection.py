"""Looks into an uploaded recording in another process: the file may be large, or made to do harm."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Any

import psutil

from bmi_decoder.errors import BmiError
from bmi_decoder.formats.reader_process import ReaderProcess
from bmi_decoder.inspection.inspect import inspection_as_json
from services.control.rest.problem import bad_value

LONGEST_S = 300.0
_AT_ONCE = 2
_SMALLEST_BYTES = 2 << 30
_NICENESS = 15


class Inspector:
    """Reads uploads, two at a time, each within a time and within a quarter of this machine's memory.

    Parameters
    ----------
    longest_s : float
        After this time a reader is ended, and its file refused.
    memory_bytes : int, optional
        Most memory of one reader; by default a quarter of the machine's, and 2 GiB at least.
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
        inspect = functools.partial(inspection_as_json, path)
        async with self._reading:
            reader = ReaderProcess(inspect, path, self._longest_s, self._memory_bytes, _NICENESS)
            try:
                inspection = await asyncio.to_thread(reader.result)
            except BmiError as error:
                raise bad_value("file", str(error).replace(str(path), file_name), file_name) from None
            finally:
                reader.kill()
        del inspection["path"]
        return inspection
