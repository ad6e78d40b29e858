"""What all sources hand over, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from bmi_decoder.clock import lsl_clock
from bmi_decoder.formats.xdf_encode import clock_offset


@dataclass(frozen=True)
class Track:
    """One stream of the file.

    Attributes
    ----------
    number : int
        Its id in the file.
    name, type : str
    header : bytes
        The XML of its stream header.
    """

    number: int
    name: str
    type: str
    header: bytes


class Chunk(NamedTuple):
    """A whole XDF chunk of one track.

    Attributes
    ----------
    track : Track
    content : bytes
    at : float
        When it was made, seconds of the LSL clock; the same for chunks that belong together.
    n_samples : int
        0 for a clock offset.
    first, last : float
        Stamps.
    offset : (float, float) or None
        Time and value, of a clock offset.
    keep : str
        What stands under the same key is replaced by it, and it is written at the beginning of every file; empty for
        everything that is only good for its own time.
    """

    track: Track
    content: bytes
    at: float
    n_samples: int = 0
    first: float = 0.0
    last: float = 0.0
    offset: tuple[float, float] | None = None
    keep: str = ""


class Intake:
    """A queue of chunks between sources and file. A source never waits; what has no room is dropped and counted.

    Parameters
    ----------
    max_bytes : int
        What explains the rest, settings and decoders and clock offsets, has as much room again, which samples never
        take from it; alone it may be larger, as a decoder can be.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._chunks: deque[Chunk] = deque()
        self._bytes = self._explaining_bytes = 0
        self._numbers = 0
        self._dropped: dict[Track, int] = {}
        self.lost: dict[Track, int] = {}

    def track(self, name: str, type_: str, header: bytes) -> Track:
        """A new track."""
        with self._changed:
            self._numbers += 1
            return Track(self._numbers, name, type_, header)

    def own_track(self, name: str, type_: str, header: bytes) -> Track:
        """A new track whose stamps are of the recorder's own clock, which is written down too."""
        track, now = self.track(name, type_, header), lsl_clock()
        self.put(Chunk(track, clock_offset(track.number, now, 0.0), now, offset=(now, 0.0)))
        return track

    def put(self, *chunks: Chunk) -> bool:
        """Hand over chunks that belong together; False, with all dropped, if there is no room for all."""
        size = sum(len(chunk.content) for chunk in chunks)
        explains = all(chunk.keep or chunk.offset is not None for chunk in chunks)
        with self._changed:
            waiting = self._explaining_bytes if explains else self._bytes
            if waiting + size > self._max_bytes and (waiting or not explains):
                for chunk in chunks:
                    self._dropped[chunk.track] = self._dropped.get(chunk.track, 0) + chunk.n_samples
                    self.lost[chunk.track] = self.lost.get(chunk.track, 0) + chunk.n_samples
                return False
            self._chunks.extend(chunks)
            if explains:
                self._explaining_bytes += size
            else:
                self._bytes += size
            self._changed.notify()
            return True

    def take(self, timeout_s: float) -> tuple[list[Chunk], dict[Track, int]]:
        """Everything that is there, and how many samples of each track were dropped behind it."""
        with self._changed:
            if not self._chunks:
                self._changed.wait(timeout_s)
            chunks, dropped = list(self._chunks), self._dropped
            self._chunks.clear()
            self._bytes, self._explaining_bytes, self._dropped = 0, 0, {}
            return chunks, dropped
