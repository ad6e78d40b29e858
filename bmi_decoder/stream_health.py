"""What is known of the stream that a session decodes: its states, and the figures behind them."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, Field

StreamState = Literal["searching", "connected", "late", "gap", "lost", "recovered", "clock_jump", "mismatch"]

STREAM_STATES: tuple[StreamState, ...] = get_args(StreamState)


class StreamHealth(BaseModel):
    """The state of a session's stream, and what has happened to it since the worker started."""

    state: StreamState = Field(
        description="`gap`, `clock_jump` and `recovered` turn into `connected` after a second without disturbance."
    )
    for_s: float = Field(description="Seconds in this state.")
    lag_s: float | None = Field(
        None, description="How much later the newest samples came than the quickest of this connection; null before."
    )
    gaps: int = Field(0, description="Times that samples were missing.")
    lates: int = Field(0, description="Times that samples stayed away, or piled up, for 50 ms.")
    losses: int = Field(0, description="Times that the stream was lost.")
    clock_jumps: int = Field(0, description="Times that the sender's clock jumped.")
    mismatches: int = Field(0, description="Times that a stream came back that the decoder cannot take.")


class ChannelHealth(BaseModel):
    """Channels of a stream that are not as they should be, masked or not, by their index from 0."""

    silent: list[int] = Field([], description="Without a count for 10 s, where there should have been 20 or more.")
    stuck: list[int] = Field([], description="The same count, and not 0, in every bin of 10 s.")
    drifting: list[int] = Field(
        [], description="Over 30 s less than half or more than twice the mean count of the decoder's training data."
    )
    masked: list[int] = Field([], description="In whose place the decoder gets a constant, whatever comes.")

    def counted(self) -> dict[str, int]:
        """How many are in each state; one that is masked counts only as that, because it does no harm."""
        masked = set(self.masked)
        troubles = {"silent": self.silent, "stuck": self.stuck, "drifting": self.drifting}
        return {name: len(set(channels) - masked) for name, channels in troubles.items()} | {"masked": len(masked)}
