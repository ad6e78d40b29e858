"""Input filter, decoder and output filters as one program, against each of them alone."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmi_decoder.bundle import Bundle
from bmi_decoder.config import BlockFilterSettings, InputFilterSettings, OutputFilterSettings
from bmi_decoder.errors import BmiError, InputError, ProgramError
from bmi_decoder.machine.executor import Executor
from bmi_decoder.onnx_executor import OnnxExecutor
from bmi_decoder.pipeline import Pipeline, filter_lookahead, filter_taps
from bmi_decoder.recording import Output
from bmi_decoder.training.export import export_onnx
from bmi_decoder.wire import Variant
from filters import BOUNDARIES, BlockBidirectional
from tests.decoders.plugin import SmoothDecoder
from tests.support import BIN_S, N_CHANNELS, bundle, recording, smoothing_program

FILTERS = OutputFilterSettings(
    low_latency=BlockFilterSettings(order=2, cutoff_hz=10, width=12),
    high_accuracy=BlockFilterSettings(order=4, cutoff_hz=6.25, width=32, boundary="gust"),
)
ENTRY = InputFilterSettings(order=2, cutoff_hz=15, width=16)
COUNTS = recording().counts


def block(variant: str, chosen: BlockFilterSettings, n_channels: int) -> BlockBidirectional:
    """The same filter as a class of the filter library."""
    return BlockBidirectional.from_variant(
        variant,
        order=chosen.order,
        cutoff_hz=chosen.cutoff_hz,
        rate_hz=1 / BIN_S,
        width=chosen.width,
        boundary=chosen.boundary,
        n_channels=n_channels,
    )


def onnx_bundle(entry: InputFilterSettings | None = None, filters: OutputFilterSettings | None = None) -> Bundle:
    """A decoder without a program, with a first state that is not zero."""
    torch.manual_seed(0)
    made = bundle(entry, filters, decoder="smooth")
    return dataclasses.replace(made, program=None, onnx=export_onnx(SmoothDecoder(N_CHANNELS, 2)))


ALL = [
    pytest.param(make, entry, filters, id=f"{name}-{'entry' if entry else 'plain'}-{'filters' if filters else 'raw'}")
    for name, make in (("machine", bundle), ("onnx", onnx_bundle))
    for entry in (None, ENTRY)
    for filters in (None, FILTERS)
]


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
def test_is_its_parts_one_after_the_other(make: Any, entry: Any, filters: Any) -> None:
    pipeline = Pipeline(make(entry, filters))
    decoded = pipeline.run(COUNTS)
    x = COUNTS if entry is None else block(entry.variant, entry, N_CHANNELS).process(COUNTS)
    raw = Pipeline(make()).run(x)[:, 0]
    assert decoded.dtype == np.float32
    assert decoded.shape == (400, 3 if filters else 1, 2)
    np.testing.assert_allclose(decoded[:, 0], raw, rtol=0, atol=2e-5)
    for v, (variant, chosen) in enumerate([] if filters is None else filters.items(), start=1):
        want = block(variant, chosen, 2).process(decoded[:, 0])
        np.testing.assert_allclose(decoded[:, v], want, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
@settings(deadline=None, max_examples=15)
@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_chunks_do_not_matter(make: Any, entry: Any, filters: Any, cuts: list[int]) -> None:
    pipeline = Pipeline(CACHED.setdefault((make, entry is None, filters is None), make(entry, filters)))
    whole = pipeline.run(COUNTS)
    pipeline.reset()
    parts = [pipeline.run(part) for part in np.split(COUNTS, sorted(cuts))]
    assert np.array_equal(np.concatenate(parts), whole)


CACHED: dict[Any, Bundle] = {}


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
def test_live_and_offline_are_the_same(make: Any, entry: Any, filters: Any) -> None:
    """A worker runs one row at a time into arrays of its own, in a fresh process' pipeline."""
    made = make(entry, filters)
    offline, live = Pipeline(made).decode(recording()), Pipeline(made)
    x, y = live.engine.rows()
    assert (x.shape, y.shape) == ((1, N_CHANNELS), (1, offline[0].size))
    for row, want in zip(COUNTS, offline, strict=True):
        x[0] = row
        live.engine.run_into(x, y)
        assert np.array_equal(y[0], want.ravel())


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
def test_state_can_be_saved_and_loaded(make: Any, entry: Any, filters: Any) -> None:
    made = make(entry, filters)
    pipeline, other = Pipeline(made), Pipeline(made)
    pipeline.run(COUNTS[:150])
    saved = pipeline.engine.state()
    want = pipeline.run(COUNTS[150:])
    other.run(COUNTS[:7])
    other.engine.load_state(saved)
    assert np.array_equal(other.run(COUNTS[150:]), want)
    other.reset()
    assert np.array_equal(other.engine.state(), Pipeline(made).engine.state())
    for bad in (saved[:-1], saved.astype(np.float64), saved[None]):
        with pytest.raises(InputError, match="state must be"):
            other.engine.load_state(bad)


@pytest.mark.parametrize(("make", "entry", "filters"), ALL)
def test_a_reset_leaves_no_trace_of_broken_input(make: Any, entry: Any, filters: Any) -> None:
    pipeline = Pipeline(make(entry, filters))
    whole = pipeline.run(COUNTS)
    broken = COUNTS.astype(np.float32)
    broken[5], broken[6] = np.nan, np.inf
    pipeline.reset()
    assert np.isnan(pipeline.run(broken)[5:20]).any()
    pipeline.reset()
    assert np.array_equal(pipeline.run(COUNTS), whole)


@pytest.mark.parametrize("make", [bundle, onnx_bundle])
def test_segments_start_anew(make: Any) -> None:
    given = recording(segments=((0, 137), (137, 138), (138, 400)))
    pipeline = Pipeline(make(ENTRY, FILTERS))
    decoded = pipeline.decode(given)
    for start, stop in given.spans:
        assert np.array_equal(decoded[start:stop], Pipeline(make(ENTRY, FILTERS)).run(given.counts[start:stop]))
    assert np.array_equal(pipeline.decode(given), decoded), "decode starts from a reset"


def test_filters_of_the_bundle_unless_others_are_given() -> None:
    made = bundle(None, FILTERS)
    assert Pipeline(made).variants == (Variant.raw, Variant.low_latency, Variant.high_accuracy)
    assert Pipeline(made, OutputFilterSettings()).variants == (Variant.raw,)
    only = OutputFilterSettings(high_accuracy=FILTERS.high_accuracy)
    pipeline = Pipeline(made, only)
    assert pipeline.variants == (Variant.raw, Variant.high_accuracy)
    assert np.array_equal(pipeline.run(COUNTS), Pipeline(made).run(COUNTS)[:, [0, 2]])


def test_lookahead_and_warm_up() -> None:
    pipeline = Pipeline(bundle(ENTRY, FILTERS))
    assert pipeline.lookahead == (0, 0, 16)
    assert pipeline.warm_up == (15, 15, 31), "the raw output waits for the input filter"
    assert Pipeline(bundle(None, FILTERS)).warm_up == (0, 11, 31)
    assert (pipeline.n_channels, pipeline.bin_s, pipeline.shape) == (N_CHANNELS, BIN_S, (3, 2))
    assert pipeline.outputs == (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))


def test_during_warm_up_filters_pass_through() -> None:
    pipeline = Pipeline(bundle(None, FILTERS))
    decoded = pipeline.run(COUNTS)
    for v, warm_up in enumerate(pipeline.warm_up):
        assert np.array_equal(decoded[:warm_up, v], decoded[:warm_up, 0])
        if v:
            assert not np.array_equal(decoded[warm_up, v], decoded[warm_up, 0])


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("variant", "lookahead"), [("low_latency", 0), ("high_accuracy", 16)])
def test_taps_are_one_row_of_the_block_filter(boundary: Any, variant: Any, lookahead: int) -> None:
    chosen = BlockFilterSettings(cutoff_hz=6.25, boundary=boundary)
    taps = filter_taps(variant, chosen, BIN_S)
    assert len(taps) == 32
    assert taps.sum() == pytest.approx(1)
    assert filter_lookahead(variant, chosen) == lookahead
    np.testing.assert_allclose(taps, block(variant, chosen, 1).taps, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("entry", "filters", "message"),
    [
        (
            None,
            OutputFilterSettings(low_latency=BlockFilterSettings(cutoff_hz=125)),
            "low_latency filter at 250 bins/s",
        ),
        (
            None,
            OutputFilterSettings(high_accuracy=BlockFilterSettings(cutoff_hz=5, width=8)),
            "high_accuracy filter at",
        ),
        (InputFilterSettings(cutoff_hz=300), None, "low_latency filter at 250 bins/s: .*125"),
    ],
)
def test_filters_that_cannot_be_designed_are_refused(entry: Any, filters: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline(bundle(entry, filters))


def test_a_filter_that_needs_too_much_memory_is_refused() -> None:
    wide = bundle(
        InputFilterSettings(cutoff_hz=5, width=4096),
        program=smoothing_program(8192),
        n_channels=8192,
        channels=("c",) * 8192,
    )
    with pytest.raises(ProgramError, match="larger than the arena may be"):
        Pipeline(wide)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": np.ones((400, 4))}, "test recording has 4 channels, the decoder was trained on 3"),
        ({"bin_s": 0.02}, "test recording has bins of 20 ms, the decoder was trained on 4 ms; read it with that bin"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline(bundle()).decode(recording(**changes))


@pytest.mark.parametrize("make", [bundle, onnx_bundle])
@pytest.mark.parametrize("rows", [np.zeros((5, 4)), np.zeros(3), np.zeros((5, 3), complex), np.full((5, 3), "1")])
def test_rows_that_do_not_fit_are_refused(make: Any, rows: np.ndarray) -> None:
    with pytest.raises(InputError, match="input must"):
        Pipeline(make()).run(rows)


def test_a_slightly_different_bin_width_is_the_same() -> None:
    Pipeline(bundle()).decode(recording(bin_s=0.004 * (1 + 1e-6)))


def test_machine_or_onnx() -> None:
    assert isinstance(Pipeline(bundle()).engine, Executor)
    assert isinstance(Pipeline(onnx_bundle()).engine, OnnxExecutor)


def test_what_runs_a_session_never_loads_torch() -> None:
    """Nor what only training or a decoder without a program needs."""
    code = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    for unwanted in {"torch", "onnx", "onnxruntime", "matplotlib"} & set(sys.modules):
        raise SystemExit(f"{module} loads {unwanted}")
"""
    modules = (
        "bmi_decoder.pipeline",
        "bmi_decoder.client",
        "bmi_decoder.cli",
        "bmi_decoder.commands.decode",
        "bmi_decoder.commands.evaluate",
        "services.worker.session",
        "services.worker.__main__",
        "services.control.app",
        "services.rig.command",
    )
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_decoding_never_loads_torch(tmp_path: Any) -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
from bmi_decoder.bundle import read_bundle, write_bundle
from bmi_decoder.pipeline import Pipeline
sys.modules["torch"] = None  # an import of it would raise
from tests.support import bundle, recording
write_bundle(bundle(), Path(sys.argv[1]))
print(Pipeline(read_bundle(Path(sys.argv[1]))).decode(recording()).shape)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "b.bmi")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(400, 1, 2)"


def test_errors_are_of_the_kind_that_the_command_line_reports() -> None:
    assert issubclass(InputError, BmiError)
    assert issubclass(ProgramError, InputError)
