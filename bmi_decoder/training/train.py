"""From a recording to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmi_decoder.bundle import FLOAT_BITS, Bundle
from bmi_decoder.config import OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.variants import evaluate, valid_bins
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording
from bmi_decoder.split import split_bounds
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.decoder_input import decoder_input
from bmi_decoder.training.device import training_device
from bmi_decoder.training.export import export_onnx, export_weights, lower
from bmi_decoder.training.fit import fit
from bmi_decoder.training.initial import begin_from
from bmi_decoder.training.loop import Progress, Stretch
from bmi_decoder.training.manifest import manifest_of
from bmi_decoder.training.masked import pretrain_masked
from bmi_decoder.training.output_filters import choose_output_filters
from bmi_decoder.training.pretraining import check_sessions, pretrain, pretraining_info
from bmi_decoder.training.recipe import recipe_with
from bmi_decoder.training.run_key import run_key
from bmi_decoder.training.settings import TrainSettings, decoder_and_recipe


def train(
    recording: Recording,
    settings: TrainSettings,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    pretrain_on: Sequence[Recording] = (),
) -> Bundle:
    """Train a decoder on the first part of a recording, choose on the second, report on the third.

    Parameters
    ----------
    recording : Recording
    settings : TrainSettings
    progress : callable, optional
    checkpoint : Path, optional
        File that is written while training and removed at its end.
    resume : bool
        Go on from that file if there is one: the bundle is the same as without an interruption.
    pretrain_on : sequence of Recording
        Other sessions to train on first, all of each; see `pretrain`. The validation R2 that `progress` is told is
        that of `recording` then too, and its count of epochs begins anew after the pretraining.

    Returns
    -------
    Bundle
        With the metrics of the validation and the test part in its manifest.

    Raises
    ------
    InputError
        For an unknown decoder, preset or hyper-parameter, a value that it cannot have, a recording that is too
        short, a device that is not there, a checkpoint of another run, or a session that does not fit the recording.
    """
    if not 0 <= settings.seed < 1 << 63:
        raise InputError(f"the seed must be 0 to 2**63 - 1, got {settings.seed}")
    device = training_device(settings.device)
    torch.manual_seed(settings.seed)
    decoder, recipe = decoder_and_recipe(recording, settings)
    x = decoder_input(recording, settings.input_filter)
    first_validation, first_test = split_bounds(recording, settings.split)
    y = recording.kinematics.astype(np.float32)
    first, second = (
        Stretch(torch.from_numpy(x[a:b]), torch.from_numpy(y[a:b]))
        for a, b in ((0, first_validation), (first_validation, first_test))
    )
    are_counts = settings.input_filter is None
    keeper = early_keeper = early = None
    early_seconds = 0.0
    if checkpoint is not None:
        key = run_key(recording.fingerprint(), settings, [session.fingerprint() for session in pretrain_on])
        keeper = Checkpoint(checkpoint, key, resume)
        early_keeper = Checkpoint(pretraining_checkpoint(checkpoint), key, resume)
    if recipe.masked_updates:
        if pretrain_on or settings.init_from is not None:
            raise InputError("training starts from masked pretraining, other sessions or a bundle: choose one of them")
        done = pretrain_masked(
            decoder, first.x, second.x, recipe, recording.bin_s, settings.seed, progress, early_keeper, device
        )
        early_seconds = done.seconds
    if pretrain_on:
        if settings.init_from is not None:
            raise InputError("training starts from a bundle or from pretraining: choose one of the two")
        check_sessions(recording, pretrain_on)
        first_recipe = recipe_with(recipe, settings.pretraining.overrides)
        done = pretrain(
            decoder, [_stretch(session, settings) for session in pretrain_on], first, second, first_recipe,
            recording.bin_s, settings.seed, are_counts, progress, early_keeper, device,
        )  # fmt: skip
        early = pretraining_info(pretrain_on, first_recipe, settings.pretraining, done)
        recipe = recipe_with(recipe, {"learning_rate": recipe.learning_rate * settings.pretraining.fine_tune_rate})
    begin = None if settings.init_from is None else partial(begin_from, settings.init_from)
    report = fit(
        decoder, first.last(recipe.labelled), second, recipe, recording.bin_s, settings.seed, are_counts,
        progress, keeper, device, begin, first.x,
    )  # fmt: skip
    report = replace(report, seconds=report.seconds + early_seconds)
    decoder.finalise(x_step=1.0 if are_counts else 0.0)
    if recipe.weight_bits != FLOAT_BITS:
        decoder.quantise_weights(recipe.weight_bits)
    decoder.eval()
    bundle = Bundle(
        manifest_of(recording, settings, decoder, recipe, report, early),
        lower(decoder),
        export_weights(decoder),
        export_onnx(decoder),
    )
    filters, evidence = _chosen_filters(bundle, recording, first_validation, first_test)
    bundle = _with(bundle, output_filters=filters, filter_evidence=evidence)
    pipeline = Pipeline(bundle)
    metrics = {
        "validation": evaluate(pipeline, recording, first_validation, first_test),
        "test": evaluate(pipeline, recording, first_test),
    }
    if keeper is not None and early_keeper is not None:
        keeper.remove()
        early_keeper.remove()
    return _with(bundle, metrics=metrics)


def pretraining_checkpoint(checkpoint: Path) -> Path:
    """Where the pretraining is kept that comes before what this checkpoint keeps."""
    return checkpoint.with_name(checkpoint.name + ".pretraining")


def _stretch(session: Recording, settings: TrainSettings) -> Stretch:
    x = torch.from_numpy(decoder_input(session, settings.input_filter))
    return Stretch(x, torch.from_numpy(session.kinematics.astype(np.float32)))


def _chosen_filters(
    bundle: Bundle, recording: Recording, start: int, stop: int
) -> tuple[OutputFilterSettings, dict[str, Any]]:
    raw = Pipeline(bundle, OutputFilterSettings()).decode(recording)[:, 0]
    bins = valid_bins(recording, start, stop, 0)
    return choose_output_filters(recording.kinematics[bins], raw[bins], recording.bin_s)


def _with(bundle: Bundle, **changes: Any) -> Bundle:
    manifest = bundle.manifest.model_copy(update=changes)
    return Bundle(manifest, bundle.program, bundle.weights, bundle.onnx)
