"""The figures of the filtering study, on signals whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.filtering_claim import distortion, error_per_band, judged, table
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.evaluation.variants import evaluate
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.simulation import SubjectSettings, simulate
from tests.evaluation.support import bundle, recording

BIN_S = 0.004


@pytest.mark.parametrize("n", [1000, 1001])
def test_error_of_all_bands_is_one_minus_r2(n: int) -> None:
    rng = np.random.default_rng(n)
    truth, estimate = rng.standard_normal((n, 2)).cumsum(0), rng.standard_normal((n, 2)).cumsum(0)
    bands = error_per_band(truth, estimate, BIN_S)
    assert len(bands) == 4
    assert sum(bands) == pytest.approx(1 - mean_r2(truth, estimate), rel=1e-9)


@pytest.mark.parametrize(("frequency_hz", "band"), [(0.0, 0), (0.5, 0), (2.0, 1), (5.0, 2), (60.0, 3), (125.0, 3)])
def test_error_is_found_at_its_frequency(frequency_hz: float, band: int) -> None:
    time = BIN_S * np.arange(5000)
    truth = np.random.default_rng(0).standard_normal((5000, 2))
    error = np.cos(2 * np.pi * frequency_hz * time)[:, None]
    bands = error_per_band(truth, truth + error, BIN_S)
    assert bands[band] == pytest.approx(sum(bands)) and sum(bands) > 0.1


def test_raw_and_chosen_forms_are_what_evaluate_reports() -> None:
    made = recording(1500)
    decoder = bundle(made)
    figures, reported = judged(decoder, made, 1200), evaluate(Pipeline(decoder), made, 1200)
    assert figures["raw"]["r2"] == reported["raw"]["r2"]
    for name in set(reported) - {"raw"}:
        assert figures[f"{name}, chosen"]["r2"] == reported[name]["r2"]
        assert figures[f"{name}, chosen"]["r2_causal"] == reported[name]["r2_causal"]
    assert {"low_latency, paper", "high_accuracy, paper", "high_accuracy, gust"} < set(figures)


def test_the_papers_filter_leaves_simulated_movement_alone() -> None:
    assert 0.99 < distortion(simulate(SubjectSettings(seed=4), 60.0), 2000) < 1


def test_gains_are_relative_to_each_seeds_own_raw_r2() -> None:
    def entry(seed: int, raw: float, filtered: float) -> dict[str, Any]:
        forms = {"raw": raw, "high_accuracy": filtered}
        figures = {name: {"r2": r2, "r2_causal": r2 - 0.1, "error_per_band": [1 - r2]} for name, r2 in forms.items()}
        return {"seed": seed, "decoder": "a", "forms": figures}

    row = table([entry(1, 0.5, 0.55), entry(2, 0.4, 0.48)])["a"]["high_accuracy"]
    assert row["gain_percent"] == pytest.approx((15.0, 50**0.5))
    assert row["r2"][0] == pytest.approx(0.515)
    assert row["error_per_band"] == pytest.approx([0.485])
