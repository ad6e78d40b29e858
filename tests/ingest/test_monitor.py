"""What a stream's samples, and their absence, say of it; samples go through a binner, as in a worker."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from services.ingest.binner import Binner
from services.ingest.expectation import StreamLayout
from services.ingest.monitor import DRIFT, FOREIGN_S, LATE_S, LOST_S, SETTLED_S, Counts, StreamMonitor

SAMPLE_S = 0.004
TRANSPORT_S = 0.0003


class Sink:
    """Takes bins, and does nothing with them."""

    def decode(self, bin_index: int, t_source: float, bin_s: float, flags: int) -> None:
        pass

    def came_whole(self) -> None:
        pass

    def reset(self) -> None:
        pass


class Live:
    """A stream that is watched. Sample k is stamped k * 4 ms, on a sender's clock that may be off, and comes 0.3 ms
    later unless a test says otherwise."""

    def __init__(self, offset_s: float = 0.0, sample_s: float = SAMPLE_S) -> None:
        self.events: list[dict[str, Any]] = []
        self.shown: list[str] = []
        self.counts: Counts = (0, 0, 0, 0, 0)
        self.lag_s, self.message = math.nan, ""
        self.offset_s, self.sample_s = offset_s, sample_s
        self.monitor = StreamMonitor(self.say, self)
        row = np.zeros(2, np.float32)
        self.binner = Binner(row, "hold", 1.0, 0.2, Sink(), self.monitor.disturbance)
        self.monitor.searching(0.0)
        self.connect(0.0)

    def connect(self, now: float) -> None:
        self.binner.connect(StreamLayout(1, self.sample_s))
        self.monitor.connected(now, self.sample_s, name="M1")

    def say(self, event: str, **details: Any) -> None:
        self.events.append({"event": event, **details})

    def set_stream(self, state: str, since: float, lag_s: float, counts: Counts) -> None:
        if not self.shown or self.shown[-1] != state:
            self.shown.append(state)
        self.counts = counts
        if not math.isnan(lag_s):
            self.lag_s = lag_s

    def set_message(self, message: str) -> None:
        self.message = message

    def sample(self, k: float, late_s: float = 0.0) -> None:
        self.monitor.arrived = k * self.sample_s + TRANSPORT_S + late_s
        stamp = k * self.sample_s + self.offset_s
        self.binner.add(stamp)
        self.monitor.sample(stamp)

    def samples(self, first: int, last: int) -> None:
        for k in range(first, last):
            self.sample(k)

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]


@pytest.mark.parametrize("offset_s", [0.0, -30.0, 12.5])
def test_an_orderly_stream_is_connected_and_nothing_is_said(offset_s: float) -> None:
    live = Live(offset_s)
    live.samples(0, 2000)
    assert live.names == ["connected"] and live.shown == ["searching", "connected"]
    assert live.counts == (0, 0, 0, 0, 0)
    assert live.lag_s < 0.01


@pytest.mark.parametrize(("offset_s", "where"), [(1.7e9, "1700000000 s ahead of"), (-3600.0, "3600 s behind")])
def test_stamps_of_another_clock_are_told_once(offset_s: float, where: str) -> None:
    live = Live(offset_s)
    live.samples(0, 1000)
    assert live.names == ["connected", "foreign_clock"] and live.shown == ["searching", "connected"]
    assert live.events[1]["behind_s"] == pytest.approx(-offset_s, abs=0.01)
    assert live.message.startswith(f"the stream's stamps are {where} the LSL clock")
    # The rig is told, and stamps with the right clock from now on.
    live.offset_s = 0.0
    live.samples(1000, 1500)
    assert "foreign_clock" not in live.names[2:] and live.message == ""
    # A connection has stamps of its own.
    live.offset_s = offset_s
    live.connect(1500 * SAMPLE_S)
    live.samples(1500, 2000)
    assert live.names.count("foreign_clock") == 2


def test_a_gap_is_known_with_the_next_sample_and_leaves_sight_after_a_while() -> None:
    live = Live()
    live.samples(0, 100)
    live.sample(103)
    assert live.events[1:] == [
        {"event": "gap", "t_source": 103 * SAMPLE_S, "bins": 3, "policy": "hold", "missing_s": 3 * SAMPLE_S}
    ]
    assert live.monitor.state == "gap"
    live.samples(104, 104 + int(SETTLED_S / SAMPLE_S) + 5)
    assert live.shown == ["searching", "connected", "gap", "connected"] and live.counts == (1, 0, 0, 0, 0)


def test_a_long_gap_is_no_clock_jump() -> None:
    live = Live()
    live.samples(0, 100)
    live.sample(100 + 2500)
    assert live.names[1:] == ["gap"] and live.events[1]["missing_s"] == pytest.approx(10.0)


@pytest.mark.parametrize("jump_s", [200_000.0, 2.0, 0.4, 0.012, -1.5, -200_000.0])
def test_a_clock_that_jumps_is_told_from_a_gap_at_once(jump_s: float) -> None:
    live = Live()
    live.samples(0, 300)
    live.offset_s = jump_s
    live.sample(300)
    said = ["clock_jump"] + ["foreign_clock"] * (abs(jump_s) > FOREIGN_S)
    assert live.names[1:] == said
    assert live.events[1]["jump_s"] == pytest.approx(jump_s, rel=1e-6)
    live.samples(301, 700)
    assert live.names[1:] == said and live.counts == (0, 0, 0, 1, 0)
    assert live.monitor.state == "connected"


def test_a_small_jump_back_is_known_after_three_samples() -> None:
    live = Live()
    live.samples(0, 300)
    live.offset_s = -0.4
    live.samples(300, 303)
    assert live.names[1:] == ["duplicate"] * 3 + ["clock_jump"]
    assert live.events[-1]["jump_s"] == pytest.approx(-0.4, abs=0.001)
    live.samples(303, 700)
    assert len(live.events) == 5 and live.binner.bins_duplicated == 100


def test_a_block_that_is_sent_again_is_no_clock_jump() -> None:
    live = Live()
    live.samples(0, 300)
    for k in range(200, 300):
        live.sample(k, late_s=(300 - k) * SAMPLE_S - 0.001)
    live.samples(300, 400)
    assert live.names[1:] == ["duplicate"] * 3
    assert live.binner.bins_duplicated == 100 and live.counts == (0, 0, 0, 0, 0)


def test_silence_is_late_then_lost_then_recovered() -> None:
    live = Live()
    live.samples(0, 100)
    last = live.monitor.arrived
    assert not live.monitor.silence(last + 0.9 * LATE_S) and live.monitor.state == "connected"
    assert not live.monitor.silence(last + 1.1 * LATE_S) and live.monitor.state == "late"
    assert live.monitor.silence(last + 1.1 * LOST_S) and live.monitor.state == "lost"
    assert live.monitor.silence(last + 5)
    live.sample(1500)
    assert live.names[1:] == ["late", "lost", "gap", "recovered"]
    assert live.events[1]["silent_s"] == pytest.approx(1.1 * LATE_S)
    assert live.events[2]["silent_s"] == pytest.approx(1.1 * LOST_S) and "0.22 s" in live.events[2]["reason"]
    assert live.events[-1]["lasted_s"] == pytest.approx(1500 * SAMPLE_S + TRANSPORT_S - last - 1.1 * LATE_S)
    assert live.counts == (1, 1, 1, 0, 0)
    live.samples(1501, 1501 + int(SETTLED_S / SAMPLE_S) + 5)
    assert live.monitor.state == "connected"


def test_what_comes_back_late_is_late_and_can_be_lost_again() -> None:
    live = Live()
    live.samples(0, 100)
    end = live.monitor.arrived
    assert live.monitor.silence(end + LOST_S + 0.01)
    # All that was held up, one after the other, so that the last one is as late as the first.
    for k in range(100, 200):
        live.sample(k, late_s=0.3)
    assert live.monitor.state == "late" and not live.monitor.silence(live.monitor.arrived + 0.01)
    assert live.monitor.silence(live.monitor.arrived + LOST_S + 0.01)
    live.sample(200, late_s=0.3)
    live.samples(300, 301)
    assert live.names == ["connected", "lost", "late", "lost", "late", "gap", "recovered"]
    assert live.events[-1]["after"] == "late" and live.counts == (1, 2, 2, 0, 0)


@pytest.mark.parametrize("stamp", [math.nan, 99 * SAMPLE_S])
def test_samples_that_cannot_be_placed_are_as_good_as_silence(stamp: float) -> None:
    live = Live()
    live.samples(0, 100)
    for k in range(100, 200):
        live.monitor.arrived = k * SAMPLE_S + TRANSPORT_S
        live.binner.add(stamp)
        live.monitor.sample(stamp)
        live.monitor.silence(live.monitor.arrived)
    assert live.monitor.state == "lost"
    assert len(live.events) < 10  # said when it begins, and not for every sample
    live.samples(200, 201)
    assert live.events[-1]["event"] == "recovered" and live.events[-1]["after"] == "lost"


def test_slow_streams_may_be_silent_for_longer() -> None:
    live = Live(sample_s=0.1)
    live.samples(0, 20)
    assert not live.monitor.silence(live.monitor.arrived + 0.29) and live.names == ["connected"]
    assert live.monitor.silence(live.monitor.arrived + 0.31)


def test_a_rig_that_has_not_begun_is_late_but_not_lost() -> None:
    live = Live()
    assert not live.monitor.silence(0.9) and live.monitor.state == "connected"
    assert not live.monitor.silence(1.1) and live.monitor.state == "late"
    assert not live.monitor.silence(60.0)
    assert live.names == ["connected", "late"]
    live.sample(20_000)
    assert live.names == ["connected", "late", "recovered"]


@pytest.mark.parametrize("growth", [0.01, 0.2, 1.0])
def test_a_queue_that_grows_is_known_before_it_is_100_ms_long(growth: float) -> None:
    live = Live()
    live.samples(0, 2000)
    k, late_s = 1999, 0.0
    while live.monitor.state != "late":
        k, late_s = k + 1, late_s + growth * SAMPLE_S
        live.sample(k, late_s)
    assert 0.04 < late_s < 0.1
    assert live.events[-1]["event"] == "late" and live.events[-1]["lag_s"] == pytest.approx(late_s, abs=0.01)
    assert live.events[-1]["samples"] == pytest.approx(late_s / SAMPLE_S, abs=2)
    said = len(live.events)
    while late_s < 0.5:
        k, late_s = k + 1, late_s + growth * SAMPLE_S
        live.sample(k, late_s)
    assert live.names[said:] == ["late"] * 3  # doubled so often, and no more
    live.samples(k + 200, k + 202)
    assert live.names[said + 3 :] == ["gap", "recovered"] and live.events[-1]["after"] == "late"
    assert live.counts == (1, 1, 0, 0, 0)


def test_what_overflows_is_a_gap_and_no_clock_jump() -> None:
    """The receiver's queue holds a second: its oldest samples are lost, and those behind them come less late."""
    live = Live()
    live.samples(0, 300)
    for k in range(300, 310):
        live.sample(k, 1.4)
    for k in range(410, 500):
        live.sample(k, 1.0)
    assert live.names[1:] == ["late", "gap"]
    live.samples(760, 762)
    assert live.monitor.state == "recovered"


def test_clocks_that_drift_are_no_queue() -> None:
    live = Live()
    for k in range(0, 250 * 3600, 10):  # an hour
        live.sample(k, 0.9 * DRIFT * k * SAMPLE_S)
        live.binner.connect(StreamLayout(1, SAMPLE_S))  # only the lag is looked at
    assert "late" not in live.names


def test_a_loss_is_said_once_and_ends_with_the_first_sample_of_the_next_stream() -> None:
    live = Live()
    live.samples(0, 100)
    last = live.monitor.arrived
    assert live.monitor.silence(last + 0.3)
    live.monitor.lost(last + 0.4, "the outlet is gone", stream="M1")
    live.monitor.searching(last + 0.4)
    live.monitor.mismatch(last + 0.5, "it has 7 channels")
    assert live.monitor.state == "mismatch"
    live.monitor.searching(last + 0.6)
    live.connect(last + 1.0)
    assert live.monitor.state == "mismatch"
    live.sample(1000)
    assert live.names == ["connected", "lost", "mismatch", "connected", "recovered"]
    assert live.events[-1]["lasted_s"] == pytest.approx(1000 * SAMPLE_S + TRANSPORT_S - last - 0.3)
    assert live.counts == (0, 0, 1, 0, 1)


def test_a_stamp_that_is_no_time_says_nothing_of_the_stream() -> None:
    live = Live()
    live.samples(0, 100)
    live.monitor.arrived = 100 * SAMPLE_S + TRANSPORT_S
    live.binner.add(math.nan)
    live.monitor.sample(math.nan)
    live.sample(101)
    assert live.names == ["connected", "invalid_stamp", "gap"]
