"""Names of training runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import torch

from bmi_decoder.decoders.registry import decoder_class
from bmi_decoder.training.code_version import code_version
from bmi_decoder.training.initial import initial_digest
from bmi_decoder.training.settings import TrainSettings

_TRAIN = "bmi_decoder.training.train"
"""Everything that it imports is what decides a bundle."""


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
        "code": code_version(_TRAIN, decoder_class(settings.decoder).__module__),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
