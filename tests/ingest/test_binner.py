from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.config import GapPolicy
from bmi_decoder.wire import Flag
from services.ingest.binner import Binner
from services.ingest.expectation import StreamLayout

N_CHANNELS = 3
SAMPLE_S = 0.004
POLICIES: tuple[GapPolicy, ...] = ("hold", "zero", "reset")


@dataclass
class Bin:
    index: int
    t_source: float
    bin_s: float
    flags: Flag
    first: float
    """Value of the first channel."""


@dataclass
class Sink:
    """Notes what a binner gives it."""

    row: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(N_CHANNELS, np.float32))
    bins: list[Bin] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    """Values of the bins that came whole."""
    resets: list[int] = field(default_factory=list)
    """Number of bins before each reset."""
    events: list[dict[str, Any]] = field(default_factory=list)
    masked: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(N_CHANNELS, bool))

    def decode(self, bin_index: int, t_source: float, bin_s: float, flags: int) -> None:
        assert type(flags) is int
        np.testing.assert_array_equal(self.row, self.row[0] * np.arange(1, N_CHANNELS + 1))
        self.bins.append(Bin(bin_index, t_source, bin_s, Flag(flags), float(self.row[0])))

    def came_whole(self) -> None:
        self.whole.append(float(self.row[0]))

    def reset(self) -> None:
        self.resets.append(len(self.bins))

    def event(self, event: str, **details: Any) -> None:
        self.events.append({"event": event, **details})

    @property
    def values(self) -> list[float]:
        return [bin_.first for bin_ in self.bins]

    @property
    def indices(self) -> list[int]:
        return [bin_.index for bin_ in self.bins]

    @property
    def flags(self) -> list[Flag]:
        return [bin_.flags for bin_ in self.bins]


class Rig:
    """Pushes samples whose channels are 1, 2 and 3 times a value into a binner."""

    def __init__(
        self, policy: GapPolicy = "hold", samples_per_bin: int = 1, max_gap_s: float = 1.0, max_age_s: float = 1.0
    ) -> None:
        self.sink = Sink()
        self.binner = Binner(self.sink.row, policy, max_gap_s, max_age_s, self.sink, self.sink.event)
        self.connect(samples_per_bin)

    def connect(self, samples_per_bin: int, sample_s: float = SAMPLE_S) -> None:
        self.sample_s = sample_s
        self.sample = self.binner.connect(StreamLayout(samples_per_bin, sample_s))

    def push(self, slot: float, value: float = 1.0) -> None:
        """Push the sample of a slot; slot 0 ends at one sample duration."""
        self.sample[:] = value * np.arange(1, N_CHANNELS + 1, dtype=np.float32)
        self.binner.add((slot + 1) * self.sample_s)

    def push_all(self, slots: Iterable[float]) -> None:
        """Push samples whose value is the number of their slot, counted from 1."""
        for slot in slots:
            self.push(slot, 1.0 + round(slot))


def test_in_order() -> None:
    rig = Rig()
    rig.push_all(range(5))
    assert rig.sink.indices == [0, 1, 2, 3, 4]
    assert rig.sink.values == [1, 2, 3, 4, 5]
    assert [bin_.t_source for bin_ in rig.sink.bins] == pytest.approx(SAMPLE_S * np.arange(1, 6))
    assert {bin_.bin_s for bin_ in rig.sink.bins} == {SAMPLE_S}
    assert set(rig.sink.flags) == {Flag(0)}
    assert (rig.binner.bins_in, rig.binner.next_bin) == (5, 5)
    assert rig.sink.events == [] and rig.sink.resets == []


def test_several_samples_make_a_bin() -> None:
    rig = Rig(samples_per_bin=5)
    rig.push_all(range(14))
    assert rig.sink.values == [1 + 2 + 3 + 4 + 5, 6 + 7 + 8 + 9 + 10]
    assert [bin_.t_source for bin_ in rig.sink.bins] == pytest.approx([5 * SAMPLE_S, 10 * SAMPLE_S])
    assert rig.sink.bins[0].bin_s == pytest.approx(5 * SAMPLE_S)
    assert rig.binner.bins_in == 2


def test_jitter_and_drift_lose_nothing() -> None:
    """At 200 ppm the sender is six samples ahead by the end."""
    rng = np.random.default_rng(2)
    rig = Rig()
    slots = np.arange(30_000)
    for slot, jitter in zip(slots * (1 + 200e-6), rng.uniform(-0.3, 0.3, slots.size), strict=True):
        rig.push(slot + jitter)
    assert (rig.binner.bins_in, rig.binner.bins_lost, rig.binner.bins_duplicated) == (30_000, 0, 0)
    assert rig.sink.events == []


def test_a_gap_is_held() -> None:
    rig = Rig("hold")
    rig.push_all([0, 1, 4, 5])
    assert rig.sink.values == [1, 2, 2, 2, 5, 6]
    assert rig.sink.flags == [0, 0, Flag.HELD, Flag.HELD, 0, 0]
    assert rig.sink.whole == [1, 2, 5, 6]
    assert rig.sink.indices == [0, 1, 2, 3, 4, 5]
    assert [bin_.t_source for bin_ in rig.sink.bins] == pytest.approx(SAMPLE_S * np.arange(1, 7))
    assert (rig.binner.bins_in, rig.binner.bins_lost) == (4, 2)
    missing_s = pytest.approx(2 * SAMPLE_S)
    assert rig.sink.events == [
        {"event": "gap", "t_source": 5 * SAMPLE_S, "bins": 2, "policy": "hold", "missing_s": missing_s}
    ]
    assert rig.sink.resets == []


def test_a_gap_is_zeroed() -> None:
    rig = Rig("zero")
    rig.push_all([0, 1, 4, 5])
    assert rig.sink.values == [1, 2, 0, 0, 5, 6]
    assert rig.sink.flags == [0, 0, Flag.ZEROED, Flag.ZEROED, 0, 0]
    assert (rig.binner.bins_in, rig.binner.bins_lost) == (4, 2)
    assert rig.sink.events[0]["policy"] == "zero"


@pytest.mark.parametrize("policy", ["hold", "zero"])
def test_what_is_filled_long_after_real_data_is_invalid(policy: GapPolicy) -> None:
    rig = Rig(policy, max_age_s=3.5 * SAMPLE_S)
    rig.push_all([0, 1, 8, 9])
    filled = Flag.HELD if policy == "hold" else Flag.ZEROED
    assert [bin_.flags for bin_ in rig.sink.bins] == [0, 0, *[filled] * 3, *[filled | Flag.INVALID] * 3, 0, 0]


def test_a_gap_resets() -> None:
    rig = Rig("reset")
    rig.push_all([0, 1, 4, 5])
    assert rig.sink.values == [1, 2, 5, 6]
    assert rig.sink.indices == [0, 1, 4, 5]
    assert rig.sink.resets == [2]
    assert (rig.binner.bins_in, rig.binner.bins_lost) == (4, 2)
    assert rig.sink.events[0]["policy"] == "reset"
    assert rig.sink.events[0]["bins"] == 2
    assert rig.sink.events[0]["missing_s"] == pytest.approx(2 * SAMPLE_S)


@pytest.mark.parametrize("policy", POLICIES)
def test_several_gaps(policy: GapPolicy) -> None:
    rig = Rig(policy)
    slots = np.delete(np.arange(1000), [3, 10, 11, 12, 500])
    rig.push_all(slots.tolist())
    assert (rig.binner.bins_in, rig.binner.bins_lost) == (995, 5)
    assert rig.binner.next_bin == 1000
    assert [event["bins"] for event in rig.sink.events] == [1, 3, 1]
    assert len(rig.sink.resets) == (3 if policy == "reset" else 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_gap_that_is_too_long_resets_under_every_policy(policy: GapPolicy) -> None:
    rig = Rig(policy, max_gap_s=0.1)
    rig.push_all([0, 1, 2 + 26, 3 + 26])
    assert rig.sink.indices == [0, 1, 28, 29]
    assert rig.sink.resets == [2]
    assert (rig.binner.bins_in, rig.binner.bins_lost) == (4, 26)
    assert rig.sink.events[0]["policy"] == "reset"


@pytest.mark.parametrize(("policy", "filled", "flag"), [("hold", 1 + 2 + 3 + 4, Flag.HELD), ("zero", 0, Flag.ZEROED)])
def test_a_bin_keeps_the_samples_that_came(policy: GapPolicy, filled: float, flag: Flag) -> None:
    """Bin 1 lacks its last two samples, bin 2 all, bin 3 its first."""
    rig = Rig(policy, samples_per_bin=4)
    rig.push_all([*range(6), *range(13, 20)])
    partial = 5 + 6
    assert rig.sink.values == [10, partial, partial if policy == "hold" else filled, 14 + 15 + 16, 17 + 18 + 19 + 20]
    assert rig.sink.flags == [0, flag, flag, flag, 0]
    assert [bin_.t_source for bin_ in rig.sink.bins] == pytest.approx(4 * SAMPLE_S * np.arange(1, 6))
    assert (rig.binner.bins_in, rig.binner.bins_lost) == (2, 3)


@pytest.mark.parametrize("slot", [1, 2, 3, 4, 5])
def test_under_reset_a_gap_within_a_bin_is_counted(slot: int) -> None:
    rig = Rig("reset", samples_per_bin=4)
    rig.push_all([k for k in range(4 + 16) if k != 4 + slot])
    assert rig.binner.bins_lost >= 1
    assert rig.binner.bins_in + rig.binner.bins_lost == rig.binner.next_bin
    assert len(rig.sink.resets) == 1
    assert rig.sink.events[0]["bins"] >= 1


def test_after_a_reset_a_bin_begins_at_the_sample_that_came() -> None:
    rig = Rig("reset", samples_per_bin=4)
    rig.push_all([0, 1, 2, 3, 4, 5, 8, 9, 10, 11])
    assert rig.sink.values == [10, 9 + 10 + 11 + 12]
    assert rig.sink.indices == [0, 2]
    assert rig.binner.bins_lost == 1


@pytest.mark.parametrize("samples_per_bin", [1, 2])
def test_doubled_samples_are_dropped(samples_per_bin: int) -> None:
    rig = Rig(samples_per_bin=samples_per_bin)
    rig.push_all([0, 0, 1, 1, 1, 2, 3])
    assert sum(rig.sink.values) == 1 + 2 + 3 + 4
    assert rig.binner.bins_duplicated == 3
    assert [event["event"] for event in rig.sink.events] == ["duplicate"] * 3
    assert rig.binner.bins_lost == 0


def test_reordered_samples() -> None:
    """The late one finds its slot filled: what was decoded is never decoded again."""
    rig = Rig("zero")
    rig.push_all([0, 2, 1, 3])
    assert rig.sink.values == [1, 0, 3, 4]
    assert (rig.binner.bins_in, rig.binner.bins_lost, rig.binner.bins_duplicated) == (3, 1, 1)


@pytest.mark.parametrize("jump_s", [200_000.0, -200_000.0])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("samples_per_bin", [1, 4])
def test_a_clock_that_jumps(policy: GapPolicy, jump_s: float, samples_per_bin: int) -> None:
    rig = Rig(policy, samples_per_bin)
    for slot in range(6):
        rig.push(slot)
    for slot in range(6, 22):
        rig.push(slot + jump_s / SAMPLE_S)
    assert len(rig.sink.bins) == (22 if samples_per_bin == 1 else 1 + 4)
    assert rig.sink.resets == [6 if samples_per_bin == 1 else 1]
    assert [event["event"] for event in rig.sink.events] == ["gap"]
    assert rig.sink.events[0]["missing_s"] == pytest.approx(jump_s, rel=1e-6)
    assert np.all(np.diff(rig.sink.indices) > 0)
    assert rig.binner.bins_in + rig.binner.bins_lost == rig.binner.next_bin


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("samples_per_bin", [1, 2])
def test_a_value_that_is_not_finite_empties_its_sample(bad: float, samples_per_bin: int) -> None:
    rig = Rig(samples_per_bin=samples_per_bin)
    rig.push(0, 5)
    rig.push(1, bad)
    rig.push(2, 7)
    rig.push(3, 8)
    assert rig.sink.values == ([5, 0, 7, 8] if samples_per_bin == 1 else [5, 15])
    assert [bool(flags & Flag.INVALID) for flags in rig.sink.flags].count(True) == 1
    assert rig.binner.bins_lost == 0
    assert [event["event"] for event in rig.sink.events] == ["invalid_input"]


def test_one_channel_that_is_not_finite_is_enough() -> None:
    rig = Rig()
    rig.sample[:] = (1, math.nan, 3)
    rig.binner.add(SAMPLE_S)
    assert rig.sink.flags == [Flag.INVALID]
    assert rig.sink.values == [0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_masked_channel_that_is_not_finite_spoils_nothing(bad: float) -> None:
    rig = Rig()
    rig.sink.masked[1] = True
    rows: list[list[float]] = []
    rig.sink.decode = lambda index, t_source, bin_s, flags: rows.append([*rig.sink.row, flags])  # type: ignore[method-assign]
    for slot, sample in enumerate([(1, bad, 3), (bad, bad, 3), (4, 5, 6)], 1):
        rig.sample[:] = sample
        rig.binner.add(slot * SAMPLE_S)
    assert rows == [[1, 0, 3, 0], [0, 0, 0, Flag.INVALID], [4, 5, 6, 0]]
    assert [event["event"] for event in rig.sink.events] == ["invalid_input"]


def test_large_values_are_values() -> None:
    rig = Rig()
    rig.push(0, 2.0**126)
    assert rig.sink.flags == [0]


@pytest.mark.parametrize("stamp", [math.nan, math.inf])
def test_a_stamp_that_is_no_time_leaves_its_slot_empty(stamp: float) -> None:
    rig = Rig("hold")
    rig.push_all([0, 1])
    rig.push(stamp, 9)
    rig.push_all([3])
    assert rig.sink.values == [1, 2, 2, 4]
    assert rig.binner.bins_lost == 1
    assert [event["event"] for event in rig.sink.events] == ["invalid_stamp", "gap"]


def test_reconnecting() -> None:
    rig = Rig()
    rig.push_all([0, 1])
    rig.connect(1)
    assert rig.sink.resets == [2]
    rig.push_all([102, 103, 104])
    assert rig.sink.indices == [0, 1, 102, 103, 104]
    assert (rig.binner.bins_in, rig.binner.bins_lost) == (5, 0)
    assert rig.sink.resets == [2]


def test_reconnecting_to_a_stream_with_another_clock() -> None:
    rig = Rig()
    rig.push_all([1000, 1001])
    rig.connect(1)
    rig.push_all([3, 4])
    assert rig.sink.indices == [0, 1, 2, 3]


def test_reconnecting_with_another_layout() -> None:
    """The rig came back with four samples per bin, in the midst of a bin of two."""
    rig = Rig(samples_per_bin=2)
    rig.push_all([0, 1, 2])
    rig.connect(4, SAMPLE_S / 2)
    for slot in range(20, 29):
        rig.push(slot, 0.5)
    assert rig.sink.values == [1 + 2, 2.0, 2.0]
    assert rig.sink.indices == [0, 5, 6]
    assert rig.sink.bins[1].t_source == pytest.approx(24 * SAMPLE_S / 2)
    assert set(rig.sink.flags) == {Flag(0)}


def test_connecting_anew_before_the_first_bin_is_no_reset() -> None:
    rig = Rig(samples_per_bin=2)
    rig.push_all([0])
    rig.connect(2)
    rig.push_all([10, 11])
    assert rig.sink.indices == [0]
    assert rig.sink.values == [11 + 12]
    assert rig.sink.resets == []


def reference(slots: list[int], samples_per_bin: int, policy: GapPolicy) -> tuple[list[float], list[bool]]:
    """What increasing slots, the first of them 0, become: values and whether something was missing, per bin."""
    n_bins = (slots[-1] + 1) // samples_per_bin
    samples = np.full(n_bins * samples_per_bin, np.nan)
    inside = [slot for slot in slots if slot < samples.size]
    samples[inside] = np.asarray(inside) + 1
    values: list[float] = []
    missing = []
    for chunk in samples.reshape(n_bins, samples_per_bin):
        came = chunk[np.isfinite(chunk)]
        held = values[-1] if values and policy == "hold" else 0.0
        values.append(float(came.sum()) if came.size else held)
        missing.append(came.size < samples_per_bin)
    return values, missing


@given(
    policy=st.sampled_from(["hold", "zero"]),
    samples_per_bin=st.integers(1, 5),
    steps=st.lists(st.integers(1, 9), max_size=60),
    jitter=st.randoms(use_true_random=False),
)
def test_gaps_against_a_reference(policy: GapPolicy, samples_per_bin: int, steps: list[int], jitter: Any) -> None:
    slots = np.cumsum([0, *steps]).tolist()
    rig = Rig(policy, samples_per_bin)
    for slot in slots:
        rig.push(slot + jitter.uniform(-0.12, 0.12), slot + 1)
    values, missing = reference(slots, samples_per_bin, policy)
    assert rig.sink.values == values
    assert [bool(flags & (Flag.HELD | Flag.ZEROED)) for flags in rig.sink.flags] == missing
    assert rig.sink.indices == list(range(len(values)))
    assert rig.binner.bins_lost == sum(missing)
    assert rig.binner.bins_in + rig.binner.bins_lost == len(rig.sink.bins) == rig.binner.next_bin
    ends = samples_per_bin * SAMPLE_S * np.arange(1, len(values) + 1)
    assert [bin_.t_source for bin_ in rig.sink.bins] == pytest.approx(ends, abs=SAMPLE_S / 2)


MOVES = st.one_of(
    st.just(1.0),
    st.floats(0.8, 1.2),
    st.integers(-3, 40).map(float),
    st.sampled_from([5e7, -5e7, math.nan]),
)


@given(
    policy=st.sampled_from(POLICIES),
    samples_per_bin=st.integers(1, 5),
    max_gap_s=st.sampled_from([0.0, 0.05, 1.0]),
    moves=st.lists(st.tuples(MOVES, st.sampled_from([1.0, 1.0, math.nan])), max_size=80),
    reconnect_at=st.integers(0, 200),
)
def test_every_bin_is_accounted_for(
    policy: GapPolicy,
    samples_per_bin: int,
    max_gap_s: float,
    moves: list[tuple[float, float]],
    reconnect_at: int,
) -> None:
    rig = Rig(policy, samples_per_bin, max_gap_s)
    slot = 0.0
    for k, (move, value) in enumerate(moves):
        if k == reconnect_at:
            rig.connect(samples_per_bin)
        rig.push(slot + move, value)
        slot = slot + move if math.isfinite(move) else slot
    binner, sink = rig.binner, rig.sink
    filled = sum(bool(flags & (Flag.HELD | Flag.ZEROED)) for flags in sink.flags)
    assert np.all(np.diff(sink.indices) > 0)
    assert len(sink.bins) == binner.bins_in + filled
    assert all(math.isfinite(bin_.t_source) for bin_ in sink.bins)
    if reconnect_at >= len(moves):
        assert binner.bins_in + binner.bins_lost == binner.next_bin
    if not sink.resets:
        assert sink.indices == list(range(len(sink.bins)))


def test_what_a_gap_holds_is_the_last_bin_and_not_a_sample_that_was_dropped() -> None:
    """Also if the next bin is rehearsed in between, for which the sample still stands where it was written."""
    sink = Sink()
    binner = Binner(sink.row, "hold", 1.0, 1.0, sink, sink.event)
    sample = binner.connect(StreamLayout(1, SAMPLE_S))
    for k, stamp in [(1, 1), (2, 2), (1, 1), (5, 5)]:
        sample[:] = k * np.arange(1, N_CHANNELS + 1)
        binner.add(stamp * SAMPLE_S)
        binner.rehearse()
    assert [(one.first, bool(one.flags & Flag.HELD)) for one in sink.bins] == [
        (1, False), (2, False), (2, True), (2, True), (5, False)
    ]  # fmt: skip
