"""Neurons that settle within a bin, in the machine, against their rules in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bmi_decoder.errors import ProgramError
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.program import Program
from tests.layers.bipolar import fractions, quantised, settle_network

GRID = 64
LIMITS = [(0, 15), (-16, 15), (0, 1), (-4, 3)]


def on_grid(*shape: int, seed: int, size: float = 6.0) -> np.ndarray:
    return np.round(GRID * size * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32) / GRID


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_a_current_settles_to_its_rounded_value(low: int, high: int) -> None:
    builder, steps = Builder(6), max(high, -low)
    train, trace = builder.bif(builder.copy(builder.input()), steps, low, high)
    builder.output(trace)
    builder.output(train)
    x = np.vstack([on_grid(50, 6, seed=0), np.full((1, 6), 0.5), np.full((1, 6), -0.5), np.full((1, 6), 0.49)])
    y = Executor(builder.build()).run(x.astype(np.float32))
    for row, out in zip(x, y, strict=True):
        want = [quantised(Fraction(float(v)), low, high) for v in row]
        spikes = out[7:].reshape(steps, 6)
        assert out[:6].tolist() == want == spikes.sum(0).tolist()
        assert out[6] == max(map(abs, want)) == np.count_nonzero(spikes.any(1))


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_driven_neurons_follow_the_rules(low: int, high: int) -> None:
    weight, bias, first = on_grid(4, 6, seed=1, size=0.7), on_grid(4, seed=2), on_grid(60, 6, seed=3)
    builder = Builder(6)
    train, _ = builder.bif(builder.copy(builder.input()), 16, -16, 15)
    bound = 16 + high - low - 1
    current = builder.affine(builder.zeros(4), np.ones(4), bias)
    driven, trace = builder.bif_driven(current, train, weight, bound, low, high)
    builder.output(trace)
    builder.output(driven)
    y = Executor(builder.build()).run(first)
    matrix, shift = fractions(weight), fractions(bias)
    for row, out in zip(fractions(first), y, strict=True):
        traces, history = settle_network([row, shift], [matrix], [(-16, 15), (low, high)])
        assert out[:4].tolist() == traces[1]
        assert out[4] == len(history) <= bound
        spikes = out[5:].reshape(bound, 4)
        assert np.array_equal(spikes[: len(history)], [fired[1] for fired in history])
        assert not spikes[len(history) :].any()


def test_rounding_is_half_up_and_limited() -> None:
    builder = Builder(7)
    builder.output(builder.round_half_up(builder.input(), -4, 3))
    y = Executor(builder.build()).run([[0.5, -0.5, 1.4375, 2.5, 9.0, -9.0, np.nan]])
    assert y[0, :6].tolist() == [1.0, 0.0, 1.0, 3.0, 3.0, -4.0]
    assert np.isnan(y[0, 6])


def test_nan_stays_visible_and_ends() -> None:
    builder = Builder(2)
    train, _ = builder.bif(builder.copy(builder.input()), 15, 0, 15)
    current = builder.zeros(2)
    _, trace = builder.bif_driven(current, train, np.eye(2), 29, 0, 15)
    builder.output(trace)
    y = Executor(builder.build()).run([[np.nan, 3.0], [np.inf, -np.inf], [2.0, 1.0]])
    assert np.isnan(y[0]).all() and y[1].tolist() == [15.0, 0.0] and y[2].tolist() == [2.0, 1.0]


def test_the_work_of_inner_steps_is_bounded() -> None:
    """What is declared as touched once is gone over in every step."""
    builder = Builder(300)
    train, _ = builder.bif(builder.copy(builder.input()), 2000, 0, 2000)
    _, trace = builder.bif_driven(builder.zeros(300), train, np.ones((300, 300)), 1, 0, 1)
    builder.output(trace)
    with pytest.raises(ProgramError, match="touches more than"):
        builder.build()


def test_a_program_with_neurons_survives_its_bytes() -> None:
    builder = Builder(3)
    _, trace = builder.bif(builder.copy(builder.input()), 15, 0, 15)
    builder.output(trace)
    program = builder.build()
    x = on_grid(20, 3, seed=4)
    assert np.array_equal(Executor(Program.from_bytes(program.to_bytes())).run(x), Executor(program).run(x))
