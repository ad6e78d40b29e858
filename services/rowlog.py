"""A ring of fixed-size rows in a file that one process writes and others read as it grows."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import BmiError, InputError

_WRITTEN = struct.Struct("<Q")
_HEADER = struct.Struct("<8sIIQ")  # magic, columns, rows of the ring, rows written
_MAGIC = b"BMIROWS1"
_SIZE = 64
_WRITTEN_AT = 16


class RowLogWriter:
    """The one writer. Appending allocates nothing and never blocks.

    Parameters
    ----------
    path : Path
        Made anew, complete from its first moment; an old file stays with whoever has it open.
    n_columns : int
        float64 values per row.
    n_rows : int
        Rows kept.

    Raises
    ------
    BmiError
        If the file cannot be written.
    """

    def __init__(self, path: Path, n_columns: int, n_rows: int = 1 << 16) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(temporary, "w+b") as file:
                file.truncate(_SIZE + 8 * n_columns * n_rows)
                self._map = mmap.mmap(file.fileno(), 0)
        except OSError as error:
            raise BmiError(f"cannot write {path}: {error.strerror}") from None
        # Stored as one word, and so never half: struct writes zeros first.
        self._counter = memoryview(self._map)[_WRITTEN_AT : _WRITTEN_AT + 8].cast("Q")
        self._row = struct.Struct(f"<{n_columns}d")
        self._n_rows, self.written = n_rows, 0
        _HEADER.pack_into(self._map, 0, _MAGIC, n_columns, n_rows, 0)
        os.replace(temporary, path)

    def append(self, *values: float) -> None:
        """Add one row."""
        self._row.pack_into(self._map, _SIZE + self.written % self._n_rows * self._row.size, *values)
        self.written += 1
        self._counter[0] = self.written


class RowLogReader:
    """A reader that gets each row once.

    Raises
    ------
    InputError
        If the file is not a row log.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            head = file.read(_HEADER.size)
            magic, self._n_columns, self._n_rows, _ = (
                _HEADER.unpack(head) if len(head) == _HEADER.size else (b"", 0, 0, 0)
            )
            size = _SIZE + 8 * self._n_columns * self._n_rows
            if magic != _MAGIC or os.fstat(file.fileno()).st_size != size:
                raise InputError(f"{path} is not a row log")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._read = 0

    def new_rows(self) -> npt.NDArray[np.float64]:
        """Rows since the last call, (n, columns), oldest first; those that the ring has lost are left out."""
        written = self._written()
        ring = np.frombuffer(self._map, "<f8", offset=_SIZE).reshape(self._n_rows, self._n_columns)
        first = max(self._read, written - self._n_rows)
        rows = ring[np.arange(first, written) % self._n_rows]
        self._read = written
        # Rows that were overwritten while they were copied, the one that is being written among them.
        return rows[max(0, self._written() + 1 - self._n_rows - first) :]

    def _written(self) -> int:
        return int(_WRITTEN.unpack_from(self._map, _WRITTEN_AT)[0])
