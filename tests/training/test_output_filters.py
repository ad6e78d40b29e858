"""The choice of output filters on data whose best filter is known to exist."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import filtfilt

from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.training.output_filters import MAX_LOOKAHEAD_S, choose_output_filters
from filters import BlockBidirectional, bessel_sos, minimum_width

VARIANTS = ("low_latency", "high_accuracy")


def smooth(n: int, bin_s: float, seed: int = 0) -> np.ndarray:
    """Two columns with power below 1 Hz or so, deviation 1."""
    b, a = bessel_sos(2, 1.0, 1 / bin_s)[0, :3], bessel_sos(2, 1.0, 1 / bin_s)[0, 3:]
    y = filtfilt(b, a, np.random.default_rng(seed).standard_normal((n, 2)), axis=0)
    return y / y.std(0)


def noisy(truth: np.ndarray, deviation: float = 1.0) -> np.ndarray:
    return (truth + deviation * np.random.default_rng(9).standard_normal(truth.shape)).astype(np.float32)


def applied(variant: str, settings: BlockFilterSettings, raw: np.ndarray, bin_s: float) -> tuple[np.ndarray, int]:
    """The chosen filter by the filter library's own class: output and lookahead."""
    block = BlockBidirectional.from_variant(
        variant,
        order=settings.order,
        cutoff_hz=settings.cutoff_hz,
        rate_hz=1 / bin_s,
        width=settings.width,
        boundary=settings.boundary,
        n_channels=2,
    )
    return block.process(raw), block.lookahead_samples


def test_the_chosen_filters_beat_the_raw_output() -> None:
    truth = smooth(6000, 0.004)
    chosen, evidence = choose_output_filters(truth, noisy(truth, 0.7), 0.004)
    assert [name for name, _ in chosen.items()] == list(VARIANTS)
    for variant in VARIANTS:
        assert evidence[variant]["raw_r2"] == pytest.approx(0.5, abs=0.1)
    assert evidence["low_latency"]["chosen_r2"] > 0.85
    assert evidence["high_accuracy"]["chosen_r2"] > 0.95


@pytest.mark.parametrize("bin_s", [0.004, 0.02, 0.05])
def test_candidates_are_judged_at_the_time_that_they_describe(bin_s: float) -> None:
    """Done again with the filter library; some bins off on either side is worse."""
    truth = smooth(4000, bin_s)
    raw = noisy(truth, 0.5)
    chosen, evidence = choose_output_filters(truth, raw, bin_s, learned=False)
    for variant, settings in chosen.items():
        assert isinstance(settings, BlockFilterSettings)
        filtered, lookahead = applied(variant, settings, raw, bin_s)
        scores = {}
        for shift in (-5, 0, 5):
            aligned = np.roll(truth, lookahead + shift, 0)
            scores[shift] = mean_r2(aligned[200:], filtered[200:])
        assert scores[0] == pytest.approx(evidence[variant]["chosen_r2"], abs=0.02)
        if variant == "high_accuracy":
            assert lookahead > 0
            assert max(scores, key=scores.__getitem__) == 0
        else:
            assert lookahead == 0


def test_evidence_lists_the_best_candidates() -> None:
    truth = smooth(3000, 0.004)
    chosen, evidence = choose_output_filters(truth, noisy(truth), 0.004, learned=False)
    for variant, settings in chosen.items():
        candidates = evidence[variant]["candidates"]
        assert len(candidates) == 10
        scores = [candidate["r2"] for candidate in candidates]
        assert scores == sorted(scores, reverse=True)
        best = dict(candidates[0])
        assert best.pop("r2") == evidence[variant]["chosen_r2"]
        assert BlockFilterSettings(**best) == settings


def test_a_clean_output_is_hardly_touched() -> None:
    truth = smooth(6000, 0.004)
    _, evidence = choose_output_filters(truth, truth.astype(np.float32), 0.004)
    for variant in VARIANTS:
        assert evidence[variant]["chosen_r2"] > 0.99


@pytest.mark.parametrize("bin_s", [0.001, 0.004, 0.02])
def test_lookahead_stays_below_its_limit(bin_s: float) -> None:
    truth = smooth(4000, bin_s)
    _, evidence = choose_output_filters(truth, noisy(truth, 3.0), bin_s)
    for candidate in evidence["high_accuracy"]["candidates"]:
        assert candidate["width"] // 2 * bin_s <= MAX_LOOKAHEAD_S


def test_wide_bins_get_the_shortest_block() -> None:
    truth = smooth(2000, 0.05)
    chosen, _ = choose_output_filters(truth, noisy(truth), 0.05, learned=False)
    assert chosen.high_accuracy is not None
    assert chosen.high_accuracy.width == minimum_width(1)


def test_what_is_chosen_can_be_stored_and_read() -> None:
    truth = smooth(1000, 0.02)
    chosen, _ = choose_output_filters(truth, noisy(truth), 0.02)
    assert OutputFilterSettings.model_validate_json(chosen.model_dump_json()) == chosen


@pytest.mark.parametrize(("n_bins", "bin_s"), [(20, 0.02), (500, 0.6)])
def test_where_no_filter_fits_the_error_says_so(n_bins: int, bin_s: float) -> None:
    truth = np.random.default_rng(0).standard_normal((n_bins, 2))
    with pytest.raises(InputError, match=rf"no low_latency filter fits {n_bins} validation bins of {bin_s:g} s"):
        choose_output_filters(truth, truth.astype(np.float32), bin_s)
