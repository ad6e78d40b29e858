"""Chooses a decoder's output filters on validation data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.config import BlockFilterSettings, FilterVariant, FirFilterSettings, OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.pipeline import filter_lookahead, filter_taps
from bmi_decoder.training.learned_fir import LearnedFir, learn_fir, r2_by_fold
from filters import minimum_width

MAX_LOOKAHEAD_S = 0.128
"""Longest delay that a chosen high-accuracy filter may add: twice the seed paper's. Where bins are so wide that
even the shortest block looks further ahead, that block is allowed."""

_ORDERS = (1, 2, 4)
_CUTOFFS_HZ = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.25, 8.0, 10.0, 15.0, 25.0, 40.0)
_WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96)


def choose_output_filters(
    truth: npt.NDArray[np.float64], raw: npt.NDArray[np.float32], bin_s: float, learned: bool = True
) -> tuple[OutputFilterSettings, dict[str, Any]]:
    """The settings with the best validation R2 for each variant, and the evidence.

    Every candidate is held against the label at the time that it describes. All candidates are judged on the
    same bins, those after the longest warm-up. A learned FIR is judged by cross-validation inside these bins, so
    that it cannot win by fitting them, and is chosen only if it beats the best Bessel filter over all of them and
    in most of the folds.

    Parameters
    ----------
    truth, raw : array (T, K)
        Labels and raw estimates of the validation part.
    bin_s : float
    learned : bool
        Whether a learned FIR takes part.

    Returns
    -------
    OutputFilterSettings
    dict
        Per variant: ``raw_r2``, ``chosen_r2``, ``chosen`` (kind), the ten best Bessel ``candidates``; and under
        ``fir`` the best learned one: whether it ``wins``, its cross-validated ``r2`` and ``r2_per_fold`` beside
        those of the best Bessel filter, ``width``, ``lookahead`` and ``ridge``; null if none could be learned.

    Raises
    ------
    InputError
        If the validation part is too short for any filter, or its bins too wide.
    """
    chosen: dict[str, BlockFilterSettings | FirFilterSettings] = {}
    evidence: dict[str, Any] = {}
    for variant in ("low_latency", "high_accuracy"):
        scored, skip = _scored(truth, raw, variant, bin_s)
        (chosen_r2, chosen[variant]), fir = scored[0], None
        if learned:
            found = learn_fir(truth, raw, _lookaheads(variant, bin_s), skip)
            if found is not None:
                fir = _against(truth, raw, found, variant, scored[0][1], bin_s, skip)
                if fir["wins"]:
                    taps = tuple(float(tap) for tap in found.taps)
                    chosen[variant] = FirFilterSettings(kind="fir", taps=taps, lookahead=found.lookahead, bin_s=bin_s)
                    chosen_r2 = found.r2
        evidence[variant] = {
            "raw_r2": mean_r2(truth[skip:], raw[skip:]),
            "chosen": chosen[variant].kind,
            "chosen_r2": chosen_r2,
            "candidates": [{"r2": r2, **settings.model_dump()} for r2, settings in scored[:10]],
            "fir": fir,
        }
    return OutputFilterSettings(**chosen), evidence


def _scored(
    truth: npt.NDArray[np.float64], raw: npt.NDArray[np.float32], variant: FilterVariant, bin_s: float
) -> tuple[list[tuple[float, BlockFilterSettings]], int]:
    """Bessel filters with their R2, best first, and the first bin that was judged."""
    candidates = list(_candidates(variant, bin_s, len(raw)))
    if not candidates:
        raise InputError(
            f"no {variant} filter fits {len(raw)} validation bins of {bin_s:g} s: use a longer recording, "
            "a larger share with --split, or narrower bins"
        )
    skip = max(settings.width for settings in candidates)
    scored = []
    for settings in candidates:
        filtered = _apply(filter_taps(variant, settings, bin_s), raw)
        lookahead = filter_lookahead(variant, settings)
        scored.append((mean_r2(truth[skip - lookahead : len(truth) - lookahead], filtered[skip:]), settings))
    return sorted(scored, key=lambda pair: -pair[0]), skip


def _against(
    truth: npt.NDArray[np.float64],
    raw: npt.NDArray[np.float32],
    found: LearnedFir,
    variant: FilterVariant,
    bessel: BlockFilterSettings,
    bin_s: float,
    skip: int,
) -> dict[str, Any]:
    """The evidence for or against a learned FIR."""
    filtered = _apply(filter_taps(variant, bessel, bin_s), raw)
    bessel_r2, bessel_per_fold = r2_by_fold(truth, filtered, filter_lookahead(variant, bessel), skip)
    won = sum(a > b for a, b in zip(found.r2_per_fold, bessel_per_fold, strict=True))
    return {
        "wins": found.r2 > bessel_r2 and 2 * won > len(bessel_per_fold),
        "r2": found.r2,
        "r2_per_fold": list(found.r2_per_fold),
        "bessel_r2": bessel_r2,
        "bessel_r2_per_fold": list(bessel_per_fold),
        "width": len(found.taps),
        "lookahead": found.lookahead,
        "ridge": found.ridge,
    }


def _lookaheads(variant: FilterVariant, bin_s: float) -> list[int]:
    """Bins that a learned filter of this variant may look ahead: none, or a quarter, half and all of the limit."""
    if variant == "low_latency":
        return [0]
    most = int(MAX_LOOKAHEAD_S / bin_s)
    return sorted({max(1, round(most * share)) for share in (0.25, 0.5, 1.0)})


def _candidates(variant: FilterVariant, bin_s: float, n_bins: int) -> Iterator[BlockFilterSettings]:
    for order in _ORDERS:
        for cutoff_hz in _CUTOFFS_HZ:
            if cutoff_hz >= 0.5 / bin_s:
                continue
            for width in sorted({minimum_width(order), *_WIDTHS}):
                settings = BlockFilterSettings(order=order, cutoff_hz=cutoff_hz, width=width)
                fits = width >= minimum_width(order) and 4 * width <= n_bins
                lookahead_s = filter_lookahead(variant, settings) * bin_s
                if fits and (lookahead_s <= MAX_LOOKAHEAD_S or width == minimum_width(1)):
                    yield settings


def _apply(taps: npt.NDArray[np.float64], raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Causal FIR of each column, oldest tap first; the first ``len(taps) - 1`` rows are not meaningful."""
    kernel = taps[::-1]
    return np.stack([np.convolve(column, kernel)[: len(raw)] for column in raw.T.astype(np.float64)], 1)
