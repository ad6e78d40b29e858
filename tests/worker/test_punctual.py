"""When the next sample is awaited in which way, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

import services.worker.punctual as punctual
from services.ingest.inlet import SampleInlet
from services.worker.punctual import PunctualInlet

PERIOD = 0.004


class Stage:
    """A clock, an inlet whose samples come at given times, and a rehearsal that takes its time."""

    def __init__(self, arrivals: list[float], takes: float = 100e-6) -> None:
        self.now = 0.0
        self.arrivals: Iterator[float] = iter(arrivals)
        self.next = next(self.arrivals)
        self.takes = takes
        self.woken_late = 0.0
        self.rehearsed_at: list[float] = []
        self.polls = 0

    def pull(self, timeout_s: float) -> float | None:
        self.polls += timeout_s == 0
        if timeout_s == 0:
            self.now += 10e-6
        if self.next > self.now + timeout_s:
            self.now += timeout_s + (self.woken_late if timeout_s else 0)
            return None
        stamp = self.next
        self.now = max(self.now, stamp)
        self.next = next(self.arrivals, float("inf"))
        return stamp

    def rehearse(self) -> bool:
        self.rehearsed_at.append(self.now)
        self.now += self.takes
        return True

    def inlet(self, busy_poll: bool = False, rehearses: bool = True) -> PunctualInlet:
        return PunctualInlet(cast(SampleInlet, self), PERIOD, self.rehearse if rehearses else None, busy_poll)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage([k * PERIOD for k in range(1, 200)])
    monkeypatch.setattr(punctual, "local_clock", lambda: stage.now)
    return stage


def test_each_rehearsal_is_over_shortly_before_the_sample(stage: Stage) -> None:
    inlet = stage.inlet()
    assert [inlet.pull(0.1) for _ in range(199)] == [k * PERIOD for k in range(1, 200)]
    assert len(stage.rehearsed_at) == 198  # nothing is known of the first sample
    ends = [at + stage.takes for at in stage.rehearsed_at[50:]]
    due = [k * PERIOD for k in range(52, 200)]
    assert all(0 < before - end < 300e-6 for end, before in zip(ends, due, strict=True))


def test_a_sample_that_comes_early_is_not_held_up(stage: Stage) -> None:
    inlet = stage.inlet()
    stage.arrivals = iter([2 * PERIOD, 2.5 * PERIOD])
    assert inlet.pull(0.1) == PERIOD
    assert inlet.pull(0.1) == 2 * PERIOD
    assert inlet.pull(0.1) == 2.5 * PERIOD
    assert stage.now == 2.5 * PERIOD


def test_a_rehearsal_that_takes_too_long_is_left_out(stage: Stage) -> None:
    stage.takes = 0.9 * PERIOD
    inlet = stage.inlet()
    for _ in range(60):
        inlet.pull(0.1)
    assert len(stage.rehearsed_at) < 20


def test_who_is_woken_too_late_does_not_hold_up_the_sample_by_a_rehearsal(stage: Stage) -> None:
    inlet = stage.inlet()
    for _ in range(50):
        inlet.pull(0.1)
    rehearsed = len(stage.rehearsed_at)
    stage.woken_late = 200e-6
    for k in range(51, 100):
        inlet.pull(0.1)
        assert stage.now - k * PERIOD < stage.takes
    assert len(stage.rehearsed_at) == rehearsed


def test_a_stream_that_has_stopped_times_out(stage: Stage) -> None:
    inlet = stage.inlet()
    stage.arrivals = iter([])
    assert inlet.pull(0.1) == PERIOD
    assert inlet.pull(0.1) is None
    assert stage.now == pytest.approx(PERIOD + 0.1, abs=PERIOD + 1e-3)


def test_without_rehearsal_there_is_one_wait(stage: Stage) -> None:
    inlet = stage.inlet(rehearses=False)
    assert [inlet.pull(0.1) for _ in range(3)] == [PERIOD, 2 * PERIOD, 3 * PERIOD]
    assert stage.rehearsed_at == []
    assert stage.polls == 0


def test_busy_poll_asks_until_the_sample_is_there(stage: Stage) -> None:
    inlet = stage.inlet(busy_poll=True)
    assert [inlet.pull(0.1) for _ in range(3)] == [PERIOD, 2 * PERIOD, 3 * PERIOD]
    assert stage.polls > 10


def test_busy_poll_gives_up_on_a_late_sample(stage: Stage) -> None:
    inlet = stage.inlet(busy_poll=True)
    stage.arrivals = iter([1.0])
    inlet.pull(0.1)
    assert inlet.pull(0.1) is None
    assert stage.polls < 100
