"""Every setting, defined once: the command line, REST and the worker share these models."""

from __future__ import annotations

import ipaddress
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bmi_decoder.wire import Variant

GapPolicy = Literal["hold", "zero", "reset"]
Boundary = Literal["odd", "constant", "gust"]
Encryption = Literal["auto", "curve", "none"]
FilterVariant = Literal["low_latency", "high_accuracy"]


class Settings(BaseModel):
    """Base of all settings: immutable, and an unknown field is an error rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BlockFilterSettings(Settings):
    """A block-bidirectional Bessel filter; the variant (which sample is emitted) is given by where it stands."""

    order: int = Field(4, ge=1, le=8, description="Order of the Bessel low-pass, applied forward and backward.")
    cutoff_hz: float = Field(gt=0, description="Phase-matched corner frequency in Hz, below half the bin rate.")
    width: int = Field(32, ge=4, le=4096, description="Block length in bins.")
    boundary: Boundary = Field("odd", description="How the block is extended at its ends.")
    kind: Literal["bessel_block"] = Field("bessel_block", description="Can be left out.")


class InputFilterSettings(BlockFilterSettings):
    """The filter on every input channel; a decoder is trained on it and always runs behind it."""

    variant: FilterVariant = "low_latency"


class FirFilterSettings(Settings):
    """A weighted sum of the newest outputs, as `train` learns it on validation data; it holds for one bin width."""

    kind: Literal["fir"]
    taps: tuple[Annotated[float, Field(ge=-100, le=100)], ...] = Field(
        min_length=1, max_length=4096, description="Weights, oldest bin first."
    )
    lookahead: int = Field(0, ge=0, description="Bins behind the newest one that the output describes.")
    bin_s: float = Field(gt=0, description="Bin width in seconds that the weights were made for.")

    @model_validator(mode="after")
    def _describes_a_bin_that_it_sees(self) -> Self:
        if self.lookahead >= len(self.taps):
            raise ValueError(f"lookahead must be less than the number of taps, {len(self.taps)}")
        return self

    @property
    def width(self) -> int:
        """Bins that the filter looks at."""
        return len(self.taps)


def _filter_kind(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "fir" if kind == "fir" else "bessel_block"


OutputFilter = Annotated[
    Annotated[BlockFilterSettings, Tag("bessel_block")] | Annotated[FirFilterSettings, Tag("fir")],
    Discriminator(_filter_kind),
]
"""Of either kind; without `kind` it is a Bessel filter."""

FILTER_KINDS: dict[str, type[Settings]] = {"bessel_block": BlockFilterSettings, "fir": FirFilterSettings}
"""Settings by kind. Pydantic puts the kind into the path of an error, where it is no field."""


class OutputFilterSettings(Settings):
    """The filters on a decoder's outputs; None leaves that variant out."""

    low_latency: OutputFilter | None = None
    high_accuracy: OutputFilter | None = None

    @model_validator(mode="after")
    def _low_latency_does_not_wait(self) -> Self:
        if isinstance(self.low_latency, FirFilterSettings) and self.low_latency.lookahead:
            raise ValueError("a low_latency filter has no lookahead; this one may be a high_accuracy filter")
        return self

    def items(self) -> list[tuple[FilterVariant, BlockFilterSettings | FirFilterSettings]]:
        """The filters that are on, in the order in which they are published."""
        pairs: list[tuple[FilterVariant, BlockFilterSettings | FirFilterSettings | None]] = [
            ("low_latency", self.low_latency),
            ("high_accuracy", self.high_accuracy),
        ]
        return [(variant, settings) for variant, settings in pairs if settings is not None]

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is published: raw first, then the filters that are on."""
        return (Variant.raw, *(Variant[name] for name, _ in self.items()))


def _distinct(channels: tuple[int, ...]) -> tuple[int, ...]:
    ordered = tuple(sorted(channels))
    for one, following in pairwise(ordered):
        if one == following:
            raise ValueError(f"channel {one} is named twice")
    return ordered


MaskedChannels = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=65535), AfterValidator(_distinct)]
"""Indices of channels from 0, each once, in order."""


class StreamSettings(Settings):
    """Which LSL stream a session decodes, and how long it may take to appear."""

    name: str = Field(min_length=1, max_length=256, description="LSL stream name, exactly.")
    type: str = Field("spikes", min_length=1, max_length=256, description="LSL stream type, exactly.")
    source_id: str | None = Field(None, max_length=256, description="Only the outlet with this source_id.")
    search_timeout_s: float | None = Field(
        60.0, gt=0, description="Fail if the stream does not appear in this time; null searches for ever."
    )


class RealtimeSettings(Settings):
    """What a worker does, and asks of the operating system, so that estimates are never late.

    Nothing that is refused keeps a session from running: its status says what was granted, and why not.
    """

    rehearse: bool = Field(
        True, description="Decode once in vain shortly before each bin is due, so that code and weights are in cache."
    )
    busy_poll: bool = Field(
        False, description="Wait for a bin that is due without sleeping; for hosts with a processor to spare."
    )
    direct: bool = Field(
        True,
        description="Read the rig's connection in the decoding thread; false leaves that to a thread of liblsl's.",
    )
    cpus: tuple[Annotated[int, Field(ge=0, lt=4096)], ...] | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Processors that the worker may run on; null leaves the choice to the system.",
    )
    priority: int | None = Field(
        None, ge=1, le=99, description="Real-time priority (SCHED_FIFO) of the decoding thread; null is ordinary."
    )
    lock_memory: bool = Field(False, description="Keep the worker's memory from being paged out.")


class SessionSettings(Settings):
    """One live decode: a stream in, a decoder, an endpoint out."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="Unique session name.")]
    stream: StreamSettings
    decoder: Annotated[str, Field(min_length=1, max_length=128, description="Id of an uploaded decoder.")]
    output_filters: OutputFilterSettings | None = Field(
        None, description="null uses the filters that were chosen on the decoder's validation data."
    )
    masked_channels: MaskedChannels = Field(
        (), description="Channels, from 0, in whose place the decoder gets a constant."
    )
    gap_policy: GapPolicy = Field(
        "hold",
        description="What a missing bin becomes: the last bin again, a bin without spikes, or a decoder reset.",
    )
    max_gap_s: float = Field(
        1.0, ge=0, description="A longer gap always resets the decoder: filling it would only invent data."
    )
    max_age_s: float = Field(
        0.2, ge=0, description="Estimates of filled bins further than this behind real data are flagged invalid."
    )
    endpoint: str = Field("tcp://127.0.0.1:0", description="Where estimates are published; port 0 picks a free one.")
    encryption: Encryption = Field(
        "auto",
        description="Whether estimates are published with CURVE, to allowed keys alone: auto does it beyond loopback.",
    )
    lsl_outlets: bool = Field(
        False, description="Publish over LSL as well: a stream NAME-raw, NAME-low_latency, NAME-high_accuracy each."
    )
    realtime: RealtimeSettings = Field(RealtimeSettings(), description="How the worker keeps its deadlines.")

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            plain = parts.scheme == "tcp" and parts.port is not None and parts[2:] == ("", "", "")
            ipaddress.ip_address(parts.hostname or "")
        except ValueError:
            plain = False
        if not plain or "@" in value:
            raise ValueError("must be tcp://ADDRESS:PORT with a numeric address, for example tcp://127.0.0.1:0")
        return value

    @field_validator("lsl_outlets")
    @classmethod
    def _lsl_is_in_the_clear(cls, value: bool, info: ValidationInfo) -> bool:
        # What is missing here has an error of its own.
        encryption, endpoint = info.data.get("encryption", "none"), info.data.get("endpoint", "")
        if value and endpoint and _encrypted(encryption, endpoint):
            raise ValueError(
                "LSL does not encrypt, and the estimates of this session are: leave it off, or set encryption to none"
            )
        return value

    @property
    def endpoint_is_loopback(self) -> bool:
        """Whether only programs on this machine can subscribe."""
        return _is_loopback(self.endpoint)

    @property
    def encrypted(self) -> bool:
        """Whether estimates are published encrypted."""
        return _encrypted(self.encryption, self.endpoint)


def _is_loopback(endpoint: str) -> bool:
    return ipaddress.ip_address(urlsplit(endpoint).hostname or "").is_loopback


def _encrypted(encryption: Encryption, endpoint: str) -> bool:
    return encryption == "curve" or (encryption == "auto" and not _is_loopback(endpoint))


class SnapshotSettings(Settings):
    """What a worker goes on from, as another one stood between two bins."""

    since_reset: int = Field(ge=0, description="Bins decoded since the last reset.")
    pending: int = Field(0, ge=0, description="Flags that the first estimate carries in any case.")
    state: str = Field(description="The pipeline's state: float32, little-endian, base64.")


class WorkerSettings(Settings):
    """What one worker process needs: a session and where its files are."""

    session: SessionSettings
    bundle: str = Field(description="Path of the decoder bundle.")
    flight: str = Field(description="Path of the flight recorder that the worker creates.")
    revision: int = Field(1, ge=1)
    heartbeat_s: float = Field(0.5, gt=0, description="Longest silence on the endpoint.")
    commands: str | None = Field(None, description="Path of the Unix socket that takes commands; null takes none.")
    keys: str | None = Field(None, description="Folder of CURVE keys to publish with; null publishes in the clear.")
    settle_s: float = Field(1.0, ge=0, description="Data that a swapped-in decoder sees before its first estimate.")
    resume: SnapshotSettings | None = Field(None, description="State to go on from; null begins anew.")
    probation_s: float = Field(5.0, ge=0, description="Data for which the former decoder is kept warm behind a swap.")


class SplitSettings(Settings):
    """Chronological parts of a recording: training, validation, test."""

    by: Literal["time", "reaches"] = Field("time", description="What the shares are of: bins, or whole reaches.")
    train: float = Field(0.7, gt=0, lt=1)
    validation: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("the three parts must sum to 1, for example 0.7,0.1,0.2")
        if self.by == "reaches" and abs(self.validation - self.test) > 1e-6:
            raise ValueError("reaches that are not for training are halved: validation and test must be equal")
        return self

    def bounds(self, n_bins: int) -> tuple[int, int]:
        """First bin of the validation part and of the test part, by time."""
        first = round(n_bins * self.train)
        return first, first + round(n_bins * self.validation)
