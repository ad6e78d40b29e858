"""How long one bin takes on this machine."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.pipeline import Pipeline

_WARM_UP = 200


def time_steps(pipeline: Pipeline, counts: npt.ArrayLike, n_steps: int = 4000) -> dict[str, Any]:
    """Time single bins through a pipeline, one call after the other.

    That is the hot time: caches are warm and the processor does nothing else. A bin that comes every few
    milliseconds takes longer, and transport takes longest; ``docs/explanation/latency.md`` has those figures.

    Parameters
    ----------
    pipeline : Pipeline
        Is reset before and after.
    counts : array (T, C)
        Bins to decode; repeated as often as needed.
    n_steps : int

    Returns
    -------
    dict
        ``p50``, ``p99`` and ``max`` in ``step_us``, ``steps``, ``executor`` and ``processor``.
    """
    rows = np.ascontiguousarray(counts, np.float32)
    x, y = pipeline.engine.rows(1)
    run_into = pipeline.engine.run_into
    took = np.empty(n_steps, np.int64)
    pipeline.reset()
    for k in range(-_WARM_UP, n_steps):
        x[0] = rows[k % len(rows)]
        started = time.perf_counter_ns()
        run_into(x, y)
        if k >= 0:
            took[k] = time.perf_counter_ns() - started
    pipeline.reset()
    p50, p99 = np.percentile(took, [50, 99]) / 1e3
    return {
        "step_us": {"p50": float(p50), "p99": float(p99), "max": float(took.max() / 1e3)},
        "steps": n_steps,
        "executor": type(pipeline.engine).__name__,
        "processor": processor_name(),
    }


def processor_name() -> str:
    """What this machine calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
