"""A recording and decoders trained on it, once for all tests here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from bmi_decoder.bundle import Bundle
from bmi_decoder.config import InputFilterSettings
from bmi_decoder.recording import Recording
from bmi_decoder.simulation import SubjectSettings, simulate
from bmi_decoder.training.settings import TrainSettings
from bmi_decoder.training.train import train

TrainedBundle = Callable[..., Bundle]

FEW_STEPS: dict[str, dict[str, Any]] = {
    "lstm": {"epochs": 2, "hidden": 12},
    "snn_streaming": {"epochs": 2, "hidden1": 24, "hidden2": 16},
}


@pytest.fixture(scope="session")
def recording() -> Recording:
    """A minute of a simulated subject with 96 channels."""
    return simulate(SubjectSettings(), 60.0)


@pytest.fixture(scope="session")
def trained(recording: Recording) -> TrainedBundle:
    """Makes the bundle of a decoder, with or without an input filter."""

    @cache
    def make(decoder: str, filtered: bool = False, preset: str = "best") -> Bundle:
        chosen = InputFilterSettings(cutoff_hz=20.0, order=2, width=16) if filtered else None
        return train(recording, TrainSettings(decoder, preset, FEW_STEPS[decoder], input_filter=chosen, seed=3))

    return make
