"""Which visible streams belong to a session: the one that it decodes, and the movement that is true."""

from __future__ import annotations

from collections.abc import Sequence

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from services.dashboard.streams import WatchedStream
from services.ingest.expectation import select

KINEMATICS = "kinematics"


def neural_stream(streams: Sequence[WatchedStream], wanted: StreamSettings) -> WatchedStream | None:
    """The stream that a session decodes; None if it is not there, or cannot be told from another."""
    present = [watched for watched in streams if watched.gone_at is None]
    try:
        found = select([watched.stream for watched in present], wanted)
    except StreamMismatchError:
        return None
    same = [watched for watched in present if watched.stream == found]
    return max(same, key=lambda watched: watched.since, default=None)


def true_movement(streams: Sequence[WatchedStream], neural: str, outputs: Sequence[str]) -> WatchedStream | None:
    """The kinematics stream that belongs to a neural stream: the one named after it, else the only one that fits."""
    present = [watched for watched in streams if watched.gone_at is None and watched.stream.rate_hz > 0]
    candidates = [watched for watched in present if watched.stream.type.lower() == KINEMATICS]
    named = [watched for watched in candidates if watched.stream.name == f"{neural}-{KINEMATICS}"]
    fitting = named or [watched for watched in candidates if columns_of(watched, outputs) is not None]
    return fitting[0] if len(fitting) == 1 else None


def columns_of(watched: WatchedStream, outputs: Sequence[str]) -> list[int] | None:
    """The channel of each output: by label, else in their order if there are as many; None if neither."""
    if all(output in watched.labels for output in outputs):
        return [watched.labels.index(output) for output in outputs]
    return list(range(len(outputs))) if watched.stream.n_channels == len(outputs) else None
