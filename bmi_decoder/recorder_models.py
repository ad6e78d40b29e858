"""What is said to a recorder of a session, and what it says of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bmi_decoder.config import Settings, StreamSettings
from bmi_decoder.jobs import RecordingInfo

RecorderState = Literal["armed", "recording", "ended"]

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")]
"""Part of a BIDS file name."""


class StreamStatus(Settings):
    """One stream of the file."""

    name: str
    type: str
    samples: int = Field(description="In the file that is being written, or was last.")
    lost: int = Field(description="Samples that a slow disk did not take, since the recorder was started.")


class RecorderStatus(Settings):
    """How a recorder fares."""

    state: RecorderState
    message: str = Field("", description="The alarm: why the last recording ended by itself; empty when all is well.")
    file: str | None = Field(None, description="The file that is being written, or was last.")
    elapsed_s: float = Field(0.0, description="How long that recording has lasted.")
    before_s: float = Field(
        0.0, description="Length of what came before `start`: in memory while armed, in the file while recording."
    )
    size_bytes: int = 0
    streams: tuple[StreamStatus, ...] = ()
    waiting_for: tuple[str, ...] = Field((), description="What has not been found, or was lost.")
    pid: int
    at: float = Field(description="When this was said, in seconds of the LSL clock.")


class RecordingStart(Settings):
    """How to record a session."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kinematics": "M1-kinematics", "participant": "P01"}]})

    kinematics: str | None = Field(None, min_length=1, max_length=256, description="LSL stream of the true movement.")
    streams: tuple[StreamSettings, ...] = Field((), max_length=16, description="Further LSL streams.")
    participant: Label = "unknown"
    session: Label = Field("01", description="Of the file name; not the session that is recorded.")
    task: Label = "decode"
    acquisition: Label | None = None
    modality: Label = "neural"
    armed: bool = Field(False, description="Keep what comes in memory, and wait for the next such request to record.")
    pretrigger_s: float = Field(60.0, ge=0, le=3600, description="How much of it is in the file.")


class RecordedFile(BaseModel):
    """A recording that was ended, and is stored with the others."""

    status: RecorderStatus
    recording: RecordingInfo
