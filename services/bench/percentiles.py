"""Percentiles as every bench reports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from services.percentiles import percentiles


def microseconds(rounds: Sequence[npt.NDArray[Any]]) -> dict[str, float]:
    """Percentiles over all rounds of times in nanoseconds, in us."""
    return percentiles(np.concatenate(rounds) / 1e3, digits=3)


def median_ratio(these: Sequence[npt.NDArray[Any]], those: Sequence[npt.NDArray[Any]]) -> float:
    """Median over rounds of the ratio of two medians.

    A ratio within a round compares what ran within seconds of each other; the machine's drift drops out.
    """
    ratios = [np.median(this) / np.median(that) for this, that in zip(these, those, strict=True)]
    return float(np.median(ratios))


def median_and_tail(figures: Mapping[str, Any], way: str) -> str:
    """Median and 99th percentile of one way of stepping, for a table; a dash if it was not measured."""
    found = figures.get(f"{way}_us")
    return "-" if found is None else f"{found['p50']:.2f} / {found['p99']:.2f}"
