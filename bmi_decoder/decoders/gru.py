"""Gated recurrent unit on recent spike counts."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset, StackDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.gru import Gru
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.normalise import Dropout, LayerNorm, Standardise
from bmi_decoder.training.recipe import Recipe


class GruDecoder(StackDecoder):
    """Boxcar of counts, normalisation, one GRU layer, linear readout.

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden : int
        GRU units.
    boxcar : int
        Bins summed before the GRU; 1 takes each bin as it is.
    normalise : {"layer", "standard"}
        Layer normalisation of each bin, or per-channel statistics of the training data.
    input_dropout, dropout : float
        Of the normalised channels and of the hidden vector, while training.
    orthogonal : bool
        Orthogonal recurrent weights and an open update gate to start from, instead of torch's initial values.

    Notes
    -----
    The ``paper`` preset is the `lstm` of Zhou, Sun & Basu 2025 with its cell exchanged: no streaming GRU was
    published for that data (see the reference page).
    """

    name: ClassVar[str] = "gru"
    summary: ClassVar[str] = "GRU on recent spike counts; as accurate as the LSTM with three quarters of its weights"
    presets: ClassVar = {
        "paper": Preset(
            {"hidden": 32, "boxcar": 8, "normalise": "layer", "dropout": 0.5, "orthogonal": False},
            Recipe(learning_rate=5e-3, weight_decay=0.11, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {"hidden": 256, "input_dropout": 0.3, "dropout": 0.5},
            Recipe(learning_rate=3e-3, weight_decay=1.0, updates=1800),
        ),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        hidden: int = 128,
        boxcar: int = 1,
        normalise: str = "standard",
        input_dropout: float = 0.0,
        dropout: float = 0.5,
        orthogonal: bool = True,
    ) -> None:
        if normalise not in ("layer", "standard"):
            raise InputError(f"normalise must be 'layer' or 'standard', got {normalise!r}")
        if boxcar < 1:
            raise InputError(f"boxcar must be at least 1 bin, which takes each bin as it is, got {boxcar}")
        layers: dict[str, Layer] = {}
        if boxcar > 1:
            layers["boxcar"] = Boxcar(n_channels, boxcar)
        layers["normalise"] = LayerNorm(n_channels) if normalise == "layer" else Standardise(n_channels)
        layers["input_dropout"] = Dropout(input_dropout)
        layers["gru"] = Gru(n_channels, hidden, orthogonal)
        layers["dropout"] = Dropout(dropout)
        layers["readout"] = Dense(hidden, n_outputs)
        settings = {
            "hidden": hidden,
            "boxcar": boxcar,
            "normalise": normalise,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "orthogonal": orthogonal,
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take channel statistics from x (T, C), behind the boxcar."""
        self.calibrate_layer("normalise", x)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout."""
        readout = self.stack.layers["readout"]
        assert isinstance(readout, Dense)
        readout.scale_output(scale, shift)
