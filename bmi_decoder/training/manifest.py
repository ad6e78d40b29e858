"""What a bundle says of its training."""

from __future__ import annotations

import platform

import numpy as np
import torch

import bmi_decoder
from bmi_decoder.bundle import Manifest, OutputInfo, PretrainingInfo, TrainingInfo
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.recording import Recording
from bmi_decoder.split import split_bounds
from bmi_decoder.training.initial import initial_digest
from bmi_decoder.training.loop import FitReport
from bmi_decoder.training.recipe import Recipe
from bmi_decoder.training.settings import TrainSettings


def versions() -> dict[str, str]:
    """Of what trains here."""
    return {
        "bmi-decoder": bmi_decoder.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def manifest_of(
    recording: Recording,
    settings: TrainSettings,
    decoder: Decoder,
    recipe: Recipe,
    report: FitReport,
    early: PretrainingInfo | None,
) -> Manifest:
    """The manifest of a decoder that has just been trained, without output filters and metrics."""
    split = settings.split
    bounds = split_bounds(recording, split)
    means = recording.counts[: bounds[0]].mean(axis=0, dtype=np.float64)
    return Manifest(
        decoder=settings.decoder,
        hyper_parameters=decoder.hyper_parameters,
        weight_bits=recipe.weight_bits,
        n_channels=recording.n_channels,
        channels=recording.labels,
        bin_s=recording.bin_s,
        outputs=tuple(OutputInfo(name=output.name, unit=output.unit) for output in recording.outputs),
        input_filter=settings.input_filter,
        training=TrainingInfo(
            source=recording.source,
            fingerprint=recording.fingerprint(),
            split=(split.train, split.validation, split.test),
            split_by=split.by,
            bounds=bounds,
            channel_means=tuple(float(f"{mean:.6g}") for mean in means),
            preset=settings.preset,
            recipe=recipe.model_dump(),
            seed=settings.seed,
            epochs=report.epochs,
            best_epoch=report.best_epoch,
            seconds=round(report.seconds, 1),
            pretraining=early,
            init_from=None if settings.init_from is None else initial_digest(settings.init_from),
        ),
        versions=versions(),
    )
