"""What a session publishes over LSL, received by real inlets."""

from __future__ import annotations

import ctypes
import uuid
from pathlib import Path

import numpy as np
import pylsl
import pytest
from pydantic import ValidationError

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings, SessionSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Estimate, Flag, parse
from services.worker import outlets as outlets_module
from services.worker.outlets import Outlets
from tests.control.support import BIN_S, N_CHANNELS, write_linear_bundle
from tests.worker.live_stage import Bench, Sample, Stage

LOW = BlockFilterSettings(order=2, cutoff_hz=6.25, width=16)
SLOW, SLOWER = (BlockFilterSettings(order=2, cutoff_hz=6.25, width=width) for width in (16, 32))


@pytest.fixture
def session() -> str:
    return f"m-{uuid.uuid4().hex[:12]}"


def inlet(stream: str) -> pylsl.StreamInlet:
    """Connected before anything is pushed."""
    (info,) = pylsl.resolve_byprop("name", stream, 1, 20.0)
    opened = pylsl.StreamInlet(info, recover=False)
    opened.open_stream(20.0)
    return opened


def pull(opened: pylsl.StreamInlet, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, C) and their stamps."""
    samples = [opened.pull_sample(20.0) for _ in range(n)]
    return np.array([sample for sample, _ in samples]), np.array([stamp for _, stamp in samples])


@pytest.mark.parametrize("compiled", [True, False])
def test_receivers_get_what_is_published(
    session: str, compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    # A gap of three bins, which are held, and a bin that overflows.
    samples = [
        Sample(k * BIN_S, 100 + k * BIN_S, rng.integers(0, 4, N_CHANNELS)) for k in (*range(1, 30), *range(33, 60))
    ]
    samples.append(Sample(60 * BIN_S, 100 + 60 * BIN_S, 3e38))
    stage = Stage(samples)
    bench = Bench(tmp_path, stage, monkeypatch, compiled, outlets=Outlets(session))
    raw, filtered = inlet(f"{session}-raw"), inlet(f"{session}-low_latency")
    bench.run()
    estimates = [one for one in map(parse, stage.frames) if isinstance(one, Estimate)]
    assert len(estimates) == 60
    assert {one.flags for one in estimates} >= {Flag.WARM_UP, Flag.HELD, Flag.INVALID}
    for opened, variant in ((raw, "raw"), (filtered, "low_latency")):
        rows, stamps = pull(opened, 60)
        np.testing.assert_array_equal(rows[:, :-1], [one.variant(variant) for one in estimates])
        np.testing.assert_array_equal(rows[:, -1], [one.flags for one in estimates])
        np.testing.assert_array_equal(stamps, [one.t_source for one in estimates])
        assert opened.pull_sample(0.0) == (None, None)


def test_a_stream_says_what_it_brings(session: str, tmp_path: Path) -> None:
    pipeline = Pipeline(
        read_bundle(write_linear_bundle(tmp_path / "linear.bmi")),
        OutputFilterSettings(low_latency=LOW, high_accuracy=SLOWER),
    )
    held = Outlets(session).of(pipeline)
    assert pipeline.lookahead[:2] == (0, 0) and pipeline.lookahead[2] > 0
    for variant, lookahead in zip(pipeline.variants, pipeline.lookahead, strict=True):
        info = inlet(f"{session}-{variant.name}").info(20.0)
        assert (info.type(), info.nominal_srate(), info.channel_format()) == (
            "kinematics_estimate",
            1 / BIN_S,
            pylsl.cf_float32,
        )
        assert info.get_channel_labels() == ["x_velocity", "y_velocity", "flags"]
        assert info.get_channel_units() == ["m/s", "m/s", "none"]
        about = info.desc().child("synchronization")
        assert float(about.child_value("offset_mean")) == lookahead * BIN_S
        assert info.source_id().endswith(f"{session}-{variant.name}-{lookahead}")
    del held


def test_streams_stay_and_what_another_filter_describes_is_shifted(session: str, tmp_path: Path) -> None:
    bundle = read_bundle(write_linear_bundle(tmp_path / "linear.bmi"))
    outlets = Outlets(session)
    pipelines = [Pipeline(bundle, OutputFilterSettings(high_accuracy=one)) for one in (SLOW, SLOWER)]
    lanes = [outlets.of(pipeline) for pipeline in pipelines]
    opened = inlet(f"{session}-high_accuracy")
    for lane in lanes:
        lane.push(np.arange(4, dtype=np.float32), 10.0, 0)
    rows, stamps = pull(opened, 2)
    np.testing.assert_array_equal(rows, [[2, 3, 0]] * 2)
    declared = float(opened.info(20.0).desc().child("synchronization").child_value("offset_mean"))
    described = [10.0 - pipeline.lookahead[1] * BIN_S for pipeline in pipelines]
    assert described[0] != described[1]
    np.testing.assert_allclose(stamps - declared, described, atol=1e-12)
    # A variant that comes later is opened then.
    later = outlets.of(Pipeline(bundle, OutputFilterSettings(low_latency=LOW)))
    low = inlet(f"{session}-low_latency")
    later.push(np.arange(4, dtype=np.float32), 11.0, 4)
    np.testing.assert_array_equal(pull(low, 1)[0], [[2, 3, 4]])
    names = sorted(info.name() for info in pylsl.resolve_bypred(f"starts-with(name,'{session}')", 3, 20.0))
    assert names == [f"{session}-{variant}" for variant in ("high_accuracy", "low_latency", "raw")]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_push_that_fails_ends_the_session(
    session: str, compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double, ctypes.c_int)
    refuse = prototype(lambda outlet, row, stamp, at_once: -5)
    monkeypatch.setattr(outlets_module, "_push", refuse)
    monkeypatch.setattr(outlets_module, "_PUSH", ctypes.cast(refuse, ctypes.c_void_p).value)
    stage = Stage([Sample(k * BIN_S, k * BIN_S) for k in range(1, 9)])
    bench = Bench(tmp_path, stage, monkeypatch, compiled, outlets=Outlets(session))
    with pytest.raises(BmiError, match="could not be pushed over LSL: liblsl's error -5"):
        bench.run()


def test_what_is_not_sent_is_not_pushed(session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage([Sample(k * BIN_S, k * BIN_S) for k in range(1, 9)])
    bench = Bench(tmp_path, stage, monkeypatch, outlets=Outlets(session))
    opened = inlet(f"{session}-raw")
    stage.send_fails = True
    with pytest.raises(BmiError, match="could not be sent"):
        bench.run()
    # The first sample of a stream goes through Python, whose send does not fail here.
    assert sum(isinstance(parse(frame), Estimate) for frame in stage.frames) == 1
    pull(opened, 1)
    assert opened.pull_sample(0.2) == (None, None)


def test_an_outlet_that_cannot_be_opened(session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("could not create stream outlet.")

    monkeypatch.setattr(pylsl, "StreamOutlet", refuse)
    pipeline = Pipeline(read_bundle(write_linear_bundle(tmp_path / "linear.bmi")))
    with pytest.raises(BmiError, match=f"no LSL outlet can be opened for '{session}-raw'.*widen PortRange"):
        Outlets(session).of(pipeline)


@pytest.mark.parametrize("settings", [{"encryption": "curve"}, {"endpoint": "tcp://192.0.2.1:5555"}])
def test_what_is_encrypted_does_not_go_out_in_the_clear(settings: dict[str, str]) -> None:
    base = {"name": "m1", "stream": {"name": "M1"}, "decoder": "x", "lsl_outlets": True}
    with pytest.raises(ValidationError, match="LSL does not encrypt"):
        SessionSettings.model_validate(base | settings)
    assert SessionSettings.model_validate(base | settings | {"encryption": "none"}).lsl_outlets
