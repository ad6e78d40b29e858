"""Everything that can be said of a bundle on a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.bundle import Bundle, TrainingInfo
from bmi_decoder.config import SplitSettings
from bmi_decoder.evaluation.cost import filter_operations, memory, operations
from bmi_decoder.evaluation.speed import time_steps
from bmi_decoder.evaluation.variants import accuracy
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording

_TIMED_BINS = 2000


@dataclass(frozen=True, eq=False)
class Judgement:
    """A bundle, what it made of a recording, and how good that is.

    Attributes
    ----------
    decoded : array (T, V, K)
        Estimates at every bin of the recording.
    start : int
        First bin that is judged.
    seen : bool
        Whether the decoder was trained on this recording; then only its test part is judged.
    figures : dict
        ``variants``, ``operations`` and ``bit_budget`` (null with ``operations_missing``, a reason), ``filter_macs``,
        ``memory`` and ``speed``.
    """

    bundle: Bundle
    pipeline: Pipeline
    recording: Recording
    decoded: npt.NDArray[np.float32]
    start: int
    seen: bool
    figures: dict[str, Any]


def judge(bundle: Bundle, recording: Recording) -> Judgement:
    """Decode a recording, hold it against the truth, count and time the work.

    Raises
    ------
    InputError
        If the recording's channels or bin width are not what the decoder was trained on.
    """
    pipeline = Pipeline(bundle)
    decoded = pipeline.decode(recording)
    training = bundle.manifest.training
    seen = recording.fingerprint() == training.fingerprint
    start = _test_start(training, recording.n_bins) if seen else 0
    figures = {
        "variants": accuracy(pipeline, recording, decoded, start),
        **operations(bundle, recording, start, recording.n_bins),
        "filter_macs": filter_operations(pipeline),
        "memory": memory(bundle, pipeline),
        "speed": time_steps(pipeline, recording.counts[start : start + _TIMED_BINS]),
    }
    return Judgement(bundle, pipeline, recording, decoded, start, seen, figures)


def _test_start(training: TrainingInfo, n_bins: int) -> int:
    if training.bounds is not None:
        return training.bounds[1]
    train, validation, test = training.split
    return SplitSettings(train=train, validation=validation, test=test).bounds(n_bins)[1]
