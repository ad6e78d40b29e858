"""Recordings and jobs of the control plane: what can be asked of it, and what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from bmi_decoder.config import InputFilterSettings, Settings, SplitSettings
from bmi_decoder.rest_models import OutputInfo

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
_Name = Annotated[str, Field(min_length=1, max_length=128)]


class RecordingInfo(BaseModel):
    """A stored recording. Sizes are null for a file in which it must be said what to read: see `problem`."""

    id: str = Field(description="First 16 hexadecimal digits of the file's sha256.", examples=["60303ae22b998861"])
    file_name: str = Field(description="Name under which the file was uploaded.", examples=["session1.npz"])
    size_bytes: int
    uploaded_at: str = Field(description="ISO 8601, UTC.")
    format: str = Field(examples=["npz"])
    n_channels: int | None = Field(examples=[96])
    n_bins: int | None = Field(examples=[300000])
    bin_s: float | None = Field(description="Bin width in seconds.", examples=[0.004])
    outputs: list[OutputInfo]
    problem: str = Field(description="Why it cannot be read without `reading` choices; empty where it can.")


class RecordingDetail(RecordingInfo):
    """A stored recording with all that is known of it."""

    sha256: str
    inspection: dict[str, Any] = Field(description="What `bmi-decoder inspect` says.")


class ReadingSettings(Settings):
    """What a recording's reader is told; each is for one format."""

    series: _Name | None = Field(None, description="NWB: the behavioural series to decode.")
    neural: _Name | None = Field(None, description="XDF: name or type of the stream of spike counts.")
    kinematics: _Name | None = Field(None, description="XDF: name or type of the stream of movement.")
    spike_sorting: bool | None = Field(None, description="O'Doherty sessions: whether every unit is a channel.")


class TrainRequest(Settings):
    """Train a decoder on a stored recording, as ``bmi-decoder train`` does."""

    kind: Literal["train"]
    recording: _Name = Field(description="Id of a stored recording.", examples=["60303ae22b998861"])
    decoder: _Name = Field(description="Which decoder to train; see `bmi-decoder decoders`.", examples=["lstm"])
    preset: Literal["best", "paper"] = "best"
    overrides: dict[str, bool | int | float | str | None] = Field(
        default_factory=dict, description="Hyper-parameters and recipe fields that differ from the preset."
    )
    input_filter: InputFilterSettings | None = Field(None, description="Filter on every channel.")
    split: SplitSettings = SplitSettings()
    bin_s: float | None = Field(None, gt=0, description="Wider bins than the recording's, in seconds.")
    reading: ReadingSettings = ReadingSettings()
    seed: int = Field(0, ge=0, lt=1 << 63)
    init_from: _Name | None = Field(None, description="Id of a stored decoder from whose weights training starts.")


JobRequest = TrainRequest
"""Of every kind; a union by `kind` as soon as there is another one."""


class JobInfo(BaseModel):
    """Work that takes long, done by a process of its own."""

    id: str = Field(examples=["f3a8c1d20b7e4956"])
    kind: str = Field(examples=["train"])
    state: JobState
    progress: float = Field(ge=0, le=1, description="Share that is done.")
    message: str = Field(description="What it is doing.", examples=["epoch 3 of 40, validation R2 0.712"])
    request: dict[str, Any] = Field(description="What was asked for, with defaults.")
    result: dict[str, Any] | None = Field(
        description="Of a job that is done; of `train`: id of the decoder, and its metrics.",
        examples=[{"decoder": "9f86d081884c7d65", "metrics": {"test": {"raw": {"r2": 0.81}}}}],
    )
    error: str | None = Field(description="Of a job that has failed.")
    created_at: str = Field(description="ISO 8601, UTC.")
    started_at: str | None
    ended_at: str | None
