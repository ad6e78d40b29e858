"""Whether a stream is what a session expects."""

from __future__ import annotations

from dataclasses import dataclass

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from services.ingest.description import RigDescription
from services.ingest.lsl import VisibleStream

RATE_TOLERANCE = 0.01
"""Relative difference between nominal and expected rate that still counts as equal."""


@dataclass(frozen=True)
class StreamLayout:
    """How samples become bins.

    Attributes
    ----------
    samples_per_bin : int
    sample_s : float
        Time between two samples as they arrive, in seconds of the LSL clock.
    """

    samples_per_bin: int
    sample_s: float


def select(streams: list[VisibleStream], wanted: StreamSettings) -> VisibleStream | None:
    """The stream with the wanted name, type and source; None if it is not there yet.

    Raises
    ------
    StreamMismatchError
        If a stream has the name but another type, or several different ones match.
    """
    named = [
        stream for stream in streams if stream.name == wanted.name and wanted.source_id in (None, stream.source_id)
    ]
    matching = [stream for stream in named if stream.type == wanted.type]
    if named and not matching:
        raise StreamMismatchError(
            f"stream {wanted.name!r} has type {named[0].type!r}, the session expects {wanted.type!r}: "
            "correct 'type' in the session's stream, or in the rig"
        )
    if len({(stream.hostname, stream.source_id) for stream in matching}) > 1:
        source_ids = sorted({stream.source_id for stream in matching})
        remedy = (
            f"give the session's stream one 'source_id' of {', '.join(map(repr, source_ids))}"
            if len(source_ids) > 1
            else f"they share the source_id {source_ids[0]!r}, give each rig its own or stop one"
        )
        raise StreamMismatchError(f"{len(matching)} streams are named {wanted.name!r}: {remedy}")
    return matching[0] if matching else None


def check_stream(stream: VisibleStream, description: RigDescription, n_channels: int, bin_s: float) -> StreamLayout:
    """How this stream feeds a decoder of `n_channels` channels and bins of `bin_s` seconds.

    Raises
    ------
    StreamMismatchError
        If it cannot: format, channels or rate.
    """
    if stream.channel_format in ("string", "undefined"):
        raise StreamMismatchError(
            f"stream {stream.name!r} carries {stream.channel_format} samples; a decoder needs numbers"
        )
    if stream.n_channels != n_channels:
        raise StreamMismatchError(
            f"stream {stream.name!r} has {stream.n_channels} channels, the decoder was trained on {n_channels}: "
            "choose another stream or decoder, or train again on these channels"
        )
    if stream.rate_hz <= 0:
        raise StreamMismatchError(
            f"stream {stream.name!r} has an irregular rate; a decoder needs one sample per bin or a whole "
            f"number of samples per {bin_s * 1e3:g} ms bin"
        )
    samples = stream.rate_hz / description.speed * bin_s
    per_bin = round(samples)
    if per_bin < 1 or abs(samples - per_bin) > RATE_TOLERANCE * per_bin:
        replay = f" (a replay at {description.speed:g} times real time)" if description.speed != 1 else ""
        raise StreamMismatchError(
            f"stream {stream.name!r} has {stream.rate_hz:g} samples/s{replay}, the decoder's bins are "
            f"{bin_s * 1e3:g} ms: the rate must be a whole multiple of {1 / bin_s:g} bins/s. "
            "Choose a decoder trained at this rate, or correct the rig's nominal rate"
        )
    return StreamLayout(per_bin, 1 / stream.rate_hz)
