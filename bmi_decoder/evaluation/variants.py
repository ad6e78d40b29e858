"""R2 of every published variant of a decoder over a stretch of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.evaluation.r2 import mean_r2, r2_per_output
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording


def evaluate(pipeline: Pipeline, recording: Recording, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    """Decode a recording and compare bins ``start`` to ``stop`` with the true movement.

    The whole recording is decoded from its beginning, as a live decoder would; bins in which a filter still
    warms up are left out.

    Returns
    -------
    dict
        Per variant name: ``r2`` (mean over the outputs) and ``r2_per_output`` with each estimate held against
        the time that it describes; ``r2_causal``, held against the newest bin instead, where the filter's
        lookahead counts as error; ``lookahead_s``; ``bins``.
    """
    decoded = pipeline.decode(recording)
    stop = recording.n_bins if stop is None else stop
    names = [output.name for output in pipeline.outputs]
    figures = {}
    for v, variant in enumerate(pipeline.variants):
        lookahead, warm_up = pipeline.lookahead[v], pipeline.warm_up[v]
        bins = valid_bins(recording, start, stop, max(lookahead, warm_up))
        estimate = decoded[bins, v]
        aligned, causal = recording.kinematics[bins - lookahead], recording.kinematics[bins]
        per_output = r2_per_output(aligned, estimate)
        figures[variant.name] = {
            "r2": mean_r2(aligned, estimate),
            "r2_per_output": {name: _plain(value) for name, value in zip(names, per_output, strict=True)},
            "r2_causal": mean_r2(causal, estimate),
            "lookahead_s": lookahead * pipeline.bin_s,
            "bins": len(bins),
        }
    return figures


def valid_bins(recording: Recording, start: int, stop: int, skip: int) -> npt.NDArray[np.int64]:
    """Bins of ``start:stop`` that lie at least `skip` bins behind the start of their segment."""
    parts = [np.arange(max(a + skip, start), min(b, stop)) for a, b in recording.spans]
    return np.concatenate(parts)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
