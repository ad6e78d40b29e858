"""What a control plane and a worker say to each other: one JSON object per line over the worker's Unix socket."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmi_decoder.config import OutputFilterSettings, Settings

MAX_LINE = 1 << 20
"""Longest command or answer in bytes."""


class SwapCommand(Settings):
    """Run another decoder or other output filters; the answer comes when that has happened or failed."""

    revision: int = Field(ge=1, description="What messages will carry.")
    bundle: str = Field(description="Path of the decoder bundle.")
    output_filters: OutputFilterSettings | None = None


class SwapAnswer(Settings):
    """How a swap went.

    `unfit`: the decoder or its filters cannot be used on this stream. `busy`: another swap is under way.
    `stalled`: no bins came to warm it. `fault`: a bug; the worker's log has the details. `gone` is no worker's answer:
    it ended before it gave one.
    """

    outcome: Literal["switched", "unfit", "busy", "stalled", "fault", "gone"]
    reason: str = Field("", description="One sentence; empty when switched.")


class StateCommand(Settings):
    """Ask what is under way."""


class StateAnswer(Settings):
    """What the worker is busy with."""

    swapping_to: int | None = Field(description="Revision that is being loaded or runs in shadow.")
    last_failure: tuple[int, str] | None = Field(
        description="The revision that was last given up, before its switch or behind it, and why."
    )


class Command(Settings):
    """One line to a worker: exactly one of these."""

    swap: SwapCommand | None = None
    state: StateCommand | None = None
