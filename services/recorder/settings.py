"""What a recorder is told, and what it says of itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmi_decoder.config import Settings, StreamSettings
from services.recorder.naming import FileName

RecorderState = Literal["armed", "recording", "ended"]


class RecorderSettings(Settings):
    """What one recorder process needs."""

    folder: str = Field(description="Where recordings go.")
    file: FileName = Field(FileName(), description="How they are named.")
    streams: tuple[StreamSettings, ...] = Field((), description="LSL streams, beside the input of the session.")
    worker: str | None = Field(
        None, description="Settings file of the session's worker; null records LSL streams only."
    )
    commands: str | None = Field(None, description="Path of the Unix socket that takes commands; null takes none.")
    status: str | None = Field(None, description="Path of the file that says how it fares; null writes none.")
    start: bool = Field(True, description="Whether it records at once, or waits for `start`.")
    pretrigger_s: float = Field(60.0, ge=0, le=3600, description="What came so long before `start` is in the file.")
    max_pretrigger_bytes: int = Field(256 * 2**20, gt=0, description="Memory for that; the oldest goes first.")
    max_queue_bytes: int = Field(64 * 2**20, gt=0, description="Memory for what a slow disk has not taken yet.")
    min_free_bytes: int = Field(64 * 2**20, ge=0, description="A recording ends when the disk has less room.")


class RecorderCommand(Settings):
    """One line to a recorder. `stop` ends the recording and leaves the recorder armed."""

    command: Literal["start", "stop", "status"]


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
    size_bytes: int = 0
    streams: tuple[StreamStatus, ...] = ()
    waiting_for: tuple[str, ...] = Field((), description="What has not been found, or was lost.")
    pid: int
    at: float = Field(description="When this was said, in seconds of the LSL clock.")
