"""What to train, how, and whether that can be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bmi_decoder.bundle import Bundle
from bmi_decoder.config import InputFilterSettings, SplitSettings
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.registry import build_decoder, decoder_class
from bmi_decoder.errors import InputError
from bmi_decoder.recording import Recording
from bmi_decoder.split import split_bounds
from bmi_decoder.training.device import training_device
from bmi_decoder.training.initial import check_initial
from bmi_decoder.training.masked import check_masked
from bmi_decoder.training.pretraining import PretrainSettings
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


def check_settings(recording: Recording, settings: TrainSettings) -> None:
    """Raise the InputError that `train` would raise for these settings, before anything else is done."""
    training_device(settings.device)
    split_bounds(recording, settings.split)
    decoder_and_recipe(recording, settings)


def decoder_and_recipe(recording: Recording, settings: TrainSettings) -> tuple[Decoder, Recipe]:
    """A decoder for the recording with its initial parameters, and how to train it."""
    cls = decoder_class(settings.decoder)
    if settings.preset not in cls.presets:
        raise InputError(
            f"decoder {settings.decoder!r} has no preset {settings.preset!r}; choose one of {', '.join(cls.presets)}"
        )
    preset = cls.presets[settings.preset]
    overrides = dict(settings.overrides or {})
    recipe_overrides = {key: overrides.pop(key) for key in list(overrides) if key in Recipe.model_fields}
    without_effect = recipe_overrides.keys() - {"labelled", "weight_bits"}
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
    recipe = recipe_with(preset.recipe, recipe_overrides)
    check_masked(decoder, recipe, are_counts=settings.input_filter is None)
    return decoder, recipe
