"""A running program: its arena, and copies of its state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.machine.call import Call
from bmi_decoder.machine.native import run, run_call
from bmi_decoder.machine.program import Program


class LiveCall(NamedTuple):
    """Where the live loop finds a program: the addresses of its `Call`, and of one that is run in vain."""

    call: int
    rehearsal: int
    arena: int
    scratch: int
    n_arena: int


class Executor:
    """Runs a program bin by bin or over whole recordings, with the same compiled function.

    Parameters
    ----------
    program : Program
        Verified here once more, because nothing is checked while it runs.
    """

    def __init__(self, program: Program) -> None:
        program.verify()
        self.program = program
        self._arena = np.zeros(program.arena_size, np.float32)
        self._scratch = np.zeros_like(self._arena)
        constants, row_sizes = (program.instructions, program.params), (program.n_inputs, program.n_outputs)
        self._call = Call(*constants, self._arena, *row_sizes)
        self._rehearsal = Call(*constants, self._scratch, *row_sizes)
        x, y = self.rows()
        x[:] = 1
        self._rehearsal.bind(x, y)
        self._n_state = program.initial_state.size
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first bin."""
        self._arena[: self._n_state] = self.program.initial_state

    def state(self) -> npt.NDArray[np.float32]:
        """A copy of the state."""
        return self._arena[: self._n_state].copy()

    def load_state(self, state: npt.ArrayLike) -> None:
        """Continue from a state that `state` returned.

        Raises
        ------
        InputError
            If it is not a float32 vector of this program's state length.
        """
        array = np.asarray(state)
        if array.dtype != np.float32 or array.shape != (self._n_state,):
            raise InputError(
                f"state must be a float32 vector of {self._n_state} elements, got {array.dtype} {array.shape}"
            )
        self._arena[: self._n_state] = array

    def run_into(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> None:
        """Run the rows of `x` (T, n_inputs) into `y` (T, n_outputs), both C-contiguous float32.

        This is the hot path: the caller made both arrays once, with `rows`. They are checked when they change.

        Raises
        ------
        ValueError
            If they are not such arrays.
        """
        call = self._call
        if x is not call.x or y is not call.y:
            call.bind(x, y)
        run_call(call.address)

    def live_call(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> LiveCall:
        """For the live loop, with rows as for `run_into`, which keep their place.

        Raises
        ------
        ValueError
            If they are not such arrays.
        """
        self._call.bind(x, y)
        places = (self._arena.ctypes.data, self._scratch.ctypes.data)
        return LiveCall(self._call.address, self._rehearsal.address, *places, self._arena.size)

    def rehearse(self) -> None:
        """Run one row in vain: state and outputs stay as they are, but all of it is in the processor's caches.

        The row has no zeros, because rows of weights are read only for inputs that are not zero.
        """
        np.copyto(self._scratch, self._arena)
        run_call(self._rehearsal.address)

    def rows(self, n: int = 1) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Input and output arrays of `n` rows for `run_into`."""
        return np.zeros((n, self.program.n_inputs), np.float32), np.zeros((n, self.program.n_outputs), np.float32)

    def run(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Run rows and return their outputs, shape (T, n_outputs).

        Raises
        ------
        InputError
            If `x` is not a (T, n_inputs) array of real numbers.
        """
        rows = np.asarray(x)
        if rows.ndim != 2 or rows.shape[1] != self.program.n_inputs:
            raise InputError(f"input must have shape (bins, {self.program.n_inputs}), got {rows.shape}")
        if rows.dtype.kind not in "biuf":
            raise InputError(f"input must be real numbers, got dtype {rows.dtype}")
        y = np.zeros((len(rows), self.program.n_outputs), np.float32)
        run(self.program.instructions, self.program.params, self._arena, np.ascontiguousarray(rows, np.float32), y)
        return y
