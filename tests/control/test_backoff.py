from __future__ import annotations

from services.control.sessions.supervised import Backoff


def test_delays_double_up_to_a_limit_and_shorten_after_a_steady_run() -> None:
    now = 0.0
    backoff = Backoff(clock=lambda: now)
    backoff.started()
    assert [backoff.next_delay() for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    backoff.started()
    now = 5.1
    assert backoff.next_delay() == 0.1
