"""NeuroBench's network without memory on seven sums over the last 200 ms."""

from __future__ import annotations

from typing import ClassVar

from bmi_decoder.decoders.ann_2d import FeedForward
from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.layers.history import SubWindows
from bmi_decoder.training.recipe import Recipe


class Ann3dDecoder(FeedForward):
    """Feed-forward network on the sums of each channel over adjoining sub-windows.

    ::

        u_j = sum of the bins of sub-window j,    u = (u_1, ..., u_count), oldest first
        y = W3 BN(ReLU(W2 BN(ReLU(W1 u + c1)) + c2)) + c3

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden1, hidden2 : int
        Units of the two hidden layers.
    sub_windows, sub_window_bins : int
        How many, and how many bins in each.
    standardise : bool
        Train on standardised sums; the scaling is folded into W1 and c1 afterwards.
    input_dropout, dropout1, dropout2 : float
        Of the sums, behind the first and before the second rectification, while training.

    Notes
    -----
    ANN3D of Yik et al. 2025, Nat. Commun. 16 1545 (NeuroBench, primate reaching): 7 sub-windows of 7 bins of
    4 ms, 23,378 parameters at 96 channels, 44,722 at 192. NeuroBench flattens u channel by channel, here it is
    sub-window by sub-window, which only permutes the columns of W1.
    """

    name: ClassVar[str] = "ann_3d"
    summary: ClassVar[str] = "feed-forward network on seven sums over the last 200 ms (NeuroBench ANN3D)"
    presets: ClassVar = {
        "paper": Preset(
            {"sub_windows": 7, "sub_window_bins": 7, "dropout2": 0.5},
            Recipe(learning_rate=5e-3, weight_decay=0.01, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "hidden1": 256,
                "hidden2": 64,
                "sub_windows": 10,
                "sub_window_bins": 1,
                "standardise": True,
                "input_dropout": 0.4,
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
        sub_windows: int = 7,
        sub_window_bins: int = 7,
        standardise: bool = False,
        input_dropout: float = 0.0,
        dropout1: float = 0.0,
        dropout2: float = 0.0,
    ) -> None:
        settings = {
            "hidden1": hidden1,
            "hidden2": hidden2,
            "sub_windows": sub_windows,
            "sub_window_bins": sub_window_bins,
            "standardise": standardise,
            "input_dropout": input_dropout,
            "dropout1": dropout1,
            "dropout2": dropout2,
        }
        window = {"sub_windows": SubWindows(n_channels, sub_window_bins, sub_windows)}
        super().__init__(n_channels, n_outputs, settings, window, n_channels * sub_windows)
