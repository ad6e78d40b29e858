"""Which channels are said to be wrong, and which are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.stream_health import ChannelHealth
from services.ingest.channels import DRIFT_WINDOWS, ChannelMonitor

BIN_S = 0.02
WINDOW = 500
MEANS = np.array([0.0001, 0.04, 0.4, 2.0, 20.0])


class Watched:
    """Five channels with the rates of training, unless a test changes them."""

    def __init__(self, expected: npt.NDArray[np.float64] | None = MEANS) -> None:
        self.masked = np.zeros(len(MEANS), bool)
        self.events: list[dict[str, Any]] = []
        self.shown: list[list[int]] = []
        self.row = np.zeros(len(MEANS), np.float32)
        self.monitor = ChannelMonitor(self.row, BIN_S, lambda: expected, lambda: self.masked, self.say, self.show)
        self.rng = np.random.default_rng(1)

    def say(self, event: str, **details: Any) -> None:
        self.events.append({"event": event, **details})

    def show(self, states: npt.NDArray[np.uint8]) -> None:
        self.shown.append(states.tolist())

    def bins(self, n: int, means: npt.ArrayLike = MEANS) -> None:
        for counts in self.rng.poisson(means, (n, len(MEANS))):
            self.row[:] = counts
            self.monitor.add()

    def windows(self, n: int, means: npt.ArrayLike = MEANS) -> None:
        self.bins(n * WINDOW, means)


def test_channels_as_in_training_are_not_named() -> None:
    watched = Watched()
    watched.windows(60)
    assert watched.events == watched.shown == []


def test_a_channel_that_falls_silent_is_named_once_and_so_is_its_return() -> None:
    watched = Watched()
    watched.windows(2)
    watched.windows(3, MEANS * [1, 1, 0, 1, 1])
    assert watched.events == [{"event": "channels", "silent": [2], "stuck": [], "drifting": [], "masked": []}]
    assert watched.shown == [[0, 0, 1, 0, 0]]
    watched.windows(2 * DRIFT_WINDOWS)
    assert watched.events[-1] == {"event": "channels", "silent": [], "stuck": [], "drifting": [], "masked": []}


def test_a_channel_that_hardly_fires_may_be_silent() -> None:
    watched = Watched()
    watched.windows(5, MEANS * [0, 1, 1, 1, 1])
    assert watched.events == []


def test_a_channel_that_always_says_the_same_is_stuck() -> None:
    watched = Watched()
    watched.bins(WINDOW - 1, MEANS * [1, 1, 1, 0, 1] + [0, 0, 0, 255, 0])
    assert watched.events == []

    class Constant:
        def poisson(self, means: npt.ArrayLike, size: tuple[int, int]) -> npt.NDArray[np.float64]:
            counts = np.random.default_rng(2).poisson(means, size).astype(float)
            counts[:, 3] = 255
            return counts

    watched = Watched()
    watched.rng = Constant()  # type: ignore[assignment]
    watched.windows(1)
    assert watched.events == [{"event": "channels", "silent": [], "stuck": [3], "drifting": [], "masked": []}]


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_a_rate_far_from_that_in_training_drifts(factor: float) -> None:
    watched = Watched()
    watched.windows(DRIFT_WINDOWS)
    watched.windows(DRIFT_WINDOWS, MEANS * [1, 1, 1, factor, 1])
    assert watched.events[-1] == {"event": "channels", "silent": [], "stuck": [], "drifting": [3], "masked": []}


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_a_rate_somewhat_off_does_not_drift(factor: float) -> None:
    watched = Watched()
    watched.windows(2 * DRIFT_WINDOWS, MEANS * factor)
    assert watched.events == []


def test_without_training_data_the_first_window_says_what_to_expect() -> None:
    watched = Watched(expected=None)
    watched.windows(4, MEANS * 5)
    assert watched.events == []
    watched.windows(1, MEANS * [5, 5, 5, 0, 0])
    assert watched.events == [{"event": "channels", "silent": [3, 4], "stuck": [], "drifting": [], "masked": []}]


def test_a_masked_channel_is_named_as_such_and_goes_on_being_judged() -> None:
    watched = Watched()
    watched.windows(1)
    watched.masked[3] = True
    watched.monitor.look_at_mask()
    assert watched.events == [{"event": "channels", "silent": [], "stuck": [], "drifting": [], "masked": [3]}]
    watched.windows(1, MEANS * [1, 1, 1, 0, 1])
    assert watched.events[-1] == {"event": "channels", "silent": [3], "stuck": [], "drifting": [], "masked": [3]}
    watched.masked[3] = False
    watched.monitor.look_at_mask()
    watched.monitor.look_at_mask()
    assert watched.events[2:] == [{"event": "channels", "silent": [3], "stuck": [], "drifting": [], "masked": []}]
    assert watched.shown == [[0, 0, 0, 8, 0], [0, 0, 0, 9, 0], [0, 0, 0, 1, 0]]


def test_masked_channels_count_only_as_such() -> None:
    health = ChannelHealth(silent=[1, 5], stuck=[2], drifting=[3], masked=[3, 5, 6])
    assert health.counted() == {"silent": 1, "stuck": 1, "drifting": 0, "masked": 3}
