"""Long short-term memory on recent spike counts: the seed paper's reference, and a stronger preset."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset, StackDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.lstm import Initial, Lstm
from bmi_decoder.layers.normalise import Dropout, LayerNorm, Standardise
from bmi_decoder.training.recipe import Recipe


class LstmDecoder(StackDecoder):
    """Boxcar of counts, normalisation, one LSTM layer, linear readout.

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden : int
        LSTM units.
    boxcar : int
        Bins summed before the LSTM; 1 takes each bin as it is.
    normalise : {"layer", "standard"}
        Layer normalisation of each bin (paper), or per-channel statistics of the training data.
    input_dropout, dropout : float
        Of the normalised channels and of the hidden vector, while training.
    initial : {"xavier_normal", "orthogonal"}
        LSTM weights: Xavier-normal with torch's biases (paper), or Xavier-uniform and orthogonal with the
        forget gate open.

    Notes
    -----
    The ``paper`` preset is the LSTM of Zhou, Sun & Basu 2025 (Neuromorph. Comput. Eng. 5 014013): boxcar of 8
    bins, layer normalisation, 32 units; 16,898 parameters at 96 channels.
    """

    name: ClassVar[str] = "lstm"
    summary: ClassVar[str] = "LSTM on recent spike counts; the reference that spiking decoders are held against"
    presets: ClassVar = {
        "paper": Preset(
            {"hidden": 32, "boxcar": 8, "normalise": "layer", "dropout": 0.5, "initial": "xavier_normal"},
            Recipe(learning_rate=5e-3, weight_decay=0.11, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {"hidden": 128, "input_dropout": 0.2, "dropout": 0.5},
            Recipe(learning_rate=3e-3, weight_decay=1.0, updates=1300),
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
        initial: Initial = "orthogonal",
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
        layers["lstm"] = Lstm(n_channels, hidden, initial)
        layers["dropout"] = Dropout(dropout)
        layers["readout"] = Dense(hidden, n_outputs)
        settings = {
            "hidden": hidden,
            "boxcar": boxcar,
            "normalise": normalise,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "initial": initial,
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
