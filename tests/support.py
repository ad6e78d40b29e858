"""Small bundles and recordings, made without training."""

from __future__ import annotations

from typing import Any

import numpy as np

from bmi_decoder.bundle import Bundle, Manifest, OutputInfo, TrainingInfo
from bmi_decoder.config import InputFilterSettings, OutputFilterSettings
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.program import Program
from bmi_decoder.recording import Output, Recording

N_CHANNELS = 3
BIN_S = 0.004


def smoothing_program(n_channels: int = N_CHANNELS) -> Program:
    """Two outputs from leaky sums of the channels, so that order and state of the input matter."""
    builder = Builder(n_channels)
    weight = np.linspace(-1, 2, 2 * n_channels).reshape(2, n_channels)
    current = builder.linear(builder.input(), weight, [0.1, -0.2])
    builder.output(builder.leaky_integrator(current, builder.state("m", [0.5, -0.5]), 0.75))
    return builder.build()


def training_info(**changes: Any) -> TrainingInfo:
    values: dict[str, Any] = {
        "source": "test",
        "fingerprint": "0" * 64,
        "split": (0.7, 0.1, 0.2),
        "preset": "best",
        "recipe": {},
        "seed": 0,
        "epochs": 1,
        "best_epoch": 1,
        "seconds": 0.5,
    }
    return TrainingInfo(**{**values, **changes})


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "decoder": "smoothing",
        "hyper_parameters": {},
        "n_channels": N_CHANNELS,
        "channels": tuple(f"ch{i}" for i in range(N_CHANNELS)),
        "bin_s": BIN_S,
        "outputs": (OutputInfo(name="x_velocity", unit="m/s"), OutputInfo(name="y_velocity", unit="m/s")),
        "training": training_info(),
        "versions": {"bmi-decoder": "0"},
    }
    return Manifest(**{**values, **changes})


def bundle(
    input_filter: InputFilterSettings | None = None,
    output_filters: OutputFilterSettings | None = None,
    program: Program | None = None,
    **changes: Any,
) -> Bundle:
    """A bundle whose program is `smoothing_program`."""
    if output_filters is not None:
        changes["output_filters"] = output_filters
    return Bundle(
        manifest(input_filter=input_filter, **changes), program or smoothing_program(), b"the weights", b"the step"
    )


def recording(n_bins: int = 400, seed: int = 0, **changes: Any) -> Recording:
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {
        "counts": rng.poisson(1.0, (n_bins, N_CHANNELS)),
        "kinematics": rng.standard_normal((n_bins, 2)),
        "outputs": (Output("x_velocity", "m/s"), Output("y_velocity", "m/s")),
        "bin_s": BIN_S,
        "source": "test recording",
    }
    return Recording(**{**values, **changes})
