"""Gated recurrent unit on recent spike counts."""

from __future__ import annotations

from typing import ClassVar

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.recurrent import RecurrentDecoder
from bmi_decoder.layers.gru import Gru
from bmi_decoder.training.recipe import Recipe


class GruDecoder(RecurrentDecoder):
    """One GRU layer on recent spike counts; parameters as `RecurrentDecoder`.

    Notes
    -----
    The ``paper`` preset is the `lstm` of Zhou, Sun & Basu 2025 with its cell exchanged: no streaming GRU was
    published for that data (see the reference page).
    """

    name: ClassVar[str] = "gru"
    summary: ClassVar[str] = "GRU on recent spike counts; close to the LSTM with three quarters of its weights per unit"
    cell = Gru
    presets: ClassVar = {
        "paper": Preset(
            {"hidden": 32, "boxcar": 8, "normalise": "layer", "dropout": 0.5, "initial": "torch"},
            Recipe(learning_rate=5e-3, weight_decay=0.11, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {"hidden": 256, "input_dropout": 0.3, "dropout": 0.5},
            Recipe(learning_rate=3e-3, weight_decay=1.0, updates=1800, position_weight=0.3),
        ),
    }
