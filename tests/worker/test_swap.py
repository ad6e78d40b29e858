"""Swaps within one `BinDecoder`, bin by bin, and through an `Exchange`; tests/system has them on a live stream."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import (
    BlockFilterSettings,
    OutputFilterSettings,
    SessionSettings,
    StreamSettings,
    WorkerSettings,
)
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Estimate, Flag, Variant
from services.worker import exchange as exchange_module
from services.worker.command import SwapAnswer, SwapCommand
from services.worker.exchange import Exchange
from services.worker.lane import Lane
from services.worker.swap import NOT_FINITE, Candidate, Probation, SwapRequest
from tests.control.support import BIN_S, N_CHANNELS, write_linear_bundle
from tests.worker.test_decode import FILTERS, Bench

WARM_UP, SETTLE, PROBATION = 23, 30, 10
RAW_ONLY = OutputFilterSettings()
OTHER = OutputFilterSettings(low_latency=BlockFilterSettings(order=1, cutoff_hz=10, width=8))
N_VALUES = 6
LARGEST = float(np.finfo(np.float32).max)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def counts() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 3, (200, N_CHANNELS), np.uint8)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_linear_bundle(tmp_path / "other.bmi", gain=2.0)


@pytest.fixture
def fragile(tmp_path: Path) -> Path:
    """A decoder that overflows as soon as a bin holds more than one spike."""
    return write_linear_bundle(tmp_path / "fragile.bmi", gain=LARGEST / 2)


QUIET = np.zeros(N_CHANNELS)
LOUD = np.full(N_CHANNELS, 2)


def request(
    bench: Bench, bundle: Path, filters: OutputFilterSettings = FILTERS, revision: int = 6, settle: int = SETTLE
) -> SwapRequest:
    """Ask for a swap, as a thread that loads does."""
    lane = Lane(Pipeline(read_bundle(bundle), filters), revision, N_VALUES)
    asked = SwapRequest(revision, lane, settle, PROBATION)
    bench.decoder.ask(asked)
    return asked


def back(bench: Bench, revision: int = 5) -> SwapRequest:
    asked = SwapRequest(revision, None)
    bench.decoder.ask(asked)
    return asked


def revisions(estimates: list[Estimate]) -> list[int]:
    return [estimate.revision for estimate in estimates]


def flagged(estimates: list[Estimate], flag: Flag) -> list[int]:
    return [k for k, estimate in enumerate(estimates) if estimate.flags & flag]


def test_a_swap_is_seen_from_its_first_bin_on_and_costs_none(
    bench: Bench, counts: npt.NDArray[np.uint8], other: Path, tmp_path: Path
) -> None:
    first = bench.decode(counts[:50])
    asked = request(bench, other)
    assert not asked.wait(0)
    # Taken behind bin 50: the shadow run begins with bin 51.
    rest = bench.decode(counts[50:], first=50)
    estimates, switched = first + rest, 51 + SETTLE
    assert asked.wait(0) and asked.failure == ""
    assert revisions(estimates) == [5] * switched + [6] * (200 - switched)
    assert [estimate.sequence for estimate in estimates] == list(range(200))
    assert [estimate.bin_index for estimate in estimates] == list(range(200))
    assert flagged(estimates, Flag.SWAPPED) == [switched]
    assert flagged(estimates, Flag.WARM_UP) == list(range(WARM_UP))
    outputs = np.array([estimate.outputs for estimate in estimates])
    old = Pipeline(read_bundle(tmp_path / "linear.bmi"), FILTERS).run(counts)
    new = Pipeline(read_bundle(other), FILTERS).run(counts[51:])
    np.testing.assert_array_equal(outputs[:switched], old[:switched])
    np.testing.assert_array_equal(outputs[switched:], new[SETTLE:])
    assert bench.outbox.events[-1] | {"at": 0} == {
        "event": "swap",
        "session": "m1",
        "at": 0,
        "revision": 6,
        "former": 5,
        "shadow_bins": SETTLE,
    }
    assert bench.flight.status().revision == 6
    assert bench.flight.records()["revision"].tolist() == revisions(estimates)


def test_filters_may_need_longer_than_the_settling(bench: Bench, counts: npt.NDArray[np.uint8], other: Path) -> None:
    request(bench, other, settle=3)
    estimates = bench.decode(counts)
    assert revisions(estimates).index(6) == 1 + WARM_UP
    assert flagged(estimates, Flag.WARM_UP) == list(range(WARM_UP))


def test_other_variants_change_the_layout_of_the_message(
    bench: Bench, counts: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    request(bench, tmp_path / "linear.bmi", OTHER, settle=8)
    estimates = bench.decode(counts[:40])
    switched = revisions(estimates).index(6)
    assert len(estimates[switched - 1].variants) == 3
    for k, estimate in enumerate(estimates[switched:], switched):
        assert estimate.variants == (Variant.raw, Variant.low_latency)
        assert estimate.t_valid.tolist() == [(k + 1) * BIN_S] * 2
    records = bench.flight.records()["outputs"]
    np.testing.assert_array_equal(records[-1][:4], estimates[-1].outputs.ravel())
    assert np.isnan(records[-1][4:]).all()


def test_another_mask_is_swapped_in_between_two_bins(
    bench: Bench, counts: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    """What comes in a masked channel makes no difference any more, and is seen as it came."""
    bundle = read_bundle(tmp_path / "linear.bmi")
    lane = Lane(Pipeline(bundle, FILTERS, (2, 5)), 6, N_VALUES)
    asked = SwapRequest(6, lane, SETTLE, PROBATION)
    bench.decoder.ask(asked)
    estimates = bench.decode(counts)
    switched = 1 + SETTLE
    assert revisions(estimates) == [5] * switched + [6] * (200 - switched)
    quiet = counts.copy()
    quiet[:, [2, 5]] = 0
    outputs = np.array([estimate.outputs for estimate in estimates])
    np.testing.assert_array_equal(outputs[:switched], Pipeline(bundle, FILTERS).run(counts)[:switched])
    np.testing.assert_array_equal(outputs[switched:], Pipeline(bundle, FILTERS).run(quiet[1:])[SETTLE:])
    np.testing.assert_array_equal(bench.decoder.row, counts[-1])
    told = [event["masked"] for event in bench.outbox.events if event["event"] == "channels"]
    assert told == [[2, 5]]
    assert bench.flight.status().channels.masked == [2, 5]


def test_a_reset_makes_everything_cold_again(bench: Bench, counts: npt.NDArray[np.uint8], other: Path) -> None:
    request(bench, other)
    bench.decode(counts[:20])
    bench.decoder.reset()
    estimates = bench.decode(counts[20:], first=20)
    assert revisions(estimates).index(6) == SETTLE
    assert flagged(estimates, Flag.RESET) == [0]
    new = Pipeline(read_bundle(other), FILTERS).run(counts[20:])
    np.testing.assert_array_equal([e.outputs for e in estimates[SETTLE:]], new[SETTLE:])


def test_a_candidate_that_is_not_finite_is_never_published(bench: Bench, fragile: Path) -> None:
    asked = request(bench, fragile)
    bench.decode(np.tile(QUIET, (10, 1)))
    assert isinstance(bench.decoder.shadow, Candidate)
    estimates = bench.decode(np.tile(LOUD, (SETTLE, 1)), first=10)
    assert (asked.wait(0), asked.failure) == (True, NOT_FINITE)
    assert set(revisions(estimates)) == {5}
    assert all(np.isfinite(estimate.outputs).all() for estimate in estimates)
    assert not flagged(estimates, Flag.SWAPPED | Flag.INVALID | Flag.RESET)
    assert bench.decoder.shadow is None
    assert [(event["event"], event["reason"]) for event in bench.outbox.events] == [("swap_failed", NOT_FINITE)]
    assert bench.decoder.last_failure == (6, NOT_FINITE)


def test_the_former_pipeline_stands_in_for_the_bin_that_fails(
    bench: Bench, counts: npt.NDArray[np.uint8], fragile: Path, tmp_path: Path
) -> None:
    """Warm, in the same message, and with nothing that is not finite on the wire."""
    rows = np.tile(QUIET, (100, 1))
    request(bench, fragile)
    failing = 1 + SETTLE + PROBATION - 2
    rows[failing:] = counts[failing:100]
    rows[failing] = LOUD
    estimates = bench.decode(rows)
    switched = 1 + SETTLE
    assert revisions(estimates) == [5] * switched + [6] * (failing - switched) + [5] * (100 - failing)
    assert flagged(estimates, Flag.SWAPPED) == [switched, failing]
    assert not flagged(estimates, Flag.INVALID | Flag.RESET)
    outputs = np.array([estimate.outputs for estimate in estimates])
    old = Pipeline(read_bundle(tmp_path / "linear.bmi"), FILTERS).run(rows)
    np.testing.assert_array_equal(outputs[failing:], old[failing:])
    assert [estimate.sequence for estimate in estimates] == list(range(100))
    event = bench.outbox.events[-1]
    assert (event["event"], event["revision"], event["former"], event["reason"]) == ("rolled_back", 5, 6, NOT_FINITE)
    assert bench.flight.status().revision == 5
    assert bench.decoder.bins_invalid == 0


def test_behind_the_probation_a_pipeline_that_fails_is_reset(bench: Bench, fragile: Path) -> None:
    request(bench, fragile)
    bench.decode(np.tile(QUIET, (1 + SETTLE + PROBATION, 1)))
    assert bench.decoder.shadow is None
    (broken,) = bench.decode(LOUD, first=60)
    assert (broken.revision, broken.flags) == (6, Flag.INVALID)


def test_where_both_fail_the_bin_is_flagged(bench: Bench, counts: npt.NDArray[np.uint8], other: Path) -> None:
    request(bench, other)
    bench.decode(counts[: 2 + SETTLE])
    (broken,) = bench.decode(np.full(N_CHANNELS, np.nan), first=100)
    assert (broken.revision, broken.flags) == (5, Flag.SWAPPED | Flag.INVALID)
    (after,) = bench.decode(counts[0], first=101)
    assert after.flags == Flag.RESET | Flag.WARM_UP
    assert np.isfinite(after.outputs).all()


def test_back_on_demand_with_the_next_bin(
    bench: Bench, counts: npt.NDArray[np.uint8], other: Path, tmp_path: Path
) -> None:
    request(bench, other)
    first = bench.decode(counts[: SETTLE + 5])
    asked = back(bench)
    bench.decoder.take_requests()
    assert asked.wait(0) and not asked.failure
    estimates = first + bench.decode(counts[SETTLE + 5 :], first=SETTLE + 5)
    assert revisions(estimates) == [5] * (SETTLE + 1) + [6] * 4 + [5] * (200 - SETTLE - 5)
    assert flagged(estimates, Flag.SWAPPED) == [SETTLE + 1, SETTLE + 5]
    old = Pipeline(read_bundle(tmp_path / "linear.bmi"), FILTERS).run(counts)
    np.testing.assert_array_equal([e.outputs for e in estimates[SETTLE + 5 :]], old[SETTLE + 5 :])
    assert bench.outbox.events[-1]["reason"] == "on demand"


def test_too_late_to_go_back(bench: Bench, counts: npt.NDArray[np.uint8], other: Path) -> None:
    request(bench, other)
    bench.decode(counts)
    asked = back(bench)
    bench.decoder.take_requests()
    assert asked.failure == "revision 5 is not kept warm any more"


def test_a_swap_within_the_probation_of_another(bench: Bench, counts: npt.NDArray[np.uint8], other: Path) -> None:
    request(bench, other, revision=6)
    bench.decode(counts[: SETTLE + 2])
    assert isinstance(bench.decoder.shadow, Probation)
    request(bench, other, revision=7)
    estimates = bench.decode(counts[SETTLE + 2 :], first=SETTLE + 2)
    assert revisions(estimates)[: SETTLE + 2] == [6] * (SETTLE + 1) + [7]


def test_a_request_that_was_given_up_is_not_done_any_more(
    bench: Bench, counts: npt.NDArray[np.uint8], other: Path
) -> None:
    asked = request(bench, other)
    bench.decode(counts[:10])
    assert asked.decide("no bins came")
    assert set(revisions(bench.decode(counts[10:], first=10))) == {5}
    assert asked.failure == "no bins came"
    assert bench.decoder.shadow is None


class Hot(threading.Thread):
    """Decodes without pause, as a stream would have it, until it is stopped."""

    def __init__(self, bench: Bench, row: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self._bench, self._row, self.stop = bench, row, threading.Event()

    def run(self) -> None:
        first = 0
        while not self.stop.is_set():
            self._bench.decode(self._row, first=first)
            self._bench.outbox.frames = self._bench.outbox.frames[-1:]
            first += 1


@pytest.fixture
def exchange(bench: Bench) -> Exchange:
    session = SessionSettings(name="m1", stream=StreamSettings(name="M1"), decoder="x", output_filters=FILTERS)
    settings = WorkerSettings(
        session=session, bundle="linear.bmi", flight="flight", revision=5,
        settle_s=SETTLE * BIN_S, probation_s=PROBATION * BIN_S,
    )  # fmt: skip
    return Exchange(bench.decoder, settings, lambda: 0)


def swap_while_decoding(
    bench: Bench, exchange: Exchange, row: npt.NDArray[np.float64], *commands: SwapCommand
) -> list[SwapAnswer]:
    hot = Hot(bench, row)
    hot.start()
    try:
        return [exchange.swap(command) for command in commands]
    finally:
        hot.stop.set()
        hot.join()


def command(bundle: Path, revision: int = 6, masked: tuple[int, ...] = ()) -> SwapCommand:
    return SwapCommand(revision=revision, bundle=str(bundle), masked_channels=masked)


def test_exchange_back_and_forth(bench: Bench, exchange: Exchange, other: Path, tmp_path: Path) -> None:
    """What has been left is let go, without the garbage collector, which is off while a stream runs."""
    bundles = other, tmp_path / "linear.bmi"
    pipelines = []
    gc.disable()
    try:
        for revision in range(6, 26):
            commands = [command(bundles[revision % 2], revision)]
            (answer,) = swap_while_decoding(bench, exchange, np.ones(N_CHANNELS), *commands)
            assert answer.outcome == "switched"
            pipelines.append(weakref.ref(bench.decoder.lane.pipeline))
        alive = [revision for revision, pipeline in enumerate(pipelines, 6) if pipeline() is not None]
    finally:
        gc.enable()
    # The published one, the former one, and the one that the next swap lets go.
    assert set(alive) <= {23, 24, 25}
    assert bench.decoder.lane.revision == 25


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_channels": 9}, "9 channels, the running stream has 8"),
        ({"bin_s": 0.02}, "bins of 20 ms, the running session of 4 ms"),
        ({"unit": "cm/s"}, "its outputs are x_velocity (cm/s), y_velocity (cm/s), the running session publishes"),
    ],
)
def test_what_does_not_fit_the_stream(
    bench: Bench, exchange: Exchange, tmp_path: Path, change: dict[str, float | str], words: str
) -> None:
    bundle = write_linear_bundle(tmp_path / "unfit.bmi", **change)  # type: ignore[arg-type]
    answer = exchange.swap(command(bundle))
    assert answer.outcome == "unfit"
    assert words in answer.reason
    assert not bench.decoder.requests
    assert exchange.state().last_failure == (6, answer.reason)


@pytest.mark.parametrize(
    ("masked", "words"),
    [((3, 8), "channel 8 cannot be masked: the decoder has 8 channels, 0 to 7"), (tuple(range(8)), "all 8 channels")],
)
def test_a_mask_that_does_not_fit(
    bench: Bench, exchange: Exchange, other: Path, masked: tuple[int, ...], words: str
) -> None:
    answer = exchange.swap(command(other, masked=masked))
    assert answer.outcome == "unfit" and words in answer.reason
    assert not bench.decoder.requests


def test_a_mask_goes_with_its_revision(bench: Bench, exchange: Exchange, other: Path) -> None:
    """Out with a decoder and back with it, as a copy of the state says."""
    seen = []

    def snapshot() -> None:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(exchange.snapshot)
            while not bench.decoder.requests:
                assert not asked.done(), asked.result()
            bench.decoder.take_requests()
            answer = asked.result(30)
        seen.append((answer.revision, answer.masked_channels))

    snapshot()
    for revision, masked in ((6, (1, 4)), (7, ()), (6, (1, 4))):
        (answer,) = swap_while_decoding(bench, exchange, np.ones(N_CHANNELS), command(other, revision, masked))
        assert answer.outcome == "switched"
        snapshot()
    assert seen == [(5, ()), (6, (1, 4)), (7, ()), (6, (1, 4))]


def test_a_damaged_bundle(bench: Bench, exchange: Exchange, other: Path) -> None:
    other.write_bytes(other.read_bytes()[:-100])
    answer = exchange.swap(command(other))
    assert (answer.outcome, "is not a complete zip file" in answer.reason) == ("unfit", True)


def test_not_finite_in_shadow(bench: Bench, exchange: Exchange, fragile: Path) -> None:
    (answer,) = swap_while_decoding(bench, exchange, LOUD.astype(float), command(fragile))
    assert (answer.outcome, answer.reason) == ("unfit", f"{NOT_FINITE} on this stream, in shadow")


def test_no_bins_no_swap(
    bench: Bench, exchange: Exchange, other: Path, monkeypatch: pytest.MonkeyPatch, counts: npt.NDArray[np.uint8]
) -> None:
    monkeypatch.setattr(exchange_module, "STALL_S", 0.05)
    answer = exchange.swap(command(other))
    assert answer.outcome == "stalled"
    assert "no bin has come" in answer.reason
    assert set(revisions(bench.decode(counts))) == {5}


def test_one_swap_at_a_time(bench: Bench, exchange: Exchange, other: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        first: Future[SwapAnswer] = pool.submit(exchange.swap, command(other))
        while not bench.decoder.requests:
            assert not first.done(), first.result()
        assert exchange.state().swapping_to == 6
        second = exchange.swap(command(other, 7))
        assert (second.outcome, second.reason) == ("busy", "a swap to revision 6 is under way")
        bench.decode(np.ones((2 * SETTLE, N_CHANNELS)))
        assert first.result(30).outcome == "switched"
    assert exchange.state().swapping_to is None


def test_exchange_goes_back_at_once_while_it_can(bench: Bench, exchange: Exchange, other: Path, tmp_path: Path) -> None:
    """The bundle is not read for it."""
    request(bench, other)
    bench.decode(np.ones((SETTLE + 2, N_CHANNELS)))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(exchange.swap, command(tmp_path / "nothing.bmi", 5))
        while not bench.decoder.requests:
            assert not asked.done(), asked.result()
        bench.decoder.take_requests()
        assert asked.result(30).outcome == "switched"
    assert bench.decoder.lane.revision == 5
