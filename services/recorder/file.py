"""One XDF file while it grows."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from bmi_decoder.formats.xdf_encode import Tally, boundary, file_header, footer, stream_header
from services.recorder.intake import Chunk, Track
from services.recorder.naming import FileName

_BOUNDARY_S = 10.0


class RecordingFile:
    """Whole chunks, each written at once and without a buffer of our own: what was written survives this process.

    Parameters
    ----------
    folder : Path
    name : FileName
    now : float
        LSL clock.

    Attributes
    ----------
    path : Path
    size : int
        Bytes, all of whole chunks.
    tallies : dict of Track to Tally

    Raises
    ------
    BmiError
        If the file cannot be made.
    OSError
        If nothing can be written to it.
    """

    def __init__(self, folder: Path, name: FileName, now: float) -> None:
        self.path, self._descriptor = name.create(folder)
        self.tallies: dict[Track, Tally] = {}
        self.size = 0
        self._bounded_at = now
        try:
            self._append(file_header(datetime.now(UTC)))
        except OSError:
            os.close(self._descriptor)
            raise

    def write(self, chunk: Chunk) -> None:
        """Append a chunk, with its stream's header before the first of a stream.

        Raises
        ------
        OSError
            If there is no room, for example; the file then ends with the chunk before.
        """
        tally = self.tallies.get(chunk.track)
        if tally is None:
            self._append(stream_header(chunk.track.number, chunk.track.header))
            tally = self.tallies[chunk.track] = Tally()
        self._append(chunk.content)
        tally.add(chunk.n_samples, chunk.first, chunk.last)
        if chunk.offset is not None:
            tally.offsets.append(chunk.offset)
        if chunk.at - self._bounded_at >= _BOUNDARY_S:
            self.mark(chunk.at)

    def mark(self, now: float) -> None:
        """Append a boundary."""
        self._append(boundary())
        self._bounded_at = now

    def for_syncing(self) -> int:
        """A descriptor of its own for whoever has the disk take what was written, who closes it too."""
        return os.dup(self._descriptor)

    def close(self) -> None:
        """Write the footers and close.

        Raises
        ------
        OSError
            If the footers have no room; the file is closed in any case.
        """
        try:
            for track, tally in self.tallies.items():
                self._append(footer(track.number, tally))
            os.fdatasync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def _append(self, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size += len(content)
