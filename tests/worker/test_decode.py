from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Estimate, Flag, Health, Variant, parse
from services.worker.decode import BinDecoder, local_clock
from services.worker.flight.reader import FlightReader
from services.worker.flight.writer import FlightWriter
from services.worker.publisher import Publisher
from tests.control.support import BIN_S, N_CHANNELS, write_linear_bundle

LOW_LATENCY_WIDTH, HIGH_ACCURACY_WIDTH = 16, 24
LOOKAHEAD = HIGH_ACCURACY_WIDTH // 2
FILTERS = OutputFilterSettings(
    low_latency=BlockFilterSettings(order=2, cutoff_hz=6.25, width=LOW_LATENCY_WIDTH),
    high_accuracy=BlockFilterSettings(order=2, cutoff_hz=6.25, width=HIGH_ACCURACY_WIDTH),
)


class Outbox:
    """Stands where the publisher stands, and keeps what is sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.rehearsals = 0

    def send(self, frame: bytes | bytearray) -> None:
        self.frames.append(bytes(frame))

    def rehearse(self, frame: bytes | bytearray) -> None:
        self.rehearsals += 1

    health = Publisher.health

    @property
    def estimates(self) -> list[Estimate]:
        return [message for message in map(parse, self.frames) if isinstance(message, Estimate)]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [message.event for message in map(parse, self.frames) if isinstance(message, Health)]


class Bench:
    """A decoder with everything around it that it needs."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = Pipeline(read_bundle(write_linear_bundle(folder / "linear.bmi")), FILTERS)
        self.outbox = Outbox()
        flight = folder / "flight"
        writer = FlightWriter(flight, BIN_S, math.prod(self.pipeline.shape), 5, N_CHANNELS)
        self.flight = FlightReader(flight)
        self.decoder = BinDecoder("m1", self.pipeline, cast(Publisher, self.outbox), writer, revision=5)

    def decode(self, counts: npt.ArrayLike, flags: int = 0, first: int = 0) -> list[Estimate]:
        """Decode rows as bins from `first` on; returns their estimates."""
        begin = len(self.outbox.estimates)
        for k, row in enumerate(np.atleast_2d(counts), first):
            self.decoder.row[:] = row
            self.decoder.t_pulled = local_clock()
            self.decoder.decode(k, (k + 1) * BIN_S, BIN_S, flags)
        return self.outbox.estimates[begin:]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def counts() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 3, (60, N_CHANNELS), np.uint8)


def test_what_a_message_holds(bench: Bench) -> None:
    before = local_clock()
    (estimate,) = bench.decode(np.ones(N_CHANNELS), first=41)
    assert (estimate.sequence, estimate.bin_index, estimate.revision) == (0, 41, 5)
    assert estimate.t_source == 42 * BIN_S
    assert before <= estimate.t_publish <= local_clock()
    assert estimate.variants == (Variant.raw, Variant.low_latency, Variant.high_accuracy)
    np.testing.assert_array_equal(estimate.variant("raw"), [N_CHANNELS, N_CHANNELS])
    assert bench.outbox.events == []


def test_outputs_are_those_of_the_pipeline_offline(bench: Bench, counts: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    estimates = bench.decode(counts)
    offline = Pipeline(read_bundle(tmp_path / "linear.bmi"), FILTERS).run(counts)
    np.testing.assert_array_equal(np.array([estimate.outputs for estimate in estimates]), offline)
    assert [estimate.sequence for estimate in estimates] == list(range(60))


def test_a_rehearsal_leaves_no_trace(bench: Bench, counts: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """Estimates, records and state are those of a worker that never rehearses."""
    estimates = []
    for k, row in enumerate(counts):
        bench.decoder.rehearse()
        estimates += bench.decode(row, first=k)
        bench.decoder.rehearse()
    offline = Pipeline(read_bundle(tmp_path / "linear.bmi"), FILTERS).run(counts)
    np.testing.assert_array_equal(np.array([estimate.outputs for estimate in estimates]), offline)
    assert bench.outbox.rehearsals == 2 * len(counts)
    assert len(bench.outbox.frames) == len(counts)
    records = bench.flight.records()
    assert records["sequence"].tolist() == list(range(60))
    np.testing.assert_array_equal(records["outputs"].reshape(60, 3, -1), offline)


def test_warm_up_and_the_time_that_is_described(bench: Bench, counts: npt.NDArray[np.uint8]) -> None:
    """Before a filter's block is full it passes its input through, which describes now."""
    for k, estimate in enumerate(bench.decode(counts)):
        settled = k >= HIGH_ACCURACY_WIDTH - 1
        assert estimate.flags == (Flag(0) if settled else Flag.WARM_UP)
        now = estimate.t_source
        assert estimate.t_valid.tolist() == [now, now, now - LOOKAHEAD * BIN_S if settled else now]
        np.testing.assert_array_equal(
            np.array_equal(estimate.variant("low_latency"), estimate.variant("raw")), k < LOW_LATENCY_WIDTH - 1
        )
        assert np.array_equal(estimate.variant("high_accuracy"), estimate.variant("raw")) == (not settled)


def test_in_a_fast_replay_lookahead_is_as_short_as_its_bins(bench: Bench, counts: npt.NDArray[np.uint8]) -> None:
    bench.decode(counts)
    bench.decoder.decode(60, 1.0, BIN_S / 100, 0)
    assert bench.outbox.estimates[-1].t_valid[2] == pytest.approx(1.0 - LOOKAHEAD * BIN_S / 100)


def test_flags_of_the_bin_are_passed_on(bench: Bench, counts: npt.NDArray[np.uint8]) -> None:
    bench.decode(counts)
    (estimate,) = bench.decode(counts[0], int(Flag.HELD | Flag.INVALID))
    assert estimate.flags == Flag.HELD | Flag.INVALID
    assert bench.decoder.bins_invalid == 1


def test_reset(bench: Bench, counts: npt.NDArray[np.uint8]) -> None:
    first = bench.decode(counts)
    bench.decoder.reset()
    second = bench.decode(counts, first=60)
    for once, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(once.outputs, again.outputs)
        assert once.flags & Flag.WARM_UP == again.flags & Flag.WARM_UP
    assert [bool(estimate.flags & Flag.RESET) for estimate in second] == [True] + [False] * 59
    assert [estimate.sequence for estimate in second] == list(range(60, 120))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_output_that_is_not_finite(bench: Bench, counts: npt.NDArray[np.uint8], bad: float) -> None:
    """It is sent and flagged, and the state that it has spoilt is thrown away."""
    clean = bench.decode(counts)
    (broken,) = bench.decode(np.full(N_CHANNELS, bad), first=60)
    assert broken.flags == Flag.INVALID
    assert not np.isfinite(broken.outputs).all()
    assert [(event["event"], event["session"], event["bin"]) for event in bench.outbox.events] == [
        ("invalid_output", "m1", 60)
    ]
    after = bench.decode(counts, first=61)
    assert after[0].flags == Flag.RESET | Flag.WARM_UP
    for estimate, reference in zip(after, clean, strict=True):
        np.testing.assert_array_equal(estimate.outputs, reference.outputs)
    assert [estimate.sequence for estimate in after] == list(range(61, 121))
    assert bench.decoder.bins_invalid == 1


def test_every_bin_is_in_the_flight_recorder(bench: Bench, counts: npt.NDArray[np.uint8]) -> None:
    estimates = bench.decode(counts)
    records = bench.flight.records()
    assert len(records) == len(estimates) == 60
    for record, estimate in zip(records, estimates, strict=True):
        assert (record["sequence"], record["bin_index"]) == (estimate.sequence, estimate.bin_index)
        assert (record["t_source"], record["t_publish"]) == (estimate.t_source, estimate.t_publish)
        assert (record["flags"], record["revision"]) == (int(estimate.flags), 5)
        assert record["t_pulled"] <= record["t_decoded"] <= record["t_publish"] <= record["t_sent"]
        np.testing.assert_array_equal(record["outputs"], estimate.outputs.ravel())
    assert bench.decoder.last_bin_at == estimates[-1].t_publish


def test_warming_caches_leaves_no_trace(bench: Bench) -> None:
    assert bench.outbox.frames == []
    assert len(bench.flight.records()) == 0
    assert math.isnan(bench.decoder.last_bin_at)


def test_events_name_the_session_and_the_moment(bench: Bench) -> None:
    before = local_clock()
    bench.decoder.event("gap", bins=3)
    (event,) = bench.outbox.events
    assert before <= event.pop("at") <= local_clock()
    assert event == {"event": "gap", "session": "m1", "bins": 3}
