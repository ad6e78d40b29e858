"""Numeric matrices in MATLAB v5 files, read as data that may be damaged or hostile."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.opening import file_head

MAX_BYTES = 4 * 2**30
_HEADER_BYTES = 128
# Flags, dimensions and name of a matrix fit in this many bytes.
_PREFIX_BYTES = 1024
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "opaque"}
_NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


class _DamageError(Exception):
    """The bytes do not follow the format; the caller adds the file and the advice."""


@dataclass(frozen=True)
class Mat5Variable:
    """What a file says about one of its variables.

    Parameters
    ----------
    name : str
        Its name in MATLAB.
    shape : tuple of int
        Its dimensions.
    dtype : dtype or None
        Type of its numbers. None where it is not a plain matrix of real numbers.
    kind : str
        What it is, in MATLAB's words, for error messages.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    kind: str
    at: int
    numbers_at: int

    @property
    def n_bytes(self) -> int:
        """Bytes that the matrix takes in memory."""
        return math.prod(self.shape) * (self.dtype.itemsize if self.dtype else 0)


class Mat5File:
    """The variables of a MATLAB v5 file, each decompressed only when it is read.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    variables : dict of str to Mat5Variable
        By name.

    Raises
    ------
    InputError
        If the file is not MATLAB v5, or is damaged or cut short.

    Notes
    -----
    "MAT-File Format", MathWorks, chapter 1. `scipy.io.loadmat` reads the same and more, but takes the type
    code of an element as an index without a check (`read_numeric`, scipy 1.17): a flipped bit in a file can
    end the whole process, which a service cannot risk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        head = file_head(path, _HEADER_BYTES)
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: the file is larger than {MAX_BYTES} bytes; cut the recording into parts")
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        if not head.startswith(b"MATLAB 5.0") or order is None:
            raise InputError(f"{path}: not a MATLAB v5 file (it must begin with 'MATLAB 5.0')")
        self._order = order
        self._content = path.read_bytes()
        self.variables: dict[str, Mat5Variable] = {}
        try:
            at = _HEADER_BYTES
            while at < len(self._content):
                code, start, size, after = self._element(self._content, at)
                if code not in (_MATRIX, _COMPRESSED) or start + size > len(self._content):
                    raise _DamageError(f"byte {at} does not begin a whole variable")
                self._add(at)
                at = start + size if code == _COMPRESSED else after
        except (_DamageError, zlib.error) as error:
            raise self._damaged(error) from error

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> npt.NDArray[Any]:
        """Read a matrix of real numbers.

        Parameters
        ----------
        name : str
            One of `variables`.
        max_bytes : int
            Most bytes that it may take in memory.

        Raises
        ------
        InputError
            If the variable is not a real numeric matrix, is larger than allowed, or is damaged.
        """
        variable = self.variables[name]
        if variable.dtype is None:
            raise InputError(f"{self._path}: {name} must be a matrix of real numbers, got {variable.kind}")
        if variable.n_bytes > max_bytes:
            raise InputError(f"{self._path}: {name} declares {variable.n_bytes} bytes, allowed are {max_bytes}")
        try:
            return self._numbers(variable, variable.dtype)
        except (_DamageError, zlib.error) as error:
            raise self._damaged(error) from error

    def _add(self, at: int) -> None:
        prefix = self._matrix(at, _PREFIX_BYTES)
        _, flags_at, flags_size, dims_at = self._element(prefix, 8)
        if flags_size != 8 or flags_at + 8 > len(prefix):
            raise _DamageError(f"the array flags at byte {at} are not 8 bytes")
        flags = struct.unpack_from(f"{self._order}I", prefix, flags_at)[0]
        code, is_logical, is_complex = flags & 0xFF, bool(flags & 0x200), bool(flags & 0x800)
        if _CLASSES.get(code) == "opaque":
            return
        _, dims_from, dims_size, name_at = self._element(prefix, dims_at)
        _, name_from, name_size, numbers_at = self._element(prefix, name_at)
        if max(name_from + name_size, dims_from + dims_size) > len(prefix) or dims_size % 4:
            raise _DamageError(f"the variable at byte {at} has no name or no dimensions")
        shape = struct.unpack_from(f"{self._order}{dims_size // 4}i", prefix, dims_from)
        name = prefix[name_from : name_from + name_size].decode("latin-1")
        if len(shape) < 2 or min(shape) < 0 or name in self.variables:
            raise _DamageError(f"the variable {name!r} has dimensions {shape} or appears twice")
        stored = _NUMERIC.get(code)
        dtype = np.dtype(stored) if stored and not is_complex else None
        kind = "complex numbers" if is_complex else _CLASSES.get(code, "logical" if is_logical else "numbers")
        self.variables[name] = Mat5Variable(name, shape, dtype, kind, at, numbers_at)

    def _numbers(self, variable: Mat5Variable, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        # MATLAB stores whole numbers in a narrower type than their class, never in a wider one.
        matrix = self._matrix(variable.at, variable.numbers_at + 16 + variable.n_bytes)
        code, start, size, _ = self._element(matrix, variable.numbers_at)
        stored = np.dtype(self._order + _STORED[code]) if code in _STORED else None
        count = math.prod(variable.shape)
        if stored is not None and stored.kind == "f" and dtype.kind != "f":
            raise _DamageError(f"{variable.name} is of whole numbers, but stored as others")
        if stored is not None and stored.itemsize > dtype.itemsize:
            raise _DamageError(f"{variable.name} is of {dtype.name}, but stored as {stored.name}")
        if stored is None or size != count * stored.itemsize or start + size > len(matrix):
            raise _DamageError(f"{variable.name} does not hold {count} numbers")
        values = np.frombuffer(matrix, stored, count, start)
        return values.astype(dtype).reshape(variable.shape, order="F")

    def _matrix(self, at: int, n_bytes: int) -> bytes:
        """First bytes, tag included, of the matrix that begins at byte `at` of the file."""
        code, start, size, _ = self._element(self._content, at)
        if code == _MATRIX:
            return self._content[at : min(at + n_bytes, start + size)]
        stream = zlib.decompressobj()
        matrix = stream.decompress(memoryview(self._content)[start : start + size], n_bytes)
        if self._element(matrix, 0)[0] != _MATRIX:
            raise _DamageError(f"byte {at} does not hold a matrix")
        # The checksum is compared when the end of the stream is reached.
        if not stream.eof and len(matrix) < n_bytes:
            raise _DamageError(f"the variable at byte {at} is cut short")
        return matrix

    def _element(self, data: bytes, at: int) -> tuple[int, int, int, int]:
        """Type code, first byte, size and end (padded) of the element that begins at byte `at`."""
        if at + 8 > len(data):
            raise _DamageError(f"the file ends inside the element at byte {at}")
        first, second = struct.unpack_from(f"{self._order}II", data, at)
        if first >> 16:
            # A small element: its size shares a word with its type, its bytes the next one.
            if first >> 16 > 4:
                raise _DamageError(f"the small element at byte {at} declares {first >> 16} bytes")
            return first & 0xFFFF, at + 4, first >> 16, at + 8
        return first, at + 8, second, at + 8 + second + -second % 8

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self._path}: the MATLAB file is damaged or cut short ({error}); copy it again")
