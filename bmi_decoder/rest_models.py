"""What the control plane answers: the models that REST, its documentation and `ControlClient` share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from bmi_decoder.config import (
    Encryption,
    InputFilterSettings,
    MaskedChannels,
    OutputFilterSettings,
    RealtimeSettings,
    SessionSettings,
    StreamSettings,
)
from bmi_decoder.stream_health import ChannelHealth, StreamHealth

SessionState = Literal["stopped", "starting", "searching", "running", "failed"]


class OutputInfo(BaseModel):
    """One quantity that a decoder estimates."""

    name: str = Field(examples=["x_velocity"])
    unit: str = Field(examples=["m/s"])


class DecoderInfo(BaseModel):
    """A stored decoder."""

    id: str = Field(description="First 16 hexadecimal digits of the file's sha256.", examples=["9f86d081884c7d65"])
    decoder: str = Field(description="Kind of decoder.", examples=["lstm"])
    n_channels: int = Field(description="Channels that a stream must have.", examples=[96])
    bin_s: float = Field(description="Bin width in seconds.", examples=[0.004])
    outputs: list[OutputInfo]
    file_name: str = Field(description="Name under which the file was uploaded.", examples=["lstm.bmi"])
    size_bytes: int
    uploaded_at: str = Field(description="ISO 8601, UTC.")


class DecoderDetail(DecoderInfo):
    """A stored decoder with everything that its bundle says about itself."""

    sha256: str
    input_filter: InputFilterSettings | None = Field(None, description="Filter on every input channel.")
    output_filters: OutputFilterSettings = Field(description="Filters that a session uses unless it says otherwise.")
    metrics: dict[str, Any] = Field(description="Accuracy on the data held out in training.")
    manifest: dict[str, Any] = Field(description="The bundle's manifest, whole.")
    used_by: list[str] = Field(description="Sessions that use this decoder.")


class Latency(BaseModel):
    """Percentiles over the last minute, in microseconds."""

    p50: float
    p99: float
    p999: float


class RealtimeGrant(BaseModel):
    """One request of a worker's, to the operating system or to the rig, and its outcome."""

    option: str = Field(description="Name of the setting.", examples=["priority"])
    requested: Any
    granted: bool
    why: str = Field("", description="Of a refusal: the reason and the remedy.")


class SessionStatus(BaseModel):
    """A session: what it should do and what it does."""

    name: str = Field(examples=["m1"])
    state: SessionState
    message: str = Field(description="Why it is in this state, or what is wrong while it runs; empty when all is well.")
    endpoint: str = Field(description="Where estimates are published; while running, the real port.")
    server_key: str | None = Field(
        None, description="The CURVE key that subscribers must know; null unless it runs and publishes encrypted."
    )
    revision: int = Field(description="Which decoder, filters and mask; from 1, a new one for each change.")
    etag: str = Field(
        description="Names its settings and revision; a change that sends it as If-Match is made only to these.",
        examples=['"3f0c9b52a7d84e61"'],
    )
    swapping_to: int | None = Field(None, description="The revision that is being loaded or warmed up, if any.")
    bins_in: int = Field(description="Bins received since the worker started.")
    bins_decoded: int
    bins_lost: int
    bins_duplicated: int
    bins_invalid: int = Field(description="Bins with input or output that was not finite.")
    latency_us: Latency | None = Field(description="From bin complete to published; null without data.")
    last_bin_age_s: float | None = Field(description="Seconds since the newest bin; null before the first.")
    stream: StreamHealth | None = Field(None, description="How its stream is; null while there is no worker.")
    channels: ChannelHealth | None = Field(None, description="Which channels are not as they should be.")
    restarts: int = Field(description="Times the worker died and was started again since the last start.")
    exit_code: int | None = Field(None, description="Of the last worker that ended; negative is a signal.")
    pid: int | None = Field(None, description="Process of the worker, null when there is none.")
    wanted: bool = Field(description="Whether it should run, also after a crash or a reboot.")
    decoder: str = Field(description="Id of its decoder.")
    variants: list[str] = Field(description="Published forms of each estimate.", examples=[["raw", "low_latency"]])
    realtime: list[RealtimeGrant] = Field(
        description="What the running worker asked of the system and of the rig, and was granted."
    )
    settings: SessionSettings


class RevisionInfo(BaseModel):
    """One revision of a session: what its messages of that number were decoded with."""

    revision: int = Field(description="As in the messages.")
    parent: int | None = Field(description="The revision before it, to which a rollback returns; null for the first.")
    decoder: str = Field(description="Id of the decoder; it may have been deleted since.")
    output_filters: dict[str, Any] | None = Field(description="null: those that were chosen with the decoder.")
    masked_channels: list[int] = Field(description="Channels, from 0, of which it decoded nothing.")
    at: str = Field(description="When it was asked for; ISO 8601, UTC.")
    why: str = Field(examples=["swapped while running"])
    state: Literal["trial", "used", "failed", "rolled_back"] = Field(
        description="In a swap that is under way; used, then or now; never used, as the swap failed; given up."
    )
    reason: str = Field(description="Why it failed or was rolled back.")


class SessionChange(BaseModel):
    """Settings to change; what is left out stays as it is. While a session runs: decoder, output filters, mask."""

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {"examples": [{"decoder": "9f86d081884c7d65"}, {"masked_channels": [3, 17]}]},
    }

    stream: StreamSettings | None = None
    decoder: str | None = None
    output_filters: OutputFilterSettings | None = Field(
        None, description="null returns to the filters that were chosen with the decoder."
    )
    masked_channels: MaskedChannels | None = Field(None, description="All that are to be masked from now on.")
    gap_policy: Literal["hold", "zero", "reset"] | None = None
    max_gap_s: float | None = None
    max_age_s: float | None = None
    endpoint: str | None = None
    encryption: Encryption | None = None
    lsl_outlets: bool | None = None
    realtime: RealtimeSettings | None = None


class StreamInfo(BaseModel):
    """An LSL stream that is visible now."""

    name: str = Field(examples=["M1"])
    type: str = Field(examples=["spikes"])
    n_channels: int = Field(examples=[96])
    rate_hz: float = Field(description="Nominal rate; 0 if irregular.", examples=[250.0])
    source_id: str
    hostname: str
    channel_format: str = Field(examples=["float32"])
