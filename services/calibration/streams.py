"""Finds the streams of a calibration, and says whether they can be used."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from bmi_decoder.config import SplitSettings, StreamSettings
from bmi_decoder.errors import InputError
from bmi_decoder.rest_models import OutputInfo
from bmi_decoder.split import SHORTEST_PART_BINS
from services.ingest.found import FoundStream, read_stream
from services.ingest.inlet import StreamLostError
from services.ingest.lsl import VisibleStream
from services.ingest.search import StreamSearch

SEARCH_S = 5.0
_POLL_S = 0.05


def find(wanted: StreamSettings, timeout_s: float = SEARCH_S) -> FoundStream:
    """Find a stream and read its description.

    Raises
    ------
    InputError
        If it does not appear in time, is not unique, or goes away.
    """
    search, deadline = StreamSearch(wanted), time.monotonic() + timeout_s
    while (info := search.poll()) is None:
        if time.monotonic() >= deadline and not search.settling:
            raise InputError(search.report().replace("the session's stream", "its name or type"))
        time.sleep(_POLL_S)
    try:
        return read_stream(info)
    except StreamLostError as error:
        raise InputError(
            f"stream {wanted.name!r} is visible but does not answer ({error}); is its rig alive?"
        ) from None


def check_neural(stream: FoundStream) -> None:
    """Refuse a neural stream that has no counts at a regular rate."""
    _check_numbers(stream.visible, "spike counts")


def check_kinematics(stream: FoundStream, outputs: Sequence[OutputInfo] | None) -> None:
    """Refuse a stream of movement without a regular rate, or without names and units of its channels."""
    visible = stream.visible
    _check_numbers(visible, "movement")
    if outputs is not None:
        if len(outputs) != visible.n_channels:
            raise InputError(
                f"stream {visible.name!r} has {visible.n_channels} channels, 'outputs' names {len(outputs)}"
            )
        return
    named = len(set(stream.labels)) == len(stream.labels) and all(stream.labels)
    for what, given in (("labels", stream.labels if named else ()), ("units", stream.units)):
        if not given or not all(given):
            raise InputError(
                f"stream {visible.name!r} does not declare the {what} of all its {visible.n_channels} channels: have "
                "the rig add them to its description, or give name and unit of each in 'outputs'"
            )


def check_pair(neural: FoundStream, kinematics: FoundStream) -> None:
    """Refuse streams that do not run in the same time."""
    speeds = [stream.description.speed for stream in (neural, kinematics)]
    if not math.isclose(*speeds):
        raise InputError(
            f"stream {neural.visible.name!r} is a replay at {speeds[0]:g} times real time, "
            f"{kinematics.visible.name!r} at {speeds[1]:g}: they are not of one rig"
        )


def check_seconds(seconds: float, split: SplitSettings, bin_s: float) -> None:
    """Refuse a time that does not fill each part of the split."""
    smallest = min(split.train, split.validation, split.test)
    needed = math.ceil((SHORTEST_PART_BINS + 1) * bin_s / smallest * 10) / 10
    if seconds < needed:
        raise InputError(
            f"{seconds:g} s are too few: the smallest part of the split, {smallest:g}, needs {SHORTEST_PART_BINS} bins "
            f"of {bin_s * 1e3:g} ms. Collect {needed:g} s at least"
        )


def _check_numbers(stream: VisibleStream, what: str) -> None:
    if stream.channel_format in ("string", "undefined"):
        raise InputError(f"stream {stream.name!r} carries {stream.channel_format} samples; {what} must be numbers")
    if stream.rate_hz <= 0:
        raise InputError(f"stream {stream.name!r} has an irregular rate; {what} must come at a nominal rate")
