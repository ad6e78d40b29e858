"""Pushes the streams of a recording as they once came."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pylsl

from bmi_decoder.formats.xdf_streams import XdfStream
from services.ingest.description import RigDescription, write_description
from services.rig.playing import POLL_S, OutletPlayer
from services.timers import sharpen_timers

_DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "double64": np.float64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
}


@dataclass(frozen=True, eq=False)
class Part:
    """Samples of one stream.

    Attributes
    ----------
    stream : XdfStream
    name : str
        Under which they are played.
    rows : array of int
        Which, in the order of the recording.
    """

    stream: XdfStream
    name: str
    rows: npt.NDArray[np.intp]


class StreamPlayer(OutletPlayer):
    """Plays parts of recorded streams, each sample with a stamp as far from the others as it was.

    Parameters
    ----------
    parts : sequence of Part
        The first is waited for.
    speed : float
        Times the recorded pace.
    """

    def __init__(self, parts: Sequence[Part], speed: float) -> None:
        self._speed = speed
        self._outlets = [_outlet(part, speed) for part in parts]
        times = np.concatenate([part.stream.times[part.rows] for part in parts])
        # Each stream keeps its own order, whatever its stamps say.
        which = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
        monotone = np.concatenate([np.maximum.accumulate(times[which == k]) for k in range(len(parts))])
        order = np.argsort(monotone, kind="stable")
        within = np.concatenate([np.arange(len(part.rows)) for part in parts])
        self._due: npt.NDArray[np.float64] = (monotone - times[0])[order] / speed
        self._stamps: npt.NDArray[np.float64] = (times - times[0])[order] / speed
        self._which, self._within = which[order].tolist(), within[order].tolist()
        self._values = [
            np.ascontiguousarray(part.stream.values[part.rows], _DTYPES[part.stream.format]) for part in parts
        ]
        super().__init__(self._outlets[0])

    def play(self) -> None:
        """Push all samples."""
        sharpen_timers()
        begin = pylsl.local_clock()
        for due, stamp, which, row in zip(
            self._due.tolist(), self._stamps.tolist(), self._which, self._within, strict=True
        ):
            while (remaining := begin + due - pylsl.local_clock()) > 0 and not self.stop:
                time.sleep(min(remaining, POLL_S))
            if self.stop:
                return
            self._outlets[which].push_chunk(self._values[which][row : row + 1], begin + stamp)
            self.pushed += which == 0


def can_be_played(stream: XdfStream) -> bool:
    """Whether it is a stream of numbers that came from a rig."""
    return stream.format in _DTYPES and stream.rate_hz > 0 and len(stream.times) > 0


def _outlet(part: Part, speed: float) -> pylsl.StreamOutlet:
    stream = part.stream
    info = pylsl.StreamInfo(
        part.name,
        stream.type,
        stream.n_channels,
        stream.rate_hz * speed,
        stream.format,
        f"bmi-decoder-replay-{part.name}",
    )
    unknown = [""] * stream.n_channels
    description = RigDescription(stream.speed * speed)
    write_description(info, description, stream.labels or unknown, stream.units or unknown)
    return pylsl.StreamOutlet(info, chunk_size=1)
