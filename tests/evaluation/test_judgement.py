from __future__ import annotations

import importlib.util

import pytest

from bmi_decoder.bundle import Bundle
from bmi_decoder.evaluation import cost
from bmi_decoder.evaluation.judgement import judge
from bmi_decoder.evaluation.operations import measure_operations
from bmi_decoder.evaluation.speed import time_steps
from bmi_decoder.pipeline import Pipeline

from .support import N_CHANNELS, bundle, recording


def test_a_recording_that_was_trained_on_is_judged_by_its_last_part() -> None:
    made = recording()
    assert judge(bundle(), made).start == 0
    seen = judge(bundle(made), made)
    assert (seen.seen, seen.start) == (True, 2400)
    assert seen.figures["variants"]["raw"]["bins"] == 600
    assert seen.decoded.shape == (3000, 3, 2)


def test_cost_of_a_bundle() -> None:
    figures = judge(bundle(), recording()).figures
    counted = figures["operations"]
    # Four gates from channels and hidden units, three products per unit, readout.
    assert counted["dense"] == 4 * 8 * (N_CHANNELS + 8) + 3 * 8 + 8 * 2
    assert figures["operations_missing"] is None
    assert figures["filter_macs"] == {"raw": 0, "low_latency": 2 * 12, "high_accuracy": 2 * 16}
    memory = figures["memory"]
    assert memory["parameter_bytes"] >= counted["footprint_bytes"] - 4 * 4 * 8  # the biases of the gates are one
    assert memory["arena_bytes"] > 4 * counted["state_floats"]
    took = figures["speed"]["step_us"]
    assert 0 < took["p50"] <= took["p99"] <= took["max"]


def test_without_torch_counts_are_null_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(cost, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    figures = judge(bundle(), recording()).figures
    assert figures["operations"] is None
    assert "pip install 'bmi-decoder[train]'" in figures["operations_missing"]
    assert figures["variants"]["raw"]["bins"] == 3000


def test_a_decoder_that_is_not_installed_here_is_judged_all_the_same() -> None:
    whole = bundle()
    foreign = Bundle(
        whole.manifest.model_copy(update={"decoder": "elsewhere"}), whole.program, whole.weights, whole.onnx
    )
    figures = judge(foreign, recording()).figures
    assert figures["operations"] is None
    assert "there is no decoder 'elsewhere'" in figures["operations_missing"]
    # Weights of another decoder, too.
    foreign = Bundle(
        whole.manifest.model_copy(update={"decoder": "snn_streaming", "hyper_parameters": {}}),
        whole.program,
        whole.weights,
        whole.onnx,
    )
    missing = judge(foreign, recording()).figures["operations_missing"]
    assert "not those of decoder 'snn_streaming'" in missing


def test_operations_start_anew_in_every_segment() -> None:
    """The spiking network's activity depends on its state, which a reset empties."""
    import torch

    from bmi_decoder.decoders.restore import restore_decoder

    segments = ((0, 40), (40, 50), (50, 3000))
    made, whole = recording(segments=segments), bundle(decoder="snn_streaming")
    x = torch.from_numpy(made.counts.astype("float32"))
    expected = measure_operations(restore_decoder(whole), [x[30:40], x[40:50], x[50:90]])
    budget = expected.pop("bit_budget")
    assert cost.operations(whole, made, 30, 90) == {
        "operations": expected,
        "operations_missing": None,
        "bit_budget": budget,
    }


def test_timing_leaves_the_pipeline_reset() -> None:
    pipeline, counts = Pipeline(bundle()), recording().counts
    fresh = pipeline.engine.state()
    assert time_steps(pipeline, counts[:7], n_steps=50)["steps"] == 50
    assert (pipeline.engine.state() == fresh).all()
