"""What the control plane reports while it happens: the events of ``GET /v1/events``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, TypeAdapter

from bmi_decoder.jobs import JobState
from bmi_decoder.recorder_models import RecorderState
from bmi_decoder.rest_models import SessionState

SwapOutcome = Literal["started", "switched", "failed", "rolled_back"]


class Event(BaseModel):
    """What every event has; `id` and `at` are given when it is published."""

    id: str = Field("", description="Names this event; send it as Last-Event-ID to go on behind it.")
    at: str = Field("", description="When it was published; ISO 8601, UTC.")


class StateEvent(Event):
    """What a session does has changed, or is first known after the control plane has started."""

    type: Literal["state"] = "state"
    session: str = Field(examples=["m1"])
    state: SessionState
    message: str = Field(description="Why it is in this state, or what is wrong while it runs; empty when all is well.")
    revision: int
    endpoint: str
    restarts: int


class SessionEvent(Event):
    """A session was created, deleted, or given other settings."""

    type: Literal["session"] = "session"
    session: str = Field(examples=["m1"])
    action: Literal["created", "changed", "deleted"]


class HealthEvent(Event):
    """Something about a stream or a worker, as the worker says it in its own health events."""

    type: Literal["health"] = "health"
    session: str = Field(examples=["m1"])
    event: str = Field(description="Its kind.", examples=["gap"])
    details: dict[str, Any] = Field(description="The rest of it.", examples=[{"bins": 3, "policy": "hold"}])
    repeated: int = Field(0, description="How many more of its kind within a second it stands for.")


class SwapEvent(Event):
    """A swap of what a running session decodes with, from its start to its outcome."""

    type: Literal["swap"] = "swap"
    session: str = Field(examples=["m1"])
    outcome: SwapOutcome
    revision: int = Field(description="That was asked for; of a rollback, that which is back.")
    former: int = Field(description="That was decoding before.")
    reason: str = Field("", description="Of a failure or a rollback.")


class JobEvent(Event):
    """A job has changed its state, or got on."""

    type: Literal["job"] = "job"
    job: str = Field(description="Id of the job.")
    kind: str
    state: JobState
    progress: float = Field(description="Share that is done.")
    message: str
    details: dict[str, Any] = Field(default_factory=dict, description="While it runs: the figures behind the message.")


class RecordingEvent(Event):
    """A session's recorder was armed, began or ended a recording, or has raised an alarm."""

    type: Literal["recording"] = "recording"
    session: str = Field(examples=["m1"])
    state: RecorderState
    message: str = Field(description="The alarm: why a recording ended by itself, for example; empty when all is well.")
    file: str | None = Field(description="That is being written, or was last.")
    elapsed_s: float
    size_bytes: int


class GapEvent(Event):
    """Events are missing here: read what matters again with GET."""

    type: Literal["gap"] = "gap"
    missed: int | None = Field(description="How many; null if that cannot be known, as the control plane is another.")


AnyEvent = Annotated[
    StateEvent | SessionEvent | HealthEvent | SwapEvent | JobEvent | RecordingEvent | GapEvent, Discriminator("type")
]

EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Parses an event from JSON."""
