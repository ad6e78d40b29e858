"""Two decoders on the same bins of a recording."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bmi_decoder.bundle import Bundle
from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.evaluation.r2 import mean_of_finite, r2_per_output
from bmi_decoder.evaluation.variants import Floats, check_outputs, valid_bins
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording


def paired(
    new: Bundle,
    in_use: Bundle,
    filters: OutputFilterSettings | None,
    recording: Recording,
    parts: Mapping[str, tuple[int, int]],
    masked_channels: Sequence[int] = (),
) -> dict[str, Any]:
    """Hold two decoders against the true movement in the same bins.

    Bins in which a filter of either still warms up are left out for both.

    Parameters
    ----------
    new, in_use : Bundle
    filters : OutputFilterSettings, optional
        Output filters of both; None takes those that were chosen with each.
    recording : Recording
    parts : mapping of str to (start, stop)
        Stretches of the recording to compare on, by name.
    masked_channels : sequence of int
        Of both.

    Returns
    -------
    dict
        ``trained_on_it``, whether the decoder in use was trained on this recording, and per part and variant ``bins``,
        and under ``new`` and ``in_use`` the ``r2`` and the ``r2_per_output``, each estimate held against the time that
        it describes. A value is null where nothing moves.

    Raises
    ------
    InputError
        If either does not fit the recording: channels, bin width, outputs; or the mask does not fit.
    """
    pipelines = {
        name: Pipeline(bundle, filters, masked_channels) for name, bundle in (("new", new), ("in_use", in_use))
    }
    decoded: dict[str, Floats] = {}
    for name, pipeline in pipelines.items():
        check_outputs(pipeline, recording)
        decoded[name] = pipeline.decode(recording)
    told: dict[str, Any] = {"trained_on_it": in_use.manifest.training.fingerprint == recording.fingerprint()}
    common = [variant for variant in pipelines["new"].variants if variant in pipelines["in_use"].variants]
    for part, (start, stop) in parts.items():
        told[part] = {}
        for variant in common:
            at = {name: pipeline.variants.index(variant) for name, pipeline in pipelines.items()}
            skip = max(max(p.lookahead[at[name]], p.warm_up[at[name]]) for name, p in pipelines.items())
            bins = valid_bins(recording, start, stop, skip)
            told[part][variant.name] = {"bins": len(bins)} | {
                name: _figures(recording, decoded[name][:, at[name]], bins, pipeline.lookahead[at[name]])
                for name, pipeline in pipelines.items()
            }
    return told


def _figures(recording: Recording, estimate: Floats, bins: np.ndarray, lookahead: int) -> dict[str, Any]:
    r2 = r2_per_output(recording.kinematics[bins - lookahead], estimate[bins])
    mean = mean_of_finite(r2)
    return {
        "r2": mean if math.isfinite(mean) else None,
        "r2_per_output": {
            output.name: float(value) if np.isfinite(value) else None
            for output, value in zip(recording.outputs, r2, strict=True)
        },
    }
