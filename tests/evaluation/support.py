"""A recording and a bundle that need no training."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import lfilter

from bmi_decoder.bundle import Bundle, OutputInfo
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.decoders.registry import build_decoder
from bmi_decoder.recording import Output, Recording
from bmi_decoder.training.untrained import bundle_of

N_CHANNELS, BIN_S = 12, 0.02
OUTPUTS = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
FILTERS = OutputFilterSettings(
    low_latency=BlockFilterSettings(order=2, cutoff_hz=4.0, width=12),
    high_accuracy=BlockFilterSettings(order=2, cutoff_hz=4.0, width=16),
)


def recording(n_bins: int = 3000, seed: int = 0, segments: tuple[tuple[int, int], ...] | None = None) -> Recording:
    """Smooth movement and counts that follow it."""
    rng = np.random.default_rng(seed)
    y = lfilter([1], [1, -0.95], rng.standard_normal((n_bins, 2)), axis=0) * 0.1
    rates = np.exp(y @ rng.standard_normal((2, N_CHANNELS)))
    return Recording(rng.poisson(rates), y, OUTPUTS, BIN_S, segments=segments, source="made up")


def bundle(
    trained_on: Recording | None = None, filters: OutputFilterSettings = FILTERS, decoder: str = "lstm"
) -> Bundle:
    """An untrained decoder, as if it had been trained on a recording."""
    torch.manual_seed(0)
    settings = {"hidden": 8} if decoder == "lstm" else {"hidden1": 8, "hidden2": 6}
    module = build_decoder(decoder, N_CHANNELS, 2, settings)
    module.finalise(x_step=1.0)
    module.eval()
    return bundle_of(
        module,
        BIN_S,
        source="made up",
        fingerprint="0" * 64 if trained_on is None else trained_on.fingerprint(),
        outputs=[OutputInfo(name=output.name, unit=output.unit) for output in OUTPUTS],
        output_filters=filters,
    )
