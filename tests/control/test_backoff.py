from __future__ import annotations

from services.control.supervised import Backoff


def test_delays_double_up_to_a_limit_and_shorten_after_a_steady_run() -> None:
    now = 0.0
    backoff = Backoff(clock=lambda: now)
    backoff.started()
    assert [backoff.next_delay() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    backoff.started()
    now = 61.0
    assert backoff.next_delay() == 0.5
