"""Accuracy of every published variant of a decoder over a stretch of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.correlation import correlation_per_output, lag_bins
from bmi_decoder.evaluation.r2 import mean_of_finite, r2_per_output
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording

Floats = npt.NDArray[np.floating]


def evaluate(pipeline: Pipeline, recording: Recording, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    """Decode a recording and compare bins ``start`` to ``stop`` with the true movement.

    The whole recording is decoded from its beginning, as a live decoder would; bins in which a filter still
    warms up are left out.

    Returns
    -------
    dict
        Per variant name the figures of `accuracy`.
    """
    return accuracy(pipeline, recording, pipeline.decode(recording), start, stop)


def accuracy(
    pipeline: Pipeline, recording: Recording, decoded: Floats, start: int = 0, stop: int | None = None
) -> dict[str, Any]:
    """Compare what a pipeline made of a recording, (T, V, K), with the true movement in bins ``start`` to ``stop``.

    Returns
    -------
    dict
        Per variant name:

        - ``r2`` (mean over the outputs) and ``r2_per_output``, with each estimate held against the time that it
          describes; ``r2_causal`` and ``r2_causal_per_output``, held against the newest bin instead, where the
          filter's lookahead counts as error;
        - ``correlation`` (mean) and ``correlation_per_output`` (Pearson), and ``rmse_per_output`` in the units of
          the outputs, both against the time that the estimate describes;
        - ``lag_bins`` and ``lag_s``: how late movement appears, at the peak of the cross-correlation between
          estimate and truth, against the newest bin; ``lag_after_alignment_bins``, against the time that the
          estimate describes: 0 if the declared lookahead is the whole truth. Null if nothing moves;
        - ``lookahead_s`` and ``bins``.

    Raises
    ------
    InputError
        If the recording's kinematics are not what the decoder estimates: another number of them, or other units.
    """
    check_outputs(pipeline, recording)
    stop = recording.n_bins if stop is None else stop
    outputs = pipeline.outputs
    figures = {}
    for v, variant in enumerate(pipeline.variants):
        lookahead, warm_up = pipeline.lookahead[v], pipeline.warm_up[v]
        bins = valid_bins(recording, start, stop, max(lookahead, warm_up))
        estimate = decoded[bins, v]
        aligned, causal = recording.kinematics[bins - lookahead], recording.kinematics[bins]
        r2, r2_causal = r2_per_output(aligned, estimate), r2_per_output(causal, estimate)
        correlation = correlation_per_output(aligned, estimate)
        rmse = np.sqrt(((aligned - estimate) ** 2).mean(0)) if len(bins) else np.full(len(outputs), np.nan)
        lag = lag_bins(recording, decoded[:, v], bins)

        def named(values: Floats) -> dict[str, float | None]:
            return {output.name: _plain(value) for output, value in zip(outputs, values, strict=True)}

        figures[variant.name] = {
            "r2": mean_of_finite(r2),
            "r2_per_output": named(r2),
            "r2_causal": mean_of_finite(r2_causal),
            "r2_causal_per_output": named(r2_causal),
            "correlation": mean_of_finite(correlation),
            "correlation_per_output": named(correlation),
            "rmse_per_output": {
                output.name: {"value": _plain(value), "unit": output.unit}
                for output, value in zip(outputs, rmse, strict=True)
            },
            "lag_bins": lag,
            "lag_s": None if lag is None else lag * pipeline.bin_s,
            "lag_after_alignment_bins": None if lag is None else lag - lookahead,
            "lookahead_s": lookahead * pipeline.bin_s,
            "bins": len(bins),
        }
    return figures


def check_outputs(pipeline: Pipeline, recording: Recording) -> None:
    """Raise an InputError unless the recording's movement is what the decoder estimates."""
    there = zip(pipeline.outputs, recording.outputs, strict=False)
    units_differ = any(ours.unit and theirs.unit and ours.unit != theirs.unit for ours, theirs in there)
    if units_differ or len(pipeline.outputs) != recording.n_outputs:
        ours, theirs = (
            ", ".join(f"{output.name} ({output.unit})" for output in outputs)
            for outputs in (pipeline.outputs, recording.outputs)
        )
        raise InputError(
            f"the decoder estimates {ours}, but {recording.source or 'the recording'} has {theirs}: "
            "they cannot be compared"
        )


def valid_bins(recording: Recording, start: int, stop: int, skip: int) -> npt.NDArray[np.int64]:
    """Bins of ``start:stop`` that lie at least `skip` bins behind the start of their segment."""
    parts = [np.arange(max(a + skip, start), min(b, stop)) for a, b in recording.spans]
    return np.concatenate(parts)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
