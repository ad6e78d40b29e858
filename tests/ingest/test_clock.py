"""The clock's offset is known as well as the quickest answer of late allows."""

from __future__ import annotations

import numpy as np

from services.ingest.clock import ClockOffset


def test_a_slow_answer_is_not_believed_over_a_quick_one() -> None:
    clock = ClockOffset()
    assert clock.take(0.0, 5.0, 2e-4) == 5.0
    assert clock.take(2.0, 5.004, 8e-3) == 5.0
    assert clock.take(4.0, 4.9999, 1e-4) == 4.9999
    assert clock.take(4.0, 4.9999, 1e-4) == 4.9999


def test_clocks_drift_and_so_an_old_answer_is_worth_less_and_less() -> None:
    clock = ClockOffset()
    clock.take(0.0, 5.0, 2e-4)
    chosen = [clock.take(at, 5.001, 2e-3) for at in (2.0, 10.0, 17.0, 19.0)]
    assert chosen == [5.0, 5.0, 5.0, 5.001]


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    clock = ClockOffset()
    clock.take(0.0, 5.0, 1e-4)
    assert clock.take(2.0, -60.0, 5e-2) == -60.0
    assert clock.take(4.0, -60.001, 1e-3) == -60.001


def test_an_answer_that_took_long_tells_of_no_clock_that_was_set() -> None:
    clock = ClockOffset()
    clock.take(0.0, 5.0, 1e-3)
    assert clock.take(2.0, 5.12, 0.25) == 5.0
    assert clock.take(4.0, 5.0001, 1e-3) == 5.0001


def test_a_host_under_load_moves_stamps_by_less_than_measurements_err() -> None:
    """Answers that are on the way for up to 10 ms, and now and then a quick one."""
    rng = np.random.default_rng(0)
    clock, errors = ClockOffset(), []
    for k in range(500):
        there, back = 1e-4 + rng.exponential([2e-3, 2e-3]) * (rng.random() < 0.8)
        errors.append((clock.take(2.0 * k, (there - back) / 2, there + back), (there - back) / 2))
    chosen, measured = np.abs(np.array(errors)).T
    assert np.percentile(chosen, 99) < np.percentile(measured, 99) / 4
