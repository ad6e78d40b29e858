"""What a control plane and a worker say to each other: one JSON object per line over the worker's Unix socket."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmi_decoder.config import MaskedChannels, OutputFilterSettings, Settings


class SwapCommand(Settings):
    """Run another decoder, other output filters or another mask; the answer comes when that has happened or failed."""

    revision: int = Field(ge=1, description="What messages will carry.")
    bundle: str = Field(description="Path of the decoder bundle.")
    output_filters: OutputFilterSettings | None = None
    masked_channels: MaskedChannels = ()


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


class SnapshotCommand(Settings):
    """Ask what the decoder in use is, and for its state between two bins."""


class SnapshotAnswer(Settings):
    """All that is needed to go on from a bin as the worker did.

    `outcome` is `stalled` where a busy worker did not come to it; then nothing else is there.
    """

    outcome: Literal["taken", "stalled"]
    revision: int = 0
    bundle: str = Field("", description="Path of the decoder bundle.")
    output_filters: OutputFilterSettings | None = Field(None, description="null: those chosen with the decoder.")
    masked_channels: MaskedChannels = ()
    sequence: int = Field(0, description="Of the next estimate, the first that this state decodes.")
    since_reset: int = Field(0, description="Bins decoded since the last reset.")
    pending: int = Field(0, description="Flags that the next estimate carries in any case.")
    state: str = Field("", description="The pipeline's state: float32, little-endian, base64.")


class DisconnectCommand(Settings):
    """End the connections of all subscribers, so that ZeroMQ asks for each whether its key is still allowed."""


class DisconnectAnswer(Settings):
    """What was ended."""

    connections: int = Field(description="0 as well where nothing is encrypted.")


class Command(Settings):
    """One line to a worker: exactly one of these."""

    swap: SwapCommand | None = None
    state: StateCommand | None = None
    snapshot: SnapshotCommand | None = None
    disconnect: DisconnectCommand | None = None
