"""The learned filter wins where there is something to learn, and nowhere else."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.signal import lfilter

from bmi_decoder.config import BlockFilterSettings, FirFilterSettings, OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.variants import evaluate
from bmi_decoder.pipeline import Pipeline, filter_lookahead, filter_taps
from bmi_decoder.training.learned_fir import learn_fir, r2_by_fold
from bmi_decoder.training.output_filters import MAX_LOOKAHEAD_S, choose_output_filters
from filters.block_fir import BlockFir
from tests.evaluation.support import BIN_S, bundle, recording
from tests.training.test_output_filters import noisy, smooth

RATE = 0.02


def echoing(n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """A decoder that overshoots, as no low-pass can mend: raw = truth - 0.8 truth one bin ago, times two."""
    truth = smooth(n, RATE)
    raw = 2 * (truth - 0.8 * np.vstack([np.zeros((1, 2)), truth[:-1]]))
    return truth, (raw + 0.01 * np.random.default_rng(1).standard_normal(raw.shape)).astype(np.float32)


def test_it_wins_where_no_low_pass_can_help() -> None:
    truth, raw = echoing()
    chosen, evidence = choose_output_filters(truth, raw, RATE)
    for variant, settings in chosen.items():
        assert isinstance(settings, FirFilterSettings)
        proof = evidence[variant]
        assert proof["chosen"] == "fir" and proof["fir"]["wins"]
        assert proof["chosen_r2"] == proof["fir"]["r2"] > proof["fir"]["bessel_r2"] + 0.05
        assert len(proof["fir"]["r2_per_fold"]) == 5
        assert settings.bin_s == RATE
        assert settings.lookahead * RATE <= MAX_LOOKAHEAD_S
        # And on data that it has not seen at all.
        fresh = smooth(6000, RATE, seed=5)
        late = np.vstack([np.zeros((1, 2)), fresh[:-1]])
        fir = BlockFir(np.array(settings.taps), settings.lookahead, 2, 1 / RATE)
        filtered = fir.process(2 * (fresh - 0.8 * late))
        skip, lag = 200, settings.lookahead
        error = ((filtered[skip:] - fresh[skip - lag : len(fresh) - lag]) ** 2).mean()
        assert 1 - error / fresh.var() == pytest.approx(proof["chosen_r2"], abs=0.05)


def test_it_does_not_win_by_overfitting() -> None:
    """Without any relation between the two, held-out R2 is not above that of a filter that outputs nothing."""
    rng = np.random.default_rng(42)  # not the seed that the truth is made of
    truth, raw = smooth(500, RATE), rng.standard_normal((500, 2)).astype(np.float32)
    found = learn_fir(truth, raw, [0, 6], 100)
    assert found is not None
    assert found.r2 < 0.15
    truth = smooth(500, RATE, seed=3)
    found = learn_fir(truth, lfilter([1], [1, -0.9], rng.standard_normal((500, 2)), axis=0), [0], 100)
    assert found is not None and found.r2 < 0.15


def test_a_clean_estimate_is_passed_on() -> None:
    truth = smooth(3000, RATE)
    found = learn_fir(truth, truth.astype(np.float32), [0], 100)
    assert found is not None
    assert found.r2 > 0.99


def test_folds_are_of_the_same_bins_for_both_kinds() -> None:
    truth = smooth(3000, RATE)
    raw = noisy(truth)
    pooled, each = r2_by_fold(truth, raw, 0, 100)
    assert len(each) == 5
    assert pooled == pytest.approx(1 - ((raw[100:] - truth[100:]) ** 2).mean() / truth[100:].var(), abs=0.02)
    _, evidence = choose_output_filters(truth, raw, RATE)
    assert evidence["low_latency"]["fir"]["bessel_r2"] == pytest.approx(
        evidence["low_latency"]["candidates"][0]["r2"], abs=1e-6
    )


def test_too_little_data_learns_nothing() -> None:
    truth = smooth(150, RATE)
    assert learn_fir(truth, noisy(truth), [0], 100) is None


def test_it_is_quick() -> None:
    truth = smooth(25_000, 0.004)
    started = time.perf_counter()
    choose_output_filters(truth, noisy(truth), 0.004)
    assert time.perf_counter() - started < 60


def test_it_runs_in_the_live_pipeline_and_goes_through_a_bundle() -> None:
    taps = tuple(float(tap) for tap in np.hanning(9)[1:-1] / 4)
    fir = FirFilterSettings(kind="fir", taps=taps, lookahead=3, bin_s=BIN_S)
    settings = OutputFilterSettings(high_accuracy=fir)
    assert OutputFilterSettings.model_validate_json(settings.model_dump_json()) == settings
    pipeline, made = Pipeline(bundle(filters=settings)), recording()
    assert (pipeline.lookahead, pipeline.warm_up) == ((0, 3), (0, 6))
    decoded = pipeline.decode(made)
    expected = BlockFir(np.array(taps), 3, 2, 1 / BIN_S).process(decoded[:, 0].astype(np.float64))
    np.testing.assert_allclose(decoded[:, 1], expected, atol=1e-5)
    assert evaluate(pipeline, made)["high_accuracy"]["lookahead_s"] == pytest.approx(3 * BIN_S)
    assert filter_lookahead("high_accuracy", fir) == 3


def test_taps_belong_to_one_bin_width() -> None:
    fir = FirFilterSettings(kind="fir", taps=(0.5, 0.5), bin_s=0.004)
    with pytest.raises(InputError, match=r"made for bins of 4 ms, the decoder has bins of 20 ms"):
        filter_taps("low_latency", fir, 0.02)


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "fir", "taps": [], "bin_s": 0.02},
        {"kind": "fir", "taps": [1.0], "bin_s": 0.02, "lookahead": 1},
        {"kind": "fir", "taps": [1e9], "bin_s": 0.02},
        {"kind": "fir", "taps": [1.0]},
        {"kind": "fir", "taps": [1.0, 0.0], "bin_s": 0.02, "cutoff_hz": 4},
        {"kind": "hann", "cutoff_hz": 4},
        {"taps": [1.0], "bin_s": 0.02},
    ],
)
def test_settings_that_make_no_filter_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OutputFilterSettings(high_accuracy=value)  # type: ignore[arg-type]


def test_without_a_kind_it_is_a_bessel_filter() -> None:
    settings = OutputFilterSettings.model_validate({"low_latency": {"cutoff_hz": 4}})
    assert settings.low_latency == BlockFilterSettings(cutoff_hz=4)
    with pytest.raises(ValidationError, match="no lookahead"):
        OutputFilterSettings.model_validate(
            {"low_latency": {"kind": "fir", "taps": [1, 1], "lookahead": 1, "bin_s": 0.02}}
        )
