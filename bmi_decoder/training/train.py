"""From a recording to a bundle."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bmi_decoder
from bmi_decoder.bundle import FLOAT_BITS, Bundle, Manifest, OutputInfo, PretrainingInfo, TrainingInfo
from bmi_decoder.config import InputFilterSettings, OutputFilterSettings, SplitSettings
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.variants import evaluate, valid_bins
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Recording
from bmi_decoder.split import split_bounds
from bmi_decoder.training.checkpoint import Checkpoint
from bmi_decoder.training.code_version import code_version
from bmi_decoder.training.decoder_input import decoder_input
from bmi_decoder.training.device import training_device
from bmi_decoder.training.export import export_onnx, export_weights, lower
from bmi_decoder.training.fit import FitReport, Progress, Stretch, fit
from bmi_decoder.training.initial import begin_from, check_initial, initial_digest
from bmi_decoder.training.output_filters import choose_output_filters
from bmi_decoder.training.pretraining import PretrainSettings, check_sessions, pretrain, pretraining_info
from bmi_decoder.training.recipe import Recipe, recipe_with


@dataclass(frozen=True)
class TrainSettings:
    """What to train, and how.

    Parameters
    ----------
    decoder : str
        A registered name.
    preset : str
        Of that decoder: ``best`` or ``paper``.
    overrides : dict
        Hyper-parameters or recipe fields that differ from the preset.
    input_filter : InputFilterSettings, optional
        Filter on every channel, which becomes a part of the bundle.
    split : SplitSettings
    seed : int
    device : str
        Where the training loop runs: ``cpu``, ``cuda`` or ``cuda:N``. The same seed gives the same weights on the
        CPU; on a GPU nearly.
    pretraining : PretrainSettings
        If there is one: how it differs, and how the training after it does.
    init_from : Bundle, optional
        What training starts from: a bundle of the same decoder, whose hyper-parameters then stand for the preset's,
        or of one of its `twins`.
    """

    decoder: str
    preset: str = "best"
    overrides: dict[str, Any] | None = None
    input_filter: InputFilterSettings | None = None
    split: SplitSettings = field(default_factory=SplitSettings)
    seed: int = 0
    device: str = "cpu"
    pretraining: PretrainSettings = field(default_factory=PretrainSettings)
    init_from: Bundle | None = None


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
    decoder, recipe = _decoder_and_recipe(recording, settings)
    x = decoder_input(recording, settings.input_filter)
    first_validation, first_test = split_bounds(recording, settings.split)
    y = recording.kinematics.astype(np.float32)
    first, second = (
        Stretch(torch.from_numpy(x[a:b]), torch.from_numpy(y[a:b]))
        for a, b in ((0, first_validation), (first_validation, first_test))
    )
    are_counts = settings.input_filter is None
    keeper = early_keeper = early = None
    if checkpoint is not None:
        key = run_key(recording.fingerprint(), settings, [session.fingerprint() for session in pretrain_on])
        keeper = Checkpoint(checkpoint, key, resume)
        early_keeper = Checkpoint(pretraining_checkpoint(checkpoint), key, resume)
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
        decoder, first, second, recipe, recording.bin_s, settings.seed, are_counts, progress, keeper, device, begin
    )
    decoder.finalise(x_step=1.0 if are_counts else 0.0)
    if recipe.weight_bits != FLOAT_BITS:
        decoder.quantise_weights(recipe.weight_bits)
    decoder.eval()
    bundle = Bundle(
        _manifest(recording, settings, decoder, recipe, report, early),
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


def run_key(fingerprint: str, settings: TrainSettings, pretrain_on: Sequence[str] = ()) -> str:
    """Names a training run: equal keys give equal bundles.

    Parameters
    ----------
    fingerprint : str
        Of the recording.
    settings : TrainSettings
    pretrain_on : sequence of str
        Fingerprints of the sessions to train on first.
    """
    parts = {
        "recording": fingerprint,
        "decoder": settings.decoder,
        "preset": settings.preset,
        "overrides": settings.overrides or {},
        "input_filter": None if settings.input_filter is None else settings.input_filter.model_dump(),
        "split": settings.split.model_dump(),
        "seed": settings.seed,
        "device": torch.device(settings.device).type,
        "pretraining": [*pretrain_on, asdict(settings.pretraining)] if pretrain_on else None,
        "init_from": None if settings.init_from is None else initial_digest(settings.init_from),
        "code": code_version(__name__, decoder_class(settings.decoder).__module__),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def check_settings(recording: Recording, settings: TrainSettings) -> None:
    """Raise the InputError that `train` would raise for these settings, before anything else is done."""
    training_device(settings.device)
    split_bounds(recording, settings.split)
    _decoder_and_recipe(recording, settings)


def _decoder_and_recipe(recording: Recording, settings: TrainSettings) -> tuple[Decoder, Recipe]:
    cls = decoder_class(settings.decoder)
    if settings.preset not in cls.presets:
        raise InputError(
            f"decoder {settings.decoder!r} has no preset {settings.preset!r}; choose one of {', '.join(cls.presets)}"
        )
    preset = cls.presets[settings.preset]
    overrides = dict(settings.overrides or {})
    recipe_overrides = {key: overrides.pop(key) for key in list(overrides) if key in Recipe.model_fields}
    without_effect = recipe_overrides.keys() - {"weight_bits"}
    if cls.closed_form and without_effect:
        raise InputError(
            f"decoder {settings.decoder!r} is fitted in closed form: {', '.join(sorted(without_effect))} would have "
            "no effect"
        )
    adapted = cls.adapt(preset.hyper_parameters, recording.bin_s, are_counts=settings.input_filter is None)
    if settings.init_from is not None:
        check_initial(settings.init_from, cls, recording, settings.input_filter, settings.split)
        if settings.init_from.manifest.decoder == settings.decoder:
            adapted = settings.init_from.manifest.hyper_parameters
    hyper_parameters = {**adapted, **overrides}
    decoder = build_decoder(settings.decoder, recording.n_channels, recording.n_outputs, hyper_parameters)
    return decoder, recipe_with(preset.recipe, recipe_overrides)


def _stretch(session: Recording, settings: TrainSettings) -> Stretch:
    x = torch.from_numpy(decoder_input(session, settings.input_filter))
    return Stretch(x, torch.from_numpy(session.kinematics.astype(np.float32)))


def _chosen_filters(
    bundle: Bundle, recording: Recording, start: int, stop: int
) -> tuple[OutputFilterSettings, dict[str, Any]]:
    raw = Pipeline(bundle, OutputFilterSettings()).decode(recording)[:, 0]
    bins = valid_bins(recording, start, stop, 0)
    return choose_output_filters(recording.kinematics[bins], raw[bins], recording.bin_s)


def _manifest(
    recording: Recording,
    settings: TrainSettings,
    decoder: Decoder,
    recipe: Recipe,
    report: FitReport,
    early: PretrainingInfo | None,
) -> Manifest:
    split = settings.split
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
            bounds=split_bounds(recording, split),
            preset=settings.preset,
            recipe=recipe.model_dump(),
            seed=settings.seed,
            epochs=report.epochs,
            best_epoch=report.best_epoch,
            seconds=round(report.seconds, 1),
            pretraining=early,
            init_from=None if settings.init_from is None else initial_digest(settings.init_from),
        ),
        versions={
            "bmi-decoder": bmi_decoder.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    )


def _with(bundle: Bundle, **changes: Any) -> Bundle:
    manifest = bundle.manifest.model_copy(update=changes)
    return Bundle(manifest, bundle.program, bundle.weights, bundle.onnx)
