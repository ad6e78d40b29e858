"""Asks workers and recorders over their command sockets, without a thread that waits."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bmi_decoder.config import Settings
from services.command_socket import MAX_LINE


class NoAnswerError(Exception):
    """The process takes no commands, or ended before it answered."""


class SilentError(NoAnswerError):
    """The process has not answered in time; it may be stopped, or starved."""


async def ask(path: Path, command: Settings, timeout_s: float | None) -> bytes:
    """Send a command and wait for its answer.

    Parameters
    ----------
    path : Path
    command : Settings
    timeout_s : float or None
        Longest wait; None waits as long as the process lives.

    Raises
    ------
    NoAnswerError
        If nobody takes commands there, or the process ends meanwhile.
    SilentError
        If it does neither answer nor end in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _asked(path, command)
    except TimeoutError:
        raise SilentError(f"it has not answered for {timeout_s:g} s") from None


async def _asked(path: Path, command: Settings) -> bytes:
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
    except OSError as error:
        raise NoAnswerError(f"it takes no commands ({error.strerror}); stop and start the session") from None
    try:
        writer.write(command.model_dump_json(exclude_none=True).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    except OSError:
        line = b""
    finally:
        writer.close()
    if not line.endswith(b"\n"):
        raise NoAnswerError("its process ended before it had answered")
    return line
