"""Asks a worker over its command socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.command_socket import MAX_LINE
from services.worker.command import Command, StateAnswer, StateCommand, SwapAnswer, SwapCommand


class NoAnswerError(Exception):
    """The worker takes no commands, or ended before it answered."""


async def ask_swap(path: Path, command: SwapCommand) -> SwapAnswer:
    """Have a worker swap; waits until that has happened or failed.

    Raises
    ------
    NoAnswerError
    """
    return SwapAnswer.model_validate_json(await _ask(path, Command(swap=command)))


async def ask_state(path: Path) -> StateAnswer:
    """What a worker is busy with.

    Raises
    ------
    NoAnswerError
    """
    return StateAnswer.model_validate_json(await _ask(path, Command(state=StateCommand())))


async def _ask(path: Path, command: Command) -> bytes:
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
        raise NoAnswerError("its worker ended before it had answered")
    return line
