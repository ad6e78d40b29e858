from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.machine.executor import Executor
from tests.machine.test_verify import PROGRAM

ROWS = np.random.default_rng(2).poisson(1.0, (50, 6)).astype(np.float32)
WHOLE = Executor(PROGRAM).run(ROWS)


@settings(deadline=None)
@given(st.lists(st.integers(0, len(ROWS)), max_size=30))
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    machine = Executor(PROGRAM)
    parts = [machine.run(part) for part in np.split(ROWS, sorted(cuts))]
    assert np.array_equal(np.concatenate(parts), WHOLE)


def test_reset_returns_to_the_initial_state() -> None:
    machine = Executor(PROGRAM)
    assert np.array_equal(machine.state(), PROGRAM.initial_state)
    machine.run(ROWS)
    assert not np.array_equal(machine.state(), PROGRAM.initial_state)
    machine.reset()
    assert np.array_equal(machine.state(), PROGRAM.initial_state)
    assert np.array_equal(machine.run(ROWS), WHOLE)


def test_a_saved_state_is_a_copy_that_another_machine_goes_on_from() -> None:
    machine, other = Executor(PROGRAM), Executor(PROGRAM)
    machine.run(ROWS[:17])
    saved = machine.state()
    kept = saved.copy()
    rest = machine.run(ROWS[17:])
    assert np.array_equal(saved, kept)
    other.load_state(saved)
    saved[:] = 99
    assert np.array_equal(other.run(ROWS[17:]), rest)
    assert np.array_equal(rest, WHOLE[17:])


@pytest.mark.parametrize(
    "state",
    [
        np.zeros(PROGRAM.initial_state.size, np.float64),
        np.zeros(PROGRAM.initial_state.size - 1, np.float32),
        np.zeros((1, PROGRAM.initial_state.size), np.float32),
        [0.0] * PROGRAM.initial_state.size,
    ],
)
def test_another_programs_state_is_refused(state: object) -> None:
    machine = Executor(PROGRAM)
    with pytest.raises(InputError, match=f"float32 vector of {PROGRAM.initial_state.size} elements"):
        machine.load_state(state)
    assert np.array_equal(machine.state(), PROGRAM.initial_state)


def test_rows_of_any_number_type_and_layout() -> None:
    for rows in (
        ROWS.astype(np.uint8),
        ROWS.astype(np.int64),
        ROWS.astype(np.float64),
        np.asfortranarray(ROWS),
        np.repeat(ROWS, 2, 0)[::2],
        ROWS.tolist(),
    ):
        y = Executor(PROGRAM).run(rows)
        assert y.dtype == np.float32
        assert np.array_equal(y, WHOLE)
    assert Executor(PROGRAM).run(ROWS > 0).shape == WHOLE.shape


@pytest.mark.parametrize("shape", [(6,), (3, 5), (3, 7), (2, 3, 6), (0,)])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"shape \(bins, 6\)"):
        Executor(PROGRAM).run(np.zeros(shape))


@pytest.mark.parametrize("dtype", ["U3", complex, object, "datetime64[s]"])
def test_rows_that_are_no_real_numbers_are_refused(dtype: object) -> None:
    with pytest.raises(InputError, match="real numbers"):
        Executor(PROGRAM).run(np.zeros((2, 6)).astype(dtype))


def test_no_rows_give_no_rows_and_change_nothing() -> None:
    machine = Executor(PROGRAM)
    assert machine.run(np.zeros((0, 6))).shape == (0, 8)
    assert np.array_equal(machine.state(), PROGRAM.initial_state)


def test_the_hot_path_is_the_same_function() -> None:
    machine = Executor(PROGRAM)
    x, y = machine.rows()
    for row, want in zip(ROWS, WHOLE, strict=True):
        x[:] = row
        machine.run_into(x, y)
        assert np.array_equal(y[0], want)
    x, y = machine.rows(7)
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((7, 6), (7, 8), np.float32, np.float32)


def test_the_hot_path_takes_rows_of_any_number_and_no_others() -> None:
    machine = Executor(PROGRAM)
    y = np.zeros_like(WHOLE)
    for start, stop in ((0, 20), (20, 21), (21, 50)):
        machine.run_into(ROWS[start:stop], y[start:stop])
    assert np.array_equal(y, WHOLE)
    for x in (ROWS[:, :5].copy(), ROWS[:49], ROWS.astype(np.float64), np.asfortranarray(ROWS), ROWS[0]):
        with pytest.raises(ValueError, match=r"^x must|^y must"):
            machine.run_into(x, y)


def test_a_reset_leaves_no_trace_of_broken_input() -> None:
    machine = Executor(PROGRAM)
    broken = ROWS.copy()
    broken[10], broken[11, 2], broken[12] = np.nan, np.inf, -3e38
    machine.run(broken)
    assert not np.isfinite(machine.state()).all()
    machine.reset()
    assert np.array_equal(machine.run(ROWS), WHOLE)
