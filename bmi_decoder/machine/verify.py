"""Proof that a program stays inside its arrays. This is the security boundary for bundles from strangers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import ProgramError
from bmi_decoder.machine.instruction import UNUSED, WIDTH, Access, Instruction, Kind
from bmi_decoder.machine.instruction_set import INSTRUCTIONS

MAX_INSTRUCTIONS = 4096
MAX_ARENA = 1 << 24
MAX_ROW = 1 << 16
MAX_TOUCHED = 1 << 27
"""Elements that one bin may touch in all: a bound on the time of one step."""


def verify(
    instructions: npt.NDArray[np.int64],
    params: npt.NDArray[np.float32],
    initial_state: npt.NDArray[np.float32],
    arena_size: int,
    n_inputs: int,
    n_outputs: int,
) -> None:
    """Check every instruction of a program; see `Program.verify`.

    Proven: every range lies inside its array; scratch is written before it is read within the bin, so the
    state slice is the only memory from bin to bin; every output column is written; constants are finite; and
    the work per bin is bounded.

    Raises
    ------
    ProgramError
    """
    _check_arrays(instructions, params, initial_state, arena_size, n_inputs, n_outputs)
    limits = {"arena": arena_size, "params": params.size, "input": n_inputs, "output": n_outputs}
    defined = np.zeros(arena_size, bool)
    defined[: initial_state.size] = True
    written = np.zeros(n_outputs, bool)
    touched = 0
    for index, row in enumerate(instructions.tolist()):
        instruction, accesses, work = _decode(index, row)
        touched += work
        for access in accesses:
            name = f"instruction {index} ({instruction.name})"
            stop = access.start + access.length
            if access.start < 0 or stop > limits[access.space]:
                raise ProgramError(
                    f"{name} reaches {access.space} elements {access.start}:{stop}, "
                    f"outside 0:{limits[access.space]}; the bundle is damaged or not to be trusted"
                )
            touched += access.length
            if access.space == "output":
                written[access.start : stop] = True
            elif access.space == "arena" and access.writes:
                defined[access.start : stop] = True
            elif access.space == "arena" and not defined[access.start : stop].all():
                raise ProgramError(f"{name} reads arena elements {access.start}:{stop} before they are written")
        if touched > MAX_TOUCHED:
            raise ProgramError(f"program touches more than {MAX_TOUCHED} elements per bin")
    if not written.all():
        raise ProgramError(f"output column {int(np.argmin(written))} is never written")


def _check_arrays(
    instructions: npt.NDArray[np.int64],
    params: npt.NDArray[np.float32],
    initial_state: npt.NDArray[np.float32],
    arena_size: int,
    n_inputs: int,
    n_outputs: int,
) -> None:
    if instructions.dtype != np.int64 or instructions.ndim != 2 or instructions.shape[1] != WIDTH:
        raise ProgramError(
            f"instructions must be an int64 (n, {WIDTH}) table, got {instructions.dtype} {instructions.shape}"
        )
    if not 1 <= len(instructions) <= MAX_INSTRUCTIONS:
        raise ProgramError(f"a program has 1 to {MAX_INSTRUCTIONS} instructions, got {len(instructions)}")
    for name, array in (("params", params), ("initial_state", initial_state)):
        if array.dtype != np.float32 or array.ndim != 1:
            raise ProgramError(f"{name} must be a float32 vector, got {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise ProgramError(f"{name} has a non-finite value at element {int(np.argmin(np.isfinite(array)))}")
    if not initial_state.size <= arena_size <= MAX_ARENA:
        raise ProgramError(
            f"arena of {arena_size} elements must hold the state ({initial_state.size}) and at most {MAX_ARENA}"
        )
    for name, size in (("inputs", n_inputs), ("outputs", n_outputs)):
        if not 1 <= size <= MAX_ROW:
            raise ProgramError(f"a program has 1 to {MAX_ROW} {name}, got {size}")


def _decode(index: int, row: list[int]) -> tuple[Instruction, tuple[Access, ...], int]:
    instruction = INSTRUCTIONS.get(row[0])
    if instruction is None:
        raise ProgramError(f"instruction {index} has opcode {row[0]}, which this version does not know: update it")
    operands = instruction.decode(row)
    for message in _bad_operands(instruction, operands):
        raise ProgramError(f"instruction {index} ({instruction.name}): {message}")
    work = 0 if instruction.work is None else instruction.work(operands)
    return instruction, instruction.accesses(operands), work


def _bad_operands(instruction: Instruction, operands: dict[str, int]) -> Iterator[str]:
    for name, kind in instruction.operands:
        value = operands[name]
        if kind is Kind.SIZE and not 1 <= value <= MAX_ARENA:
            yield f"{name} must be 1 to {MAX_ARENA}, got {value}"
        elif kind is Kind.CHOICE and value not in instruction.choices[name]:
            yield f"{name} must be one of {instruction.choices[name]}, got {value}"
        elif kind is Kind.PARAMS and value < 0 and not (value == UNUSED and name in instruction.optional):
            yield f"{name} must be an offset in the parameters, got {value}"
