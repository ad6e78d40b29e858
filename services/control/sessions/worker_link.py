"""What a worker can be asked."""

from __future__ import annotations

from pathlib import Path

from services.control.sessions.command_link import ask
from services.worker.command import Command, StateAnswer, StateCommand, SwapAnswer, SwapCommand

_STATE_S = 5.0


async def ask_swap(path: Path, command: SwapCommand) -> SwapAnswer:
    """Have a worker swap; waits until that has happened or failed, for which the worker has a limit of its own.

    Raises
    ------
    NoAnswerError
    """
    return SwapAnswer.model_validate_json(await ask(path, Command(swap=command), None))


async def ask_state(path: Path) -> StateAnswer:
    """What a worker is busy with.

    Raises
    ------
    NoAnswerError
    """
    return StateAnswer.model_validate_json(await ask(path, Command(state=StateCommand()), _STATE_S))
