"""What came before "record"."""

from __future__ import annotations

from collections import deque

from services.recorder.intake import Chunk


class Ring:
    """The chunks of the last seconds, in bounded memory.

    Chunks with a `keep` key, settings and decoders among them, are held until another one replaces them: without
    them a file could not be understood. So is each track's newest clock offset.

    Parameters
    ----------
    seconds : float
    max_bytes : int
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds, self._max_bytes = seconds, max_bytes
        self._chunks: deque[Chunk] = deque()
        self._kept: dict[tuple[int, str], Chunk] = {}
        self._bytes = 0

    def add(self, chunk: Chunk) -> None:
        """Take a chunk, and forget what is too old."""
        if chunk.keep or chunk.offset is not None:
            key = (chunk.track.number, chunk.keep)
            former = self._kept.get(key)
            self._kept[key] = chunk
            if former is None or not former.keep:
                return
            # What is in the ring may still need the one before.
            chunk = former._replace(at=chunk.at)
        self._chunks.append(chunk)
        self._bytes += len(chunk.content)
        self._forget(chunk.at)

    def held_s(self, now: float) -> float:
        """How long the stretch is that `release` would give, seconds."""
        self._forget(now)
        return self._chunks[-1].at - self._chunks[0].at if self._chunks else 0.0

    def release(self, now: float) -> list[Chunk]:
        """Everything, for the beginning of a file; what is kept stays for the next one."""
        self._forget(now)
        held = [*self._kept.values(), *self._chunks]
        self._chunks.clear()
        self._bytes = 0
        return held

    def _forget(self, now: float) -> None:
        while self._chunks and (now - self._chunks[0].at > self._seconds or self._bytes > self._max_bytes):
            made_at = self._chunks[0].at
            while self._chunks and self._chunks[0].at == made_at:
                self._bytes -= len(self._chunks.popleft().content)
