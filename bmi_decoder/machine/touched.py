"""How many bytes a program really reads and writes per bin: rows of weights behind zero inputs are never read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.linear import LINEAR
from bmi_decoder.machine.native import run
from bmi_decoder.machine.program import Program

_BYTES = 4


@dataclass(frozen=True)
class Touched:
    """Bytes per bin, the mean over some bins.

    Attributes
    ----------
    params : float
        Parameters read: of matrices only the rows whose input is not zero.
    params_dense : int
        The same if no input were zero.
    arena : int
        State and scratch that instructions read or write, each element once.
    """

    params: float
    params_dense: int
    arena: int


def touched_bytes(program: Program, x: npt.NDArray[np.float32]) -> Touched:
    """Run the rows of `x` (T, n_inputs) instruction by instruction, and count what they touch.

    Raises
    ------
    ProgramError
        If the program is not safe.
    """
    program.verify()
    operands = [INSTRUCTIONS[row[0]].decode(row) for row in program.instructions.tolist()]
    dense = np.zeros(program.params.size, bool)
    always = np.zeros(program.params.size, bool)
    arena_touched = np.zeros(program.arena_size, bool)
    sparse = []
    for i, o in enumerate(operands):
        instruction = INSTRUCTIONS[int(program.instructions[i, 0])]
        for access in instruction.accesses(o):
            stop = access.start + access.length
            if access.space == "arena":
                arena_touched[access.start : stop] = True
            elif access.space == "params":
                dense[access.start : stop] = True
                if instruction is not LINEAR or access.start != o["weight"]:
                    always[access.start : stop] = True
        if instruction is LINEAR:
            sparse.append(i)
    arena = np.zeros(program.arena_size, np.float32)
    arena[: program.initial_state.size] = program.initial_state
    y = np.zeros((1, program.n_outputs), np.float32)
    cuts = [0, *sparse, len(operands)]
    rows_read = 0
    for t in range(len(x)):
        for begin, end in pairwise(cuts):
            if begin in sparse and end > begin:
                o = operands[begin]
                rows_read += int(np.count_nonzero(arena[o["src"] : o["src"] + o["n_in"]])) * o["n_out"]
            run(program.instructions[begin:end], program.params, arena, x[t : t + 1], y)
    return Touched(
        (float(always.sum()) + rows_read / len(x)) * _BYTES,
        int(dense.sum()) * _BYTES,
        int(arena_touched.sum()) * _BYTES,
    )
