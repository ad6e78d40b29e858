"""Random numbers, small programs, and single instructions in guarded arrays that show every element they touch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from bmi_decoder.machine.builder import Builder, Slot
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.instruction import Instruction
from bmi_decoder.machine.native import run
from bmi_decoder.machine.single import Placed, place

GAP = 3


def normal(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def executor(builder: Builder, *outputs: Slot) -> Executor:
    for slot in outputs:
        builder.output(slot)
    return Executor(builder.build())


def variations(instruction: Instruction, sizes: dict[str, int]) -> Iterator[Placed]:
    """The instruction with every combination of choices and of parameters left out."""
    names = list(instruction.choices)
    optional = sorted(instruction.optional)
    for values in itertools.product(*(instruction.choices[name] for name in names)):
        for n in range(len(optional) + 1):
            for unused in itertools.combinations(optional, n):
                yield place(instruction, sizes, dict(zip(names, values, strict=True)), frozenset(unused), GAP)


class Guarded:
    """An array inside a larger one, so that an access outside it meets `guard` instead of foreign memory."""

    def __init__(self, values: np.ndarray, guard: float, margin: int = 256) -> None:
        self._whole = np.full(values.size + 2 * margin, guard, np.float32)
        self.inner = self._whole[margin : margin + values.size].reshape(values.shape)
        self.inner[...] = values
        self._guard, self._margin, self._size = np.float32(guard), margin, values.size

    @property
    def intact(self) -> bool:
        """Whether nothing was written outside."""
        outside = np.concatenate([self._whole[: self._margin], self._whole[self._margin + self._size :]])
        return bool(np.array_equal(outside, np.full_like(outside, self._guard), equal_nan=True))


def run_guarded(
    table: np.ndarray, params: np.ndarray, arena: np.ndarray, x: np.ndarray, n_outputs: int, guard: float
) -> tuple[np.ndarray, np.ndarray]:
    """Run a program inside guards; returns the arena and the output, after checking that all guards hold."""
    arrays = {"params": params, "arena": arena, "x": x, "y": np.full((len(x), n_outputs), guard, np.float32)}
    guarded = {name: Guarded(values, guard) for name, values in arrays.items()}
    run(table, *(guarded[name].inner for name in arrays))
    for name in ("params", "x"):
        assert np.array_equal(guarded[name].inner, arrays[name], equal_nan=True), f"{name} was written"
    for name, array in guarded.items():
        assert array.intact, f"something was written outside {name}"
    return guarded["arena"].inner, guarded["y"].inner
