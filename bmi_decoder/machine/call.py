"""Where the arrays of one call of the machine are, so that the compiled function takes a single number.

Between two bins of a live session others use the processor's caches. Five arrays would each be taken apart anew on the
way from Python, by code that is cold by then, and that takes longer than most programs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.instruction import WIDTH

N_FIELDS = 11
"""Addresses, each with lengths behind it: instructions, parameters, arena, input and output."""


class Call:
    """A program's arrays, and the rows that it is to run.

    Parameters
    ----------
    instructions : array (N, WIDTH) of int64
    params, arena : vectors of float32
    n_inputs, n_outputs : int
        Lengths of the rows.

    Raises
    ------
    ValueError
        If an array is of another type, or not C-contiguous.

    Attributes
    ----------
    address : int
        What the compiled function takes.
    x, y : array or None
        The rows it reads and writes; None before `bind`.
    """

    __slots__ = ("_fields", "_held", "_n_inputs", "_n_outputs", "address", "x", "y")

    def __init__(
        self,
        instructions: npt.NDArray[np.int64],
        params: npt.NDArray[np.float32],
        arena: npt.NDArray[np.float32],
        n_inputs: int,
        n_outputs: int,
    ) -> None:
        _check("instructions", instructions, np.int64, 2)
        assert instructions.shape[1] == WIDTH
        for name, array in (("params", params), ("arena", arena)):
            _check(name, array, np.float32, 1)
        self._n_inputs, self._n_outputs = n_inputs, n_outputs
        self._held = (instructions, params, arena)
        self._fields = np.zeros(N_FIELDS, np.int64)
        self._fields[:6] = [part for array in self._held for part in (array.ctypes.data, len(array))]
        self.address = self._fields.ctypes.data
        self.x: npt.NDArray[np.float32] | None = None
        self.y: npt.NDArray[np.float32] | None = None

    def bind(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> None:
        """Run the rows of `x` (T, n_inputs) into `y` (T, n_outputs) from now on.

        Raises
        ------
        ValueError
            If they are not such arrays.
        """
        for name, rows, n_columns in (("x", x, self._n_inputs), ("y", y, self._n_outputs)):
            _check(name, rows, np.float32, 2)
            if rows.shape != (len(x), n_columns):
                raise ValueError(f"{name} must have shape ({len(x)}, {n_columns}), got {rows.shape}")
        self._fields[6:] = x.ctypes.data, len(x), x.shape[1], y.ctypes.data, y.shape[1]
        self.x, self.y = x, y


def _check(name: str, array: npt.NDArray[Any], dtype: type, ndim: int) -> None:
    if array.dtype != dtype or array.ndim != ndim or not array.flags.c_contiguous:
        raise ValueError(
            f"{name} must be a C-contiguous array of {np.dtype(dtype)} with {ndim} axes, "
            f"got {array.dtype} {array.shape}"
        )
