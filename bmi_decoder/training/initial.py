"""Training that begins with what another bundle has learnt."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from bmi_decoder.bundle import Bundle
from bmi_decoder.config import InputFilterSettings, SplitSettings
from bmi_decoder.decoders.decoder import Decoder
from bmi_decoder.decoders.restore import restore_decoder
from bmi_decoder.decoders.twin import TWIN_BINS
from bmi_decoder.errors import InputError
from bmi_decoder.layers.normalise import Standardise
from bmi_decoder.layers.perceptron import BatchNorm
from bmi_decoder.recording import Recording
from bmi_decoder.split import split_bounds


def initial_digest(bundle: Bundle) -> str:
    """Names what is taken from a bundle: its decoder and the sha256 of its weights."""
    return f"{bundle.manifest.decoder} {hashlib.sha256(bundle.weights).hexdigest()}"


def check_initial(
    bundle: Bundle,
    cls: type[Decoder],
    recording: Recording,
    input_filter: InputFilterSettings | None,
    split: SplitSettings,
) -> None:
    """Raise an InputError unless a decoder of class `cls` for this recording can start from the bundle."""
    manifest = bundle.manifest
    if cls.closed_form:
        raise InputError(f"decoder {cls.name!r} is fitted in closed form, so it cannot start from a bundle")
    if manifest.decoder != cls.name and manifest.decoder not in cls.twins:
        takes = ", ".join(repr(name) for name in (cls.name, *cls.twins))
        raise InputError(
            f"decoder {cls.name!r} cannot start from a bundle of {manifest.decoder!r}; it takes bundles of {takes}"
        )
    pairs: list[tuple[str, Any, Any]] = [
        ("channels", recording.n_channels, manifest.n_channels),
        ("outputs", recording.n_outputs, len(manifest.outputs)),
        ("seconds per bin", recording.bin_s, manifest.bin_s),
        ("as input filter", input_filter, manifest.input_filter),
    ]
    for what, got, wanted in pairs:
        if got != wanted:
            raise InputError(
                f"the bundle to start from was trained with {wanted} {what}, this run has {got}: "
                "choose a bundle or settings that agree"
            )
    training = manifest.training
    if training.fingerprint != recording.fingerprint():
        return
    train, validation, test = training.split
    theirs = training.bounds or SplitSettings(train=train, validation=validation, test=test).bounds(recording.n_bins)
    ours = split_bounds(recording, split)
    if theirs[0] > ours[0] or theirs[1] > ours[1]:
        raise InputError(
            "the bundle to start from has learnt from bins of this recording that are to judge this run: its split is "
            f"{train:g},{validation:g},{test:g} by {training.split_by}; use the same"
        )


@torch.no_grad()
def begin_from(bundle: Bundle, decoder: Decoder, x: Tensor) -> None:
    """Give a decoder, calibrated on training input x (T, C), the parameters of a bundle.

    Of the same decoder: it then decodes as the bundle does. Statistics of the input that the bundle holds are kept;
    those that were folded into its weights are taken from x and unfolded, so that training is as well conditioned as
    from scratch. Of a twin: see `Decoder.take_twin`.

    Raises
    ------
    InputError
        If its sizes are not this decoder's.
    BundleError
        If the bundle's weights cannot be read.
    """
    source = restore_decoder(bundle)
    if source.name != decoder.name:
        decoder.take_twin(source, x)
        return
    statistics = {name: _copy(layer) for name, layer in _standardises(decoder)}
    try:
        decoder.load_state_dict(source.state_dict())
    except RuntimeError:
        raise InputError(
            f"the bundle to start from has other sizes: {source.hyper_parameters} instead of {decoder.hyper_parameters}"
        ) from None
    folded = [layer for name, layer in _standardises(decoder) if layer.is_identity]
    for name, layer in _standardises(decoder):
        if layer in folded:  # what undoes its scaling goes into the weights the way the scaling itself would
            scale, shift = statistics[name]
            layer.scale.copy_(torch.where(scale == 0, scale, 1 / scale))
            layer.shift.copy_(torch.where(scale == 0, scale, -shift / scale))
    if folded:
        decoder.finalise()
        for name, layer in _standardises(decoder):
            if layer in folded:
                for value, kept in zip((layer.scale, layer.shift), statistics[name], strict=True):
                    value.copy_(kept)
    _calibrate_batch_norms(decoder, x[:TWIN_BINS])


def _standardises(decoder: Decoder) -> list[tuple[str, Standardise]]:
    return [(name, part) for name, part in decoder.named_modules() if isinstance(part, Standardise)]


def _copy(layer: Standardise) -> tuple[Tensor, Tensor]:
    return layer.scale.clone(), layer.shift.clone()


def _calibrate_batch_norms(decoder: Decoder, x: Tensor) -> None:
    """Let batch normalisation take the figures that training will show it, dropout included, and change no output."""
    norms = [part for part in decoder.modules() if isinstance(part, BatchNorm)]
    if not norms:
        return
    was_training = decoder.training
    decoder.train()
    hooks = [norm.register_forward_pre_hook(lambda norm, inputs: norm.calibrate(inputs[0])) for norm in norms]
    decoder(x[None])
    for hook in hooks:
        hook.remove()
    decoder.train(was_training)
