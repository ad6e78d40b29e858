"""Long short-term memory on recent spike counts: the seed paper's reference, and a stronger preset."""

from __future__ import annotations

from typing import ClassVar

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.recurrent import RecurrentDecoder
from bmi_decoder.layers.lstm import Lstm
from bmi_decoder.training.recipe import Recipe


class LstmDecoder(RecurrentDecoder):
    """One LSTM layer on recent spike counts; parameters as `RecurrentDecoder`.

    Notes
    -----
    The ``paper`` preset is the LSTM of Zhou, Sun & Basu 2025 (Neuromorph. Comput. Eng. 5 014013): boxcar of 8
    bins, layer normalisation, 32 units; 16,898 parameters at 96 channels.
    """

    name: ClassVar[str] = "lstm"
    summary: ClassVar[str] = "LSTM on recent spike counts; the reference that spiking decoders are held against"
    cell = Lstm
    presets: ClassVar = {
        "paper": Preset(
            {"hidden": 32, "boxcar": 8, "normalise": "layer", "dropout": 0.5, "initial": "xavier_normal"},
            Recipe(learning_rate=5e-3, weight_decay=0.11, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {"hidden": 256, "input_dropout": 0.2, "dropout": 0.5},
            Recipe(learning_rate=3e-3, weight_decay=1.0, updates=1300, position_weight=0.3),
        ),
    }
