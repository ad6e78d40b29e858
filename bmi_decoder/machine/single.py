"""One instruction laid out by itself, for tests and benchmarks of single kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.instruction import UNUSED, WIDTH, Access, Instruction, Kind

_FAR = 1 << 30


@dataclass(frozen=True)
class Placed:
    """One instruction with its vectors apart from each other, some unused elements around each.

    Attributes
    ----------
    instruction : Instruction
    operands : dict
    sizes : dict
        Elements that ``arena``, ``params``, ``input`` and ``output`` need.
    """

    instruction: Instruction
    operands: dict[str, int]
    sizes: dict[str, int]

    @property
    def table(self) -> npt.NDArray[np.int64]:
        """The program, of one row."""
        table = np.zeros((1, WIDTH), np.int64)
        table[0, 0] = self.instruction.opcode
        for column, (name, _) in enumerate(self.instruction.operands, start=1):
            table[0, column] = self.operands[name]
        return table

    def declared(self, space: str, writes: bool) -> npt.NDArray[np.bool_]:
        """Mask of the elements of one array that the instruction declares to read, or to write."""
        mask = np.zeros(self.sizes[space], bool)
        for access in self.accesses():
            if access.space == space and access.writes == writes:
                mask[access.start : access.start + access.length] = True
        return mask

    def accesses(self) -> tuple[Access, ...]:
        """What the instruction declares to touch."""
        return self.instruction.accesses(self.operands)


def place(
    instruction: Instruction,
    sizes: Mapping[str, int],
    choices: Mapping[str, int],
    unused: frozenset[str] = frozenset(),
    gap: int = 16,
) -> Placed:
    """Give every vector of an instruction its own place, as large as its declared accesses say.

    Parameters
    ----------
    instruction : Instruction
    sizes, choices : mapping
        Value of every operand of kind `SIZE` and `CHOICE`; may hold more.
    unused : frozenset
        Optional parameters that are left out.
    gap : int
        Elements between vectors. The default keeps them in cache lines of their own.
    """
    operands = {name: _FAR * i for i, (name, _) in enumerate(instruction.operands, start=1)}
    operands |= {name: sizes[name] for name, kind in instruction.operands if kind is Kind.SIZE}
    operands |= {name: choices[name] for name, kind in instruction.operands if kind is Kind.CHOICE}
    operands |= dict.fromkeys(unused, UNUSED)
    lengths: dict[int, int] = {}
    for access in instruction.accesses(operands):
        # A vector's base, wherever in it the access begins: state has a head before its ring.
        base = access.start // _FAR * _FAR
        lengths[base] = max(lengths.get(base, 0), access.start - base + access.length)
    ends = {"arena": gap, "params": gap}
    places = dict(operands)
    for name, kind in instruction.operands:
        if kind in (Kind.ARENA, Kind.PARAMS) and name not in unused:
            space = "arena" if kind is Kind.ARENA else "params"
            places[name] = ends[space]
            ends[space] += lengths[operands[name]] + gap
        elif kind is Kind.COLUMN:
            places[name] = gap
    row = gap + max(sizes.values()) + gap
    return Placed(instruction, places, {**ends, "input": row, "output": row})
