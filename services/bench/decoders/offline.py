"""Throughput over a recording: the same function, without waiting for anything."""

from __future__ import annotations

import time

import numpy as np

from bmi_decoder.bundle import Bundle
from bmi_decoder.evaluation.cadence import probe_counts
from bmi_decoder.pipeline import Pipeline

_REPEATS = 5


def bins_per_second(bundle: Bundle, at_least_s: float = 0.05) -> float:
    """Bins that one core decodes per second, output filters included; the median of some runs.

    Parameters
    ----------
    bundle : Bundle
    at_least_s : float
        How long one run should take.
    """
    pipeline = Pipeline(bundle)
    block = probe_counts(pipeline.n_channels, pipeline.bin_s)
    took = _seconds(pipeline, block)
    rows = np.tile(block, (min(256, max(1, round(at_least_s / took))), 1))
    return round(len(rows) / float(np.median([_seconds(pipeline, rows) for _ in range(_REPEATS)])))


def _seconds(pipeline: Pipeline, rows: np.ndarray) -> float:
    began = time.perf_counter()
    pipeline.run(rows)
    return time.perf_counter() - began
