"""What a recorder is told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmi_decoder.config import Settings, StreamSettings
from services.recorder.naming import FileName


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
    """One line to a recorder. `stop` ends the recording and leaves the recorder armed; `end` ends both."""

    command: Literal["start", "stop", "end", "status"]
