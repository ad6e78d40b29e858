from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.correlation import correlation_per_output, lag_bins
from bmi_decoder.evaluation.variants import accuracy, evaluate
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Output, Recording

from .support import BIN_S, bundle, recording


def late(truth: np.ndarray, bins: int) -> np.ndarray:
    """The truth, `bins` later; zeros before."""
    return np.concatenate([np.zeros((bins, truth.shape[1])), truth[: len(truth) - bins]])


def published(made: Recording, pipeline: Pipeline, extra: int = 0, gain: float = 1.0) -> np.ndarray:
    """What a pipeline would publish that decodes perfectly, `extra` bins later than it says."""
    return gain * np.stack([late(made.kinematics, lookahead + extra) for lookahead in pipeline.lookahead], 1)


def test_a_perfect_decoder_is_perfect_where_each_estimate_belongs() -> None:
    made, pipeline = recording(), Pipeline(bundle())
    figures = accuracy(pipeline, made, published(made, pipeline), 100)
    assert list(figures) == ["raw", "low_latency", "high_accuracy"]
    for values in figures.values():
        assert values["r2"] == 1
        assert values["correlation"] == pytest.approx(1)
        assert all(entry == {"value": 0.0, "unit": "m/s"} for entry in values["rmse_per_output"].values())
        assert values["lag_after_alignment_bins"] == 0
        assert values["lag_s"] == values["lookahead_s"]
    high = figures["high_accuracy"]
    assert (high["lag_bins"], high["lookahead_s"]) == (8, 8 * BIN_S)
    assert high["r2_causal"] < 0.9
    assert set(high["r2_causal_per_output"]) == {"x_velocity", "y_velocity"}


def test_undeclared_delay_shows_as_lag_after_alignment() -> None:
    made, pipeline = recording(), Pipeline(bundle())
    figures = accuracy(pipeline, made, published(made, pipeline, extra=3), 100)
    assert [values["lag_after_alignment_bins"] for values in figures.values()] == [3, 3, 3]
    assert figures["raw"]["lag_s"] == 3 * BIN_S


def test_rmse_has_the_outputs_units_and_correlation_ignores_gain() -> None:
    made, pipeline = recording(), Pipeline(bundle(filters=OutputFilterSettings()))
    raw = accuracy(pipeline, made, published(made, pipeline, gain=0.5))["raw"]
    x = made.kinematics[:, 0]
    assert raw["rmse_per_output"]["x_velocity"]["value"] == pytest.approx(np.sqrt(((0.5 * x) ** 2).mean()))
    assert raw["correlation"] == pytest.approx(1)
    assert raw["r2"] == pytest.approx(0.75, abs=0.01)


def test_lag_is_not_measured_across_a_gap() -> None:
    """Where a segment begins anew, the truth before the gap is no partner."""
    segments = ((0, 700), (700, 1400), (1400, 3000))
    made = recording(segments=segments)
    estimate = np.concatenate([late(made.kinematics[a:b], 5) for a, b in segments])
    assert lag_bins(made, estimate, np.arange(3000)) == 5
    assert lag_bins(made, np.zeros((3000, 2)), np.arange(3000)) is None
    early = np.roll(made.kinematics, -4, 0)
    assert lag_bins(made, early, np.arange(100, 690)) == -4


def test_an_output_that_does_not_move_is_null_and_counts_nowhere() -> None:
    made, pipeline = recording(), Pipeline(bundle())
    still = Recording(made.counts, made.kinematics * [1.0, 0.0], made.outputs, made.bin_s)
    values = evaluate(pipeline, still)["raw"]
    assert values["r2_per_output"]["y_velocity"] is None
    assert values["correlation_per_output"]["y_velocity"] is None
    assert values["r2"] == values["r2_per_output"]["x_velocity"]


@pytest.mark.parametrize("outputs", [("m/s",), ("m", "m"), ("m/s", "m/s", "m/s")])
def test_another_kind_of_movement_is_refused(outputs: tuple[str, ...]) -> None:
    made, pipeline = recording(), Pipeline(bundle())
    kinematics = np.zeros((made.n_bins, len(outputs)))
    other = Recording(made.counts, kinematics, tuple(Output(f"o{i}", unit) for i, unit in enumerate(outputs)), BIN_S)
    with pytest.raises(InputError, match=r"estimates x_velocity \(m/s\), y_velocity \(m/s\), but .* has o0"):
        evaluate(pipeline, other)


def test_correlation_is_numpys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 3))
    expected = [np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(correlation_per_output(a, b), expected, rtol=1e-12)
