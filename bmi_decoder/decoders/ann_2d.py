"""NeuroBench's network without memory on the sum of the last 200 ms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset, StackDecoder
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.normalise import Dropout, Standardise
from bmi_decoder.layers.perceptron import BatchNorm, Relu
from bmi_decoder.training.recipe import Recipe


class FeedForward(StackDecoder):
    """Three linear layers with rectification and batch normalisation, on some window of the recent past.

    Batch normalisation and standardisation are folded into the linear layer behind them when training ends.
    """

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        settings: Mapping[str, Any],
        window: Mapping[str, Layer],
        n_features: int,
    ) -> None:
        hidden1, hidden2 = settings["hidden1"], settings["hidden2"]
        layers: dict[str, Layer] = {
            **window,
            **({"standardise": Standardise(n_features)} if settings["standardise"] else {}),
            "input_dropout": Dropout(settings["input_dropout"]),
            "dense1": Dense(n_features, hidden1),
            "relu1": Relu(),
            "norm1": BatchNorm(hidden1),
            "dropout1": Dropout(settings["dropout1"]),
            "dense2": Dense(hidden1, hidden2),
            "dropout2": Dropout(settings["dropout2"]),
            "relu2": Relu(),
            "norm2": BatchNorm(hidden2),
            "dense3": Dense(hidden2, n_outputs),
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take statistics of the window's sums from x (T, C)."""
        if "standardise" in self.stack.layers:
            self.calibrate_layer("standardise", x)

    def finalise(self, x_step: float = 0.0, x_bound: float = float("inf")) -> None:
        """Fold all normalisation into the weights."""
        if "standardise" in self.stack.layers:
            self.layer("standardise", Standardise).fold_into(self.layer("dense1", Dense))
        for norm, behind in (("norm1", "dense2"), ("norm2", "dense3")):
            self.layer(norm, BatchNorm).fold_into(self.layer(behind, Dense))
        super().finalise(x_step, x_bound)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the last layer."""
        self.layer("dense3", Dense).scale_output(scale, shift)


class Ann2dDecoder(FeedForward):
    """Feed-forward network on the sum of the last bins of each channel.

    ::

        u = x_t + ... + x_(t - boxcar + 1)
        y = W3 BN(ReLU(W2 BN(ReLU(W1 u + c1)) + c2)) + c3

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden1, hidden2 : int
        Units of the two hidden layers.
    boxcar : int
        Bins in the sum.
    standardise : bool
        Train on standardised sums; the scaling is folded into W1 and c1 afterwards.
    input_dropout, dropout1, dropout2 : float
        Of the sums, behind the first and before the second rectification, while training.

    Notes
    -----
    ANN2D of Yik et al. 2025, Nat. Commun. 16 1545 (NeuroBench, primate reaching): 50 bins of 4 ms, 4,946
    parameters at 96 channels, 8,018 at 192.
    """

    name: ClassVar[str] = "ann_2d"
    summary: ClassVar[str] = "feed-forward network on the sum of the last 200 ms (NeuroBench ANN2D)"
    presets: ClassVar = {
        "paper": Preset(
            {"boxcar": 50, "dropout2": 0.5},
            Recipe(learning_rate=5e-3, weight_decay=0.01, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "hidden1": 128,
                "hidden2": 64,
                "boxcar": 5,
                "standardise": True,
                "input_dropout": 0.2,
                "dropout1": 0.3,
                "dropout2": 0.3,
            },
            Recipe(learning_rate=3e-3, weight_decay=1.0, updates=1300),
        ),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        hidden1: int = 32,
        hidden2: int = 48,
        boxcar: int = 50,
        standardise: bool = False,
        input_dropout: float = 0.0,
        dropout1: float = 0.0,
        dropout2: float = 0.0,
    ) -> None:
        settings = {
            "hidden1": hidden1,
            "hidden2": hidden2,
            "boxcar": boxcar,
            "standardise": standardise,
            "input_dropout": input_dropout,
            "dropout1": dropout1,
            "dropout2": dropout2,
        }
        super().__init__(n_channels, n_outputs, settings, {"boxcar": Boxcar(n_channels, boxcar)}, n_channels)
