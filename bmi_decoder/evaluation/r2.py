"""Coefficient of determination."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def r2_per_output(truth: npt.ArrayLike, estimate: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """``1 - SSE / SST`` of each column of (T, K) arrays; NaN for a column that does not move.

    Source: NeuroBench's primate-reaching metric: sums over the whole stretch, variance without correction.

    Examples
    --------
    >>> r2_per_output([[0.0], [1.0], [2.0]], [[0.0], [1.0], [1.0]])
    array([0.5])
    """
    true = np.asarray(truth, np.float64)
    error = ((true - np.asarray(estimate, np.float64)) ** 2).sum(0)
    total = ((true - true.mean(0)) ** 2).sum(0)
    return 1 - np.divide(error, total, out=np.full_like(total, np.nan), where=total > 0)


def mean_r2(truth: npt.ArrayLike, estimate: npt.ArrayLike) -> float:
    """Mean over the outputs that move; NaN where none does."""
    return mean_of_finite(r2_per_output(truth, estimate))


def mean_of_finite(values: npt.NDArray[np.float64]) -> float:
    """Mean over the finite values; NaN where there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
