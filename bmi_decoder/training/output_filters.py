"""Chooses a decoder's output filters on validation data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.config import BlockFilterSettings, FilterVariant, OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.pipeline import filter_lookahead, filter_taps
from filters import minimum_width

MAX_LOOKAHEAD_S = 0.128
"""Longest delay that a chosen high-accuracy filter may add: twice the seed paper's. Where bins are so wide that
even the shortest block looks further ahead, that block is allowed."""

_ORDERS = (1, 2, 4)
_CUTOFFS_HZ = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.25, 8.0, 10.0, 15.0, 25.0, 40.0)
_WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96)


def choose_output_filters(
    truth: npt.NDArray[np.float64], raw: npt.NDArray[np.float32], bin_s: float
) -> tuple[OutputFilterSettings, dict[str, Any]]:
    """The settings with the best validation R2 for each variant, and the evidence.

    Every candidate is held against the label at the time that it describes. All candidates are judged on the
    same bins, those after the longest warm-up.

    Parameters
    ----------
    truth, raw : array (T, K)
        Labels and raw estimates of the validation part.
    bin_s : float

    Returns
    -------
    OutputFilterSettings
    dict
        Per variant: ``raw_r2``, ``chosen_r2``, and the ten best ``candidates``.

    Raises
    ------
    InputError
        If the validation part is too short for any filter, or its bins too wide.
    """
    chosen: dict[str, BlockFilterSettings] = {}
    evidence: dict[str, Any] = {}
    for variant in ("low_latency", "high_accuracy"):
        scored = []
        candidates = list(_candidates(variant, bin_s, len(raw)))
        if not candidates:
            raise InputError(
                f"no {variant} filter fits {len(raw)} validation bins of {bin_s:g} s: use a longer recording, "
                "a larger share with --split, or narrower bins"
            )
        skip = max(settings.width for settings in candidates)
        for settings in candidates:
            filtered = _apply(filter_taps(variant, settings, bin_s), raw)
            lookahead = filter_lookahead(variant, settings)
            scored.append((mean_r2(truth[skip - lookahead : len(truth) - lookahead], filtered[skip:]), settings))
        scored.sort(key=lambda pair: -pair[0])
        chosen[variant] = scored[0][1]
        evidence[variant] = {
            "raw_r2": mean_r2(truth[skip:], raw[skip:]),
            "chosen_r2": scored[0][0],
            "candidates": [{"r2": r2, **settings.model_dump()} for r2, settings in scored[:10]],
        }
    return OutputFilterSettings(**chosen), evidence


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
