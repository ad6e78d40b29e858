"""What an instruction is: its operands, and exactly which array elements it touches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

WIDTH = 12
"""Columns of the instruction table: the opcode, then up to 11 operands."""

UNUSED = -1
"""Operand value that leaves an optional parameter out."""


class Kind(Enum):
    """What an operand's number means, so that programs can be checked and relocated."""

    ARENA = "offset in the arena"
    PARAMS = "offset in the parameters"
    SIZE = "positive length"
    CHOICE = "small enumeration"
    COLUMN = "column of the input or output row"


class Access(NamedTuple):
    """A range of elements that an instruction reads or writes."""

    space: str  # "arena", "params", "input" or "output"
    start: int
    length: int
    writes: bool = False


Operands = Mapping[str, int]


@dataclass(frozen=True)
class Instruction:
    """One kind of instruction.

    Parameters
    ----------
    opcode : int
        Number in the first column of the table.
    name : str
    operands : tuple of (name, Kind)
        Columns 1 onward.
    accesses : callable
        Operands to the ranges that the kernel touches, reads before writes. `Program.verify` trusts this
        list, so a kernel must never touch anything else; tests/machine/test_accesses.py checks it.
    choices : mapping
        Allowed values of each `Kind.CHOICE` operand.
    optional : frozenset
        Parameter operands that may be `UNUSED`.
    work : callable, optional
        Operands to the number of elements that the kernel touches, where it goes over its ranges more than once.
    """

    opcode: int
    name: str
    operands: tuple[tuple[str, Kind], ...]
    accesses: Callable[[Operands], tuple[Access, ...]]
    choices: Mapping[str, tuple[int, ...]]
    optional: frozenset[str] = frozenset()
    work: Callable[[Operands], int] | None = None

    def decode(self, row: list[int]) -> dict[str, int]:
        """Operand names to the numbers in a row of the table."""
        return {name: row[1 + i] for i, (name, _) in enumerate(self.operands)}


def elementwise(opcode: int, name: str) -> Instruction:
    """An instruction that takes every element of `src` to the one of `dst` in its place."""
    return Instruction(
        opcode,
        name,
        (("dst", Kind.ARENA), ("src", Kind.ARENA), ("n", Kind.SIZE)),
        lambda o: (read(o["src"], o["n"]), write(o["dst"], o["n"])),
        {},
    )


def read(start: int, length: int) -> Access:
    """An arena range that is read."""
    return Access("arena", start, length)


def write(start: int, length: int) -> Access:
    """An arena range that is written."""
    return Access("arena", start, length, writes=True)


def update(start: int, length: int) -> tuple[Access, Access]:
    """An arena range that is read and written: state."""
    return read(start, length), write(start, length)


def param(start: int, length: int) -> tuple[Access, ...]:
    """A parameter range; nothing for a parameter left out."""
    return () if start == UNUSED else (Access("params", start, length),)
