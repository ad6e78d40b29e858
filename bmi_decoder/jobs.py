"""Recordings and jobs of the control plane: what can be asked of it, and what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field

from bmi_decoder.config import InputFilterSettings, Settings, SplitSettings, StreamSettings
from bmi_decoder.rest_models import OutputInfo

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Label = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^-\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")]


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


class TrainingChoices(Settings):
    """What to train and how, whatever it is trained on."""

    decoder: _Name = Field(description="Which decoder to train; see `bmi-decoder decoders`.", examples=["lstm"])
    preset: Literal["best", "paper"] = "best"
    overrides: dict[str, bool | int | float | str | None] = Field(
        default_factory=dict, description="Hyper-parameters and recipe fields that differ from the preset."
    )
    input_filter: InputFilterSettings | None = Field(None, description="Filter on every channel.")
    split: SplitSettings = SplitSettings()
    bin_s: float | None = Field(None, gt=0, description="Wider bins than the recording's, in seconds.")
    seed: int = Field(0, ge=0, lt=1 << 63)
    init_from: _Name | None = Field(None, description="Id of a stored decoder from whose weights training starts.")
    session: _Name | None = Field(
        None, description="A session: the new decoder is compared with its decoder, and deployed to it on demand."
    )


class TrainRequest(TrainingChoices):
    """Train a decoder on a stored recording, as ``bmi-decoder train`` does."""

    kind: Literal["train"]
    recording: _Name = Field(description="Id of a stored recording.", examples=["60303ae22b998861"])
    reading: ReadingSettings = ReadingSettings()


class NeuralStream(Settings):
    """The LSL stream of spike counts."""

    name: str = Field(min_length=1, max_length=256, description="LSL stream name, exactly.", examples=["M1"])
    type: str = Field("spikes", min_length=1, max_length=256, description="LSL stream type, exactly.")
    source_id: str | None = Field(None, max_length=256, description="Only the outlet with this source_id.")

    @property
    def wanted(self) -> StreamSettings:
        """What to search for."""
        return StreamSettings(name=self.name, type=self.type, source_id=self.source_id)


class KinematicsStream(NeuralStream):
    """The LSL stream of movement."""

    type: str = Field("kinematics", min_length=1, max_length=256, description="LSL stream type, exactly.")
    outputs: tuple[OutputInfo, ...] | None = Field(
        None, min_length=1, description="Name and unit of each channel, where the stream does not declare them."
    )


class CalibrateRequest(TrainingChoices):
    """Collect spike counts and movement from two live streams, and train a decoder on them."""

    kind: Literal["calibrate"]
    neural: NeuralStream
    kinematics: KinematicsStream
    seconds: float = Field(
        60.0, gt=0, le=7200, description="How long to collect; of a replay, in the time of what it replays."
    )
    split: SplitSettings = SplitSettings(train=0.7, validation=0.15, test=0.15)
    bin_s: float | None = Field(
        None, gt=0, description="Bin width in seconds, if not that of the session's decoder, or else one sample."
    )


class ExportRequest(Settings):
    """Write a recorded session in a format of the field, as ``bmi-decoder export`` does."""

    kind: Literal["export"]
    recording: _Name = Field(description="Id of a stored XDF recording of a session.", examples=["60303ae22b998861"])
    to: Literal["nwb"] = "nwb"
    subject: _Label | None = Field(None, description="null takes the participant in the recording's name.")
    species: _Label | None = Field(None, description="In Latin.", examples=["Macaca mulatta"])
    sex: Literal["M", "F", "O", "U"] = Field("U", description="O is other, U unknown.")
    age: _Label | None = Field(None, description="In ISO 8601.", examples=["P6Y"])


JobRequest = Annotated[TrainRequest | CalibrateRequest | ExportRequest, Discriminator("kind")]
"""Of every kind."""

JOB_KINDS: dict[str, type[Settings]] = {"train": TrainRequest, "calibrate": CalibrateRequest, "export": ExportRequest}
"""Requests by kind."""


class Deployment(Settings):
    """Where the decoder of a job shall decode."""

    session: _Name | None = Field(None, description="null is the session that the job was asked for.")


class JobInfo(BaseModel):
    """Work that takes long, done by a process of its own."""

    id: str = Field(examples=["f3a8c1d20b7e4956"])
    kind: str = Field(examples=["train"])
    state: JobState
    progress: float = Field(ge=0, le=1, description="Share that is done.")
    message: str = Field(description="What it is doing.", examples=["epoch 3 of 40, validation R2 0.712"])
    details: dict[str, Any] = Field(
        default_factory=dict,
        description="While it runs: the figures behind the message.",
        examples=[{"usable": 7480, "lost": 12, "unusable": {"no movement": 8}, "seconds_left": 30.0}],
    )
    request: dict[str, Any] = Field(description="What was asked for, with defaults.")
    result: dict[str, Any] | None = Field(
        description="Of a job that is done: id of the decoder, its metrics, and the comparison with the session's; of "
        "`calibrate` also the recording, and what was collected; of `export` only the new recording; `deployed` or "
        "`discarded` if it was.",
        examples=[{"decoder": "9f86d081884c7d65", "metrics": {"validation": {"raw": {"r2": 0.81}}}}],
    )
    error: str | None = Field(description="Of a job that has failed.")
    created_at: str = Field(description="ISO 8601, UTC.")
    started_at: str | None
    ended_at: str | None
