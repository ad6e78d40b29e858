from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.grid import DROP, RESTART, SampleGrid

STEP = 0.004


def place_all(grid: SampleGrid, stamps: list[float]) -> list[int]:
    return [grid.place(stamp) for stamp in stamps]


@pytest.fixture
def grid() -> SampleGrid:
    return SampleGrid(STEP, max_gap_s=1.0)


@pytest.mark.parametrize("start", [0.0, 12.34, 1.7e9])
def test_regular_stamps_are_in_their_place(grid: SampleGrid, start: float) -> None:
    assert place_all(grid, (start + STEP * np.arange(1000)).tolist()) == [0] * 1000


def test_jitter_of_half_a_sample_is_no_gap(grid: SampleGrid) -> None:
    rng = np.random.default_rng(1)
    stamps = STEP * (np.arange(20_000) + rng.uniform(-0.35, 0.35, 20_000))
    assert place_all(grid, stamps.tolist()) == [0] * 20_000


@pytest.mark.parametrize("ppm", [200, -200, 1000, -1000])
def test_a_drifting_clock_stays_on_the_grid(grid: SampleGrid, ppm: float) -> None:
    """Ten minutes at 200 ppm are 30 samples."""
    stamps = STEP * (1 + ppm * 1e-6) * np.arange(150_000)
    assert set(place_all(grid, stamps.tolist())) == {0}
    assert grid.expected == pytest.approx(stamps[-1] + STEP, abs=0.2 * STEP)


def test_a_gap_is_found_on_a_drifted_grid(grid: SampleGrid) -> None:
    stamps = STEP * (1 + 200e-6) * np.delete(np.arange(10_000), range(9000, 9003))
    assert [answer for answer in place_all(grid, stamps.tolist()) if answer] == [3]


@given(missing=st.integers(1, 250), jitter=st.floats(-0.2, 0.2))
def test_missing_samples_are_counted(missing: int, jitter: float) -> None:
    grid = SampleGrid(STEP, max_gap_s=1.0)
    assert place_all(grid, [0.0, STEP]) == [0, 0]
    assert grid.place((2 + missing + jitter) * STEP) == missing
    assert grid.place((3 + missing) * STEP) == 0


def test_the_longest_gap_that_is_bridged(grid: SampleGrid) -> None:
    grid.place(0.0)
    assert grid.place(251 * STEP) == 250
    assert grid.place((252 + 251) * STEP) == RESTART
    assert grid.place((252 + 252) * STEP) == 0


def test_doubled_late_and_reordered_samples_are_dropped(grid: SampleGrid) -> None:
    stamps = [STEP * k for k in (0, 1, 1, 2, 0, 3, 5, 4, 6)]
    assert place_all(grid, stamps) == [0, 0, DROP, 0, DROP, 0, 1, DROP, 0]


@pytest.mark.parametrize("jump_s", [200_000.0, -200_000.0])
def test_a_clock_that_jumps_begins_a_new_grid_once(grid: SampleGrid, jump_s: float) -> None:
    stamps = STEP * np.arange(200)
    stamps[100:] += jump_s
    assert [(k, answer) for k, answer in enumerate(place_all(grid, stamps.tolist())) if answer] == [(100, RESTART)]


@pytest.mark.parametrize("max_gap_s", [0.0, 1.0, 60.0])
def test_the_longest_gap_says_nothing_about_late_samples(max_gap_s: float) -> None:
    """Otherwise nothing would be decoded for a minute after a clock was set back by that much."""
    grid = SampleGrid(STEP, max_gap_s)
    place_all(grid, [0.0, STEP])
    assert grid.place(STEP) == DROP
    assert grid.place(-30.0) == RESTART


@pytest.mark.parametrize("stamp", [math.nan, math.inf, -math.inf])
def test_a_stamp_that_is_no_time_changes_nothing(grid: SampleGrid, stamp: float) -> None:
    assert place_all(grid, [stamp, 0.0, stamp, STEP, 2 * STEP]) == [DROP, 0, DROP, 0, 0]


def test_restart_forgets(grid: SampleGrid) -> None:
    grid.place(0.0)
    grid.restart()
    assert grid.expected is None
    assert grid.place(0.5) == 0


@given(st.lists(st.floats(width=64), max_size=200))
def test_no_stamps_are_too_strange(stamps: list[float]) -> None:
    grid = SampleGrid(STEP, max_gap_s=1.0)
    for stamp in stamps:
        answer = grid.place(stamp)
        assert answer in (DROP, RESTART) or 0 <= answer <= 250
        assert grid.expected is None or math.isfinite(grid.expected)
