"""Whether each expected stream is there, and is what it is expected to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bmi_decoder.bundle import Manifest
from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from services.certify.finding import Finding, judged
from services.certify.limits import Limits
from services.certify.manifest import ExpectedStream
from services.ingest.expectation import check_stream, select
from services.ingest.found import FoundStream
from services.ingest.lsl import VisibleStream

_NEURAL = "spikes"


def choose(wanted: ExpectedStream, visible: Sequence[VisibleStream]) -> VisibleStream | Finding:
    """The stream that is meant, or why there is none."""
    settings = StreamSettings(name=wanted.name, type=wanted.type, source_id=wanted.source_id)
    try:
        found = select(list(visible), settings)
    except StreamMismatchError as error:
        what, _, remedy = str(error).partition(": ")
        return Finding(wanted.name, "found", "fail", what, remedy)
    if found is not None:
        return found
    others = "; ".join(sorted(map(str, visible))) or "none at all"
    wrong_source = [stream.source_id for stream in visible if (stream.name, stream.type) == (wanted.name, wanted.type)]
    if wrong_source:
        what = f"its source_id is {wrong_source[0]!r}, expected {wanted.source_id!r}"
        return Finding(
            wanted.name, "found", "fail", what, "another rig uses the name: stop it, or correct the manifest"
        )
    remedy = (
        "start the rig; if it runs, give it and this machine one LSL configuration, open its firewall (UDP 16571, TCP "
        "and UDP 16572-16604), or name it in KnownPeers"
    )
    return Finding(wanted.name, "found", "fail", f"no such stream; visible now: {others}", remedy)


def check_route(found: FoundStream, routes: Mapping[str, Sequence[str]]) -> Finding:
    """How it was found."""
    ways = routes.get(found.info.uid(), ())
    where = f"on {found.visible.hostname}, by {', '.join(ways) or 'liblsl only'}"
    remedy = "it did not answer to a search of ours: is its LSL older than 1.16, or its host busy?"
    return judged(found.visible.name, "found", where, None if ways else "warn", remedy, routes=list(ways))


def check_layout(found: FoundStream, wanted: ExpectedStream, limits: Limits) -> list[Finding]:
    """Compare what the stream says of itself; one pass, or a failure for each difference."""
    name, is_ = found.visible.name, found.visible
    failures = []

    def differ(check: str, found: str, remedy: str) -> None:
        failures.append(Finding(name, check, "fail", found, remedy))

    if wanted.channels is not None and is_.n_channels != wanted.channels:
        differ(
            "channels",
            f"{is_.n_channels}, expected {wanted.channels}",
            "a decoder would be fed the wrong channels: correct the rig's channel selection, or the manifest",
        )
    if wanted.rate_hz is not None and abs(is_.rate_hz - wanted.rate_hz) > limits.rate * wanted.rate_hz:
        differ(
            "nominal rate",
            f"{is_.rate_hz:g} Hz, expected {wanted.rate_hz:g} Hz",
            "correct the sampling rate or bin width that the rig is set to, or the manifest",
        )
    if wanted.format is not None and is_.channel_format != wanted.format:
        differ("format", f"{is_.channel_format}, expected {wanted.format}", "correct the rig's format, or the manifest")
    if wanted.labels is not None and found.labels != wanted.labels:
        what = _difference(found.labels, wanted.labels)
        differ("labels", what, "the order of the channels may have changed: correct the rig's montage, or the manifest")
    units = wanted.units
    if units is not None:
        each = (units,) * len(found.units or ("",)) if isinstance(units, str) else units
        if found.units != each:
            differ("units", _difference(found.units, each), "correct the rig's units, or the manifest")
    said = f"{is_.n_channels} channels, {is_.rate_hz:g} Hz, {is_.channel_format}"
    return failures or [Finding(name, "layout", "pass", f"{said}, as expected")]


def check_decoder_fits(decoder: Manifest, found: Sequence[FoundStream]) -> list[Finding]:
    """Whether one of the streams of spikes feeds the decoder."""
    neural = [one for one in found if one.visible.type == _NEURAL]
    if not neural:
        what = "none of the streams that were found has type 'spikes'"
        remedy = "name the stream of the session in the manifest, or set its type"
        return [Finding("decoder", "input", "warn", what, remedy)]
    reasons = []
    for one in neural:
        try:
            layout = check_stream(one.visible, one.description, decoder.n_channels, decoder.bin_s)
        except StreamMismatchError as error:
            reasons.append(str(error))
            continue
        bins = "one sample" if layout.samples_per_bin == 1 else f"{layout.samples_per_bin} samples"
        fits = Finding("decoder", "input", "pass", f"stream {one.visible.name!r} fits, {bins} per bin")
        return [fits, *_check_labels(decoder, one)]
    what, _, remedy = reasons[0].partition(": ")
    return [Finding("decoder", "input", "fail", what, remedy or "choose another stream or decoder")]


def _check_labels(decoder: Manifest, found: FoundStream) -> list[Finding]:
    if not any(found.labels) or found.labels == decoder.channels:
        return []
    remedy = "a session does not compare labels: make sure that the order of the channels is that of the training"
    return [Finding("decoder", "labels", "warn", _difference(found.labels, decoder.channels), remedy)]


def _difference(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Where two lists of texts differ first."""
    if not any(found):
        return f"not given, expected {wanted[0]!r} ..."
    if len(found) != len(wanted):
        return f"{len(found)}, expected {len(wanted)}"
    differ = [i for i, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]]
    first = differ[0]
    more = f", and {len(differ) - 1} more" if len(differ) > 1 else ""
    return f"channel {first + 1} is {found[first]!r}, expected {wanted[first]!r}{more}"
