"""The compiled loop and Python do the same with every stream; and when the next sample is awaited in which way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.errors import BmiError
from bmi_decoder.wire import Flag, Health, parse
from services.ingest import channels
from services.ingest.inlet import StreamLostError
from services.worker.snapshot import SnapshotRequest
from tests.control.support import BIN_S, N_CHANNELS
from tests.worker.live_stage import SLICE_S, TIMEOUT_S, Bench, Sample, Stage

PERIOD = BIN_S
HUGE = 3e38  # finite, and its sum over channels is not


def regular(n: int, sample_s: float = PERIOD, lag: float = 0.0) -> list[Sample]:
    rng = np.random.default_rng(3)
    return [Sample(k * sample_s + lag, k * sample_s, rng.integers(0, 4, N_CHANNELS)) for k in range(1, n + 1)]


EVENTS = st.one_of(
    st.tuples(st.just("regular"), st.integers(1, 30)),
    st.tuples(st.just("jitter"), st.floats(-0.6, 0.6)),
    st.tuples(st.just("gap"), st.integers(1, 30)),
    st.tuples(st.just("again"), st.integers(0, 3)),
    st.tuples(st.just("jump"), st.sampled_from([-1e5, 1e5])),
    st.tuples(st.just("counts"), st.sampled_from([np.nan, np.inf, HUGE, -1.0, 1e-3])),
    st.tuples(st.just("channel 2"), st.sampled_from([np.nan, np.inf])),
    st.tuples(st.just("stamp"), st.sampled_from([np.nan, np.inf])),
    st.tuples(st.just("late"), st.floats(0.01, 0.5)),
)


def stream(events: list[tuple[str, float]], sample_s: float) -> list[Sample]:
    """Samples in the order of their arrival; an event is one, or what happens before the next."""
    rng = np.random.default_rng(0)
    samples: list[Sample] = []
    due, offset, behind = 0.0, 0.0, 0.0
    for what, value in events:
        for _ in range(int(value) if what == "regular" else 1):
            counts = rng.integers(0, 4, N_CHANNELS).astype(float)
            due += sample_s * (1 + (value if what == "gap" else 0))
            offset += value if what == "jump" else 0
            behind = max(0.0, behind - sample_s / 2) + (value if what == "late" else 0)
            stamp = due + offset + (value * sample_s if what == "jitter" else 0)
            if what == "counts":
                counts[:] = value
            if what == "channel 2":
                counts[2] = value
            if what == "stamp":
                stamp = value
            if what == "again" and samples:
                stamp = samples[-1 - min(int(value), len(samples) - 1)].stamp
            samples.append(Sample(due + behind, stamp, counts))
    return samples


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # numpy's, of counts that no rig has
@settings(max_examples=100, deadline=None)
@given(
    events=st.lists(EVENTS, min_size=1, max_size=25),
    gap_policy=st.sampled_from(["hold", "zero", "reset"]),
    samples_per_bin=st.sampled_from([1, 3]),
    rehearse=st.booleans(),
    busy_poll=st.booleans(),
    lost_after=st.one_of(st.none(), st.integers(0, 60)),
    masked=st.sampled_from([(), (2,), (0, 2)]),
)
def test_compiled_and_python_give_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[str, float]],
    gap_policy: str,
    samples_per_bin: int,
    rehearse: bool,
    busy_poll: bool,
    lost_after: int | None,
    masked: tuple[int, ...],
) -> None:
    folder = tmp_path_factory.mktemp("live")
    outcomes = []
    for compiled in (True, False):
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(channels, "WINDOW_S", 20 * BIN_S)
            monkeypatch.setattr(channels, "LEAST_BINS", 20)
            stage = Stage(stream(events, BIN_S / samples_per_bin), lost_after=lost_after)
            if lost_after is not None and lost_after >= len(stage.samples):
                stage.lost_after = None  # the compiled loop would still be waiting there, and Python has ended
            bench = Bench(
                folder / str(compiled),
                stage,
                monkeypatch,
                compiled,
                gap_policy,  # type: ignore[arg-type]
                samples_per_bin,
                masked,
                rehearse=rehearse,
                busy_poll=busy_poll,
            )
            bench.run()
            outcomes.append(bench.outcome)
    assert outcomes[0] == outcomes[1]


def test_regular_samples_are_decoded_without_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, Stage(regular(100)), monkeypatch)

    def refuse(*arguments: object) -> None:
        raise AssertionError("decoded in Python")

    bench.live.run(SLICE_S, TIMEOUT_S)  # the first begins the grid
    monkeypatch.setattr(bench.decoder, "decode", refuse)
    bench.run()
    assert bench.decoder.sequence == 100


def test_a_loop_comes_back_after_its_slice_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, Stage(regular(400)), monkeypatch)
    bench.live.run(SLICE_S, TIMEOUT_S)
    began = bench.stage.now
    bench.live.run(5 * PERIOD, TIMEOUT_S)
    assert bench.stage.now - began == pytest.approx(6 * PERIOD)


def test_who_wants_attention_gets_it_behind_the_bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, Stage(regular(100)), monkeypatch)
    bench.live.run(SLICE_S, TIMEOUT_S)
    request = SnapshotRequest()
    bench.decoder.ask(request)
    bench.live.run(100 * SLICE_S, TIMEOUT_S)
    assert bench.decoder.sequence == 2
    bench.decoder.take_requests()
    assert request.sequence == 2
    bench.live.run(100 * PERIOD, TIMEOUT_S)
    assert bench.decoder.sequence == 100


def test_outputs_that_are_not_finite_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = regular(40)
    samples[20] = samples[20]._replace(counts=HUGE)
    bench = Bench(tmp_path, Stage(samples), monkeypatch)
    bench.run()
    estimates = [parse(frame) for frame in bench.stage.frames if frame[:4] == b"BMID"]
    flags = [estimate.flags for estimate in estimates]  # type: ignore[union-attr]
    assert [k for k, flag in enumerate(flags) if flag & Flag.INVALID] == [20]
    assert [k for k, flag in enumerate(flags) if flag & Flag.RESET] == [21]
    events = [message.event for message in map(parse, bench.stage.frames) if isinstance(message, Health)]
    assert [(event["event"], event["bin"]) for event in events if "bin" in event] == [("invalid_output", 20)]
    assert bench.flight.status().bins_invalid == 1


def test_a_lost_stream_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, Stage(regular(40), lost_after=30), monkeypatch)
    with pytest.raises(StreamLostError, match="gone"):
        while True:
            bench.live.run(SLICE_S, TIMEOUT_S)
    assert bench.decoder.sequence == bench.flight.status().bins_decoded == 30
    bench.connect()
    bench.run()
    assert bench.decoder.sequence == 40


def test_an_estimate_that_cannot_be_sent_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, Stage(regular(40)), monkeypatch)
    bench.live.run(SLICE_S, TIMEOUT_S)
    bench.stage.send_fails = True
    with pytest.raises(BmiError, match="could not be sent"):
        bench.run()


@pytest.fixture(params=[True, False], ids=["compiled", "python"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_each_rehearsal_is_over_shortly_before_the_sample(
    compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(regular(200), takes=100e-6)
    Bench(tmp_path, stage, monkeypatch, compiled).run()
    assert len(stage.rehearsed_at) == 199  # nothing is known of the first sample
    ends = [at + stage.takes for at in stage.rehearsed_at[50:]]
    due = [sample.arrives for sample in stage.samples[51:]]
    assert all(0 < before - end < 300e-6 for end, before in zip(ends, due, strict=True))


def test_a_sample_that_comes_early_is_not_held_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(regular(3))
    stage.samples[2] = stage.samples[2]._replace(arrives=2.5 * PERIOD)
    bench = Bench(tmp_path, stage, monkeypatch)
    bench.run()
    assert stage.last == 2.5 * PERIOD


def test_a_rehearsal_that_takes_too_long_is_left_out(
    compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(regular(60), takes=0.9 * PERIOD)
    Bench(tmp_path, stage, monkeypatch, compiled).run()
    assert len(stage.rehearsed_at) < 20


def test_who_is_woken_too_late_does_not_hold_up_the_sample_by_a_rehearsal(
    compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(regular(100), takes=100e-6, woken_late=200e-6, late_from=50)
    Bench(tmp_path, stage, monkeypatch, compiled).run()
    assert len(stage.rehearsed_at) == 49
    assert stage.last - stage.samples[-1].arrives < stage.takes


def test_only_the_last_sample_of_a_bin_is_rehearsed(
    compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(regular(60, PERIOD / 3))
    Bench(tmp_path, stage, monkeypatch, compiled, samples_per_bin=3).run()
    assert len(stage.rehearsed_at) == 20


def test_a_stream_that_has_stopped_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(regular(1))
    bench = Bench(tmp_path, stage, monkeypatch)
    bench.run()
    bench.live.run(SLICE_S, TIMEOUT_S)
    assert bench.decoder.sequence == 1
    assert stage.now == pytest.approx(PERIOD + TIMEOUT_S, abs=PERIOD + 1e-3)


def test_without_rehearsal_there_is_one_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(regular(30))
    Bench(tmp_path, stage, monkeypatch, rehearse=False).run()
    assert stage.rehearsed_at == []
    assert stage.polls == 0


def test_busy_poll_asks_until_the_sample_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(regular(3))
    Bench(tmp_path, stage, monkeypatch, busy_poll=True).run()
    assert stage.polls > 10


def test_busy_poll_asks_where_a_rehearsal_would_take_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(regular(300, PERIOD / 4))
    Bench(tmp_path, stage, monkeypatch, samples_per_bin=4, busy_poll=True).run()
    assert stage.rehearsed_at == []
    assert stage.polls > 1000


def test_a_masked_channel_may_be_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All day long, and Python is not needed for it."""
    samples = [sample._replace(counts=np.where(np.arange(N_CHANNELS) == 2, np.nan, 1)) for sample in regular(30)]
    bench = Bench(tmp_path, Stage(samples), monkeypatch, masked=[2])
    bench.live.run(SLICE_S, TIMEOUT_S)
    monkeypatch.setattr(bench.decoder, "decode", None)
    bench.run()
    estimates = [parse(frame) for frame in bench.stage.frames if frame[:4] == b"BMID"]
    assert len(estimates) == 30
    assert not any(estimate.flags & Flag.INVALID for estimate in estimates)  # type: ignore[union-attr]


def test_busy_poll_gives_up_on_a_late_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage([*regular(1), Sample(1.0, 2 * PERIOD)])
    bench = Bench(tmp_path, stage, monkeypatch, busy_poll=True)
    bench.live.run(SLICE_S, TIMEOUT_S)
    bench.live.run(SLICE_S, TIMEOUT_S)
    assert bench.decoder.sequence == 1
    assert stage.polls < 100
