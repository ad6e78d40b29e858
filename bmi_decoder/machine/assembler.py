"""Assembles a program: what every family of instructions stands on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import ProgramError
from bmi_decoder.machine.instruction import UNUSED, WIDTH, Instruction, Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.move import COPY, INPUT, OUTPUT
from bmi_decoder.machine.program import LINE, Program, aligned
from bmi_decoder.machine.verify import MAX_ARENA

_STATE, _SCRATCH = "state", "scratch"


@dataclass(frozen=True)
class Slot:
    """A vector in the arena: `size` elements of one region, at an offset that is final when built."""

    region: str
    offset: int
    size: int

    def split(self, n: int) -> list[Slot]:
        """`n` equal parts, one behind the other."""
        return self.cut(*[self.size // n] * n)

    def cut(self, *sizes: int) -> list[Slot]:
        """Parts of these sizes, one behind the other."""
        starts = accumulate(sizes, initial=self.offset)
        return [Slot(self.region, start, size) for start, size in zip(starts, sizes, strict=False)]

    def window(self, start: int, size: int) -> Slot:
        """`size` elements from `start` on."""
        return Slot(self.region, self.offset + start, size)


class Assembler:
    """Constants, state, scratch and instructions of one program, until it is built.

    Parameters
    ----------
    n_inputs : int
        Length of the input row.
    """

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs = n_inputs
        self._n_outputs = 0
        self._rows: list[tuple[Instruction, dict[str, int | Slot]]] = []
        self._params: list[npt.NDArray[np.float32]] = []
        self._n_params = 0
        self._known: dict[bytes, int] = {}
        self._state: list[npt.NDArray[np.float32]] = []
        self._fields: dict[str, tuple[int, int]] = {}
        self._sizes = {_STATE: 0, _SCRATCH: 0}

    def param(self, values: npt.ArrayLike) -> int:
        """Store constants, once where several instructions share them; returns their offset.

        What is as long as a cache line begins at one.
        """
        array = np.ascontiguousarray(values, np.float32).ravel()
        digest = hashlib.sha256(array.tobytes()).digest()
        if digest in self._known:
            return self._known[digest]
        if array.size >= LINE:
            gap = -self._n_params % LINE
            self._params.append(np.zeros(gap, np.float32))
            self._n_params += gap
        offset = self._known[digest] = self._n_params
        self._params.append(array)
        self._n_params += array.size
        return offset

    def state(self, name: str, initial: npt.ArrayLike) -> Slot:
        """Reserve state that lives from bin to bin, with its value after a reset.

        A second field of the same name gets a number behind it.
        """
        array = np.ascontiguousarray(initial, np.float32).ravel()
        unique, n = name, 1
        while unique in self._fields:
            n += 1
            unique = f"{name}{n}"
        slot = Slot(_STATE, self._sizes[_STATE], array.size)
        self._fields[unique] = (slot.offset, slot.size)
        self._state.append(array)
        self._sizes[_STATE] += array.size
        return slot

    def zero_state(self, name: str, size: int) -> Slot:
        """State of that size that is 0 after a reset."""
        if size > MAX_ARENA:  # refused here, before a bundle's wide filter on many channels takes the memory
            raise ProgramError(f"a window of {size} elements is larger than the arena may be, {MAX_ARENA}")
        return self.state(name, np.zeros(size, np.float32))

    def scratch(self, size: int) -> Slot:
        """Reserve a vector that is meaningful within one bin only."""
        slot = Slot(_SCRATCH, self._sizes[_SCRATCH], size)
        self._sizes[_SCRATCH] += size
        return slot

    def emit(self, instruction: Instruction, **operands: int | Slot) -> None:
        """Append an instruction, operands by name."""
        names = {name for name, _ in instruction.operands}
        if set(operands) != names:
            raise TypeError(f"{instruction.name} takes {sorted(names)}, got {sorted(operands)}")
        self._rows.append((instruction, operands))

    def input(self) -> Slot:
        """The input row."""
        slot = self.scratch(self.n_inputs)
        self.input_onto(slot, 0)
        return slot

    def input_onto(self, target: Slot, column: int) -> None:
        """Overwrite a vector with the elements of the input row from `column` on."""
        self.emit(INPUT, dst=target, n=target.size, column=column)

    def output(self, source: Slot) -> None:
        """Append a vector to the output row."""
        self.emit(OUTPUT, src=source, n=source.size, column=self._n_outputs)
        self._n_outputs += source.size

    def embed(self, program: Program, x: Slot, prefix: str) -> Slot:
        """Another, verified program as a part of this one: its input is `x`, its output row is returned."""
        params = self.param(program.params)
        state = Slot(_STATE, self._sizes[_STATE], program.initial_state.size)
        for name, (offset, length) in program.state_fields.items():
            self._fields[f"{prefix}.{name}"] = (state.offset + offset, length)
        self._state.append(program.initial_state)
        self._sizes[_STATE] += state.size
        scratch = self.scratch(program.arena_size - state.size)
        y = self.scratch(program.n_outputs)
        for row in program.instructions.tolist():
            instruction = INSTRUCTIONS[row[0]]
            operands: dict[str, int | Slot] = {}
            for name, kind in instruction.operands:
                value = row[1 + len(operands)]
                if kind is Kind.ARENA and value < state.size:
                    operands[name] = Slot(_STATE, state.offset + value, 0)
                elif kind is Kind.ARENA:
                    operands[name] = Slot(_SCRATCH, scratch.offset + value - state.size, 0)
                elif kind is Kind.PARAMS and value != UNUSED:
                    operands[name] = params + value
                else:
                    operands[name] = value
            if instruction is INPUT:
                source = Slot(x.region, x.offset + _integer(operands["column"]), 0)
                self.emit(COPY, dst=operands["dst"], src=source, n=operands["n"])
            elif instruction is OUTPUT:
                target = Slot(y.region, y.offset + _integer(operands["column"]), 0)
                self.emit(COPY, dst=target, src=operands["src"], n=operands["n"])
            else:
                self.emit(instruction, **operands)
        return y

    def build(self) -> Program:
        """The finished, verified program."""
        base: Mapping[str, int] = {_STATE: 0, _SCRATCH: self._sizes[_STATE]}
        table = np.zeros((len(self._rows), WIDTH), np.int64)
        for row, (instruction, operands) in zip(table, self._rows, strict=True):
            row[0] = instruction.opcode
            for column, (name, _) in enumerate(instruction.operands, start=1):
                value = operands[name]
                row[column] = base[value.region] + value.offset if isinstance(value, Slot) else value
        program = Program(
            instructions=table,
            params=aligned(_joined(self._params)),
            initial_state=_joined(self._state),
            arena_size=self._sizes[_STATE] + self._sizes[_SCRATCH],
            n_inputs=self.n_inputs,
            n_outputs=self._n_outputs,
            state_fields=dict(self._fields),
        )
        program.verify()
        return program


def _joined(arrays: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.concatenate([*arrays, np.zeros(0, np.float32)])


def _integer(value: int | Slot) -> int:
    assert isinstance(value, int)
    return value
