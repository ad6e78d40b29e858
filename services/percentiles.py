"""The percentiles in which times are told: the middle, and the tail that a user feels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


def percentiles(values: npt.NDArray[np.float64], digits: int = 1) -> dict[str, float]:
    """Percentiles of values (n,), by name."""
    found = np.percentile(values, list(PERCENTILES.values()))
    return {name: round(float(value), digits) for name, value in zip(PERCENTILES, found, strict=True)}
