"""A stream that was found, with its whole description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pylsl
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from services.ingest.description import RigDescription, read_description
from services.ingest.inlet import CONNECT_TIMEOUT_S, StreamLostError
from services.ingest.lsl import VisibleStream, describe


@dataclass(frozen=True, eq=False)
class FoundStream:
    """A live stream with its description.

    Attributes
    ----------
    info : pylsl.StreamInfo
        To connect to.
    labels, units : tuple of str
        Of each channel; empty where the stream does not say.
    """

    info: pylsl.StreamInfo
    visible: VisibleStream
    description: RigDescription
    labels: tuple[str, ...]
    units: tuple[str, ...]

    @property
    def bin_s(self) -> float:
        """Seconds between samples, in the time of what a replay replays."""
        return self.description.speed / self.visible.rate_hz


def read_stream(info: pylsl.StreamInfo) -> FoundStream:
    """Ask a resolved stream for the rest of its description.

    Raises
    ------
    StreamLostError
        If it does not answer.
    """
    inlet = pylsl.StreamInlet(info, max_buflen=1, recover=False)
    try:
        full = inlet.info(CONNECT_TIMEOUT_S)
    except (LslTimeoutError, LostError) as error:
        raise StreamLostError(str(error)) from None
    n_channels = full.channel_count()
    return FoundStream(
        info,
        describe(full),
        read_description(full),
        _texts(full.get_channel_labels(), n_channels),
        _texts(full.get_channel_units(), n_channels),
    )


def _texts(values: Sequence[str | None] | None, n: int) -> tuple[str, ...]:
    return tuple(value or "" for value in values) if values is not None and len(values) == n else ()
