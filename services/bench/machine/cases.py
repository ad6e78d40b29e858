"""Programs of one instruction, of typical sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.call import Call
from bmi_decoder.machine.instruction import Instruction
from bmi_decoder.machine.instruction_set import INSTRUCTIONS
from bmi_decoder.machine.kernels.linear import LINEAR, LINEAR_FEW
from bmi_decoder.machine.native import run_call
from bmi_decoder.machine.single import Placed, place

TYPICAL_SIZES = {
    "n": 128,
    "n_in": 128,
    "n_out": 512,
    "width": 32,
    "count": 8,
    "order": 6,
    "steps": 8,
    "steps_in": 8,
    "heads": 4,
    "n_key": 16,
    "n_value": 16,
    "n_state": 16,
    "tokens": 4,
}
"""The gates of an LSTM with 128 units are a dense layer of 128 x 512; a filter of 32 bins runs on 128 channels."""

_FEW_OUTPUTS = {"n_out": 2}

CALL = "(no instruction)"
_BYTES = 4


@dataclass(frozen=True)
class Case:
    """One program.

    Attributes
    ----------
    name : str
        Of the instruction, and of what is particular.
    once : callable
        Runs the instruction once.
    many : callable
        Runs it `repeats` times in one call.
    repeats : int
    n_bytes : int
        What one run touches, parameters and arena, each element once.
    """

    name: str
    once: Callable[[], None]
    many: Callable[[], None]
    repeats: int
    n_bytes: int


def cases(repeats: int, activity: float) -> list[Case]:
    """Every instruction, the dense layer also with few active inputs, and a program without instructions.

    Parameters
    ----------
    repeats : int
        Copies of the instruction in the long program.
    activity : float
        Share of inputs that are not zero, in the dense layer's second case.
    """
    found = [_empty(repeats)]
    for instruction in INSTRUCTIONS.values():
        found.append(_case(instruction, repeats))
        if instruction is LINEAR:
            found.append(_case(instruction, repeats, activity))
    return found


def _empty(repeats: int) -> Case:
    placed = place(LINEAR, TYPICAL_SIZES, {"mode": 0})
    call = _runner(placed.table[:0], *_arrays(placed))
    return Case(CALL, call, call, repeats, 0)


def _case(instruction: Instruction, repeats: int, activity: float = 1.0) -> Case:
    sizes = TYPICAL_SIZES | (_FEW_OUTPUTS if instruction is LINEAR_FEW else {})
    placed = place(instruction, sizes, {name: values[0] for name, values in instruction.choices.items()})
    params, arena, x, y = _arrays(placed)
    name, n_bytes = instruction.name, _touched(placed)
    if activity < 1:
        o = placed.operands
        active = max(1, round(o["n_in"] * activity))
        arena[o["src"] : o["src"] + o["n_in"]] = np.arange(o["n_in"]) * active % o["n_in"] < active
        n_bytes -= (o["n_in"] - active) * o["n_out"] * _BYTES
        name = f"{name}, {activity:.0%} active"
    table = placed.table
    return Case(
        name,
        _runner(table, params, arena, x, y),
        _runner(np.repeat(table, repeats, axis=0), params, arena, x, y),
        repeats,
        n_bytes,
    )


def _arrays(placed: Placed) -> tuple[npt.NDArray[np.float32], ...]:
    """Parameters, arena, input and output; parameters below 1, so that a state that decays settles."""
    rng = np.random.default_rng(0)
    return (
        rng.uniform(0.1, 0.9, placed.sizes["params"]).astype(np.float32),
        rng.uniform(0.1, 0.9, placed.sizes["arena"]).astype(np.float32),
        rng.uniform(0.1, 0.9, (1, placed.sizes["input"])).astype(np.float32),
        np.zeros((1, placed.sizes["output"]), np.float32),
    )


def _touched(placed: Placed) -> int:
    return _BYTES * sum(
        int((placed.declared(space, writes=False) | placed.declared(space, writes=True)).sum())
        for space in ("arena", "params", "input", "output")
    )


def _runner(
    table: npt.NDArray[np.int64],
    params: npt.NDArray[np.float32],
    arena: npt.NDArray[np.float32],
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.float32],
) -> Callable[[], None]:
    # Through `place`, every range lies inside these arrays; the verifier would want whole programs.
    call = Call(np.ascontiguousarray(table), params, arena, x.shape[1], y.shape[1])
    call.bind(x, y)
    return lambda: run_call(call.address)
