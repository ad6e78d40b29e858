"""What `lstm` and `gru` have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import StackDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.compress import SquareRoot
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.gru import Gru
from bmi_decoder.layers.initial_weights import Initial
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.lstm import Lstm
from bmi_decoder.layers.normalise import Dropout, LayerNorm, Standardise


class RecurrentDecoder(StackDecoder):
    """Boxcar of counts, square root, normalisation, one layer of gated recurrent cells, linear readout.

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden : int
        Recurrent units.
    boxcar : int
        Bins summed first; 1 takes each bin as it is.
    square_root : bool
        Whether the root of each sum is taken: the variance of a Poisson count grows with its mean, that of its
        root hardly does. A channel behind an input filter keeps its sign.
    normalise : {"layer", "standard"}
        Layer normalisation of each bin (paper), or per-channel statistics of the training data.
    deviation_floor : float
        With ``standard``, the smallest deviation of a channel as a share of all channels' root mean square.
    input_dropout, dropout : float
        Of the normalised channels and of the hidden vector, while training.
    initial : {"orthogonal", "xavier_normal", "torch"}
        What the recurrent layer starts from, see `set_initial_weights`.
    """

    cell: ClassVar[type[Lstm] | type[Gru]]
    features: ClassVar[str | None] = "dropout"

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        hidden: int = 128,
        boxcar: int = 1,
        square_root: bool = False,
        normalise: str = "standard",
        deviation_floor: float = 0.5,
        input_dropout: float = 0.0,
        dropout: float = 0.5,
        initial: Initial = "orthogonal",
    ) -> None:
        if normalise not in ("layer", "standard"):
            raise InputError(f"normalise must be 'layer' or 'standard', got {normalise!r}")
        if boxcar < 1:
            raise InputError(f"boxcar must be at least 1 bin, which takes each bin as it is, got {boxcar}")
        layers: dict[str, Layer] = {
            **({"boxcar": Boxcar(n_channels, boxcar)} if boxcar > 1 else {}),
            **({"square_root": SquareRoot()} if square_root else {}),
            "normalise": LayerNorm(n_channels) if normalise == "layer" else Standardise(n_channels, deviation_floor),
            "input_dropout": Dropout(input_dropout),
            self.name: self.cell(n_channels, hidden, initial),
            "dropout": Dropout(dropout),
            "readout": Dense(hidden, n_outputs),
        }
        settings: dict[str, Any] = {
            "hidden": hidden,
            "boxcar": boxcar,
            "square_root": square_root,
            "normalise": normalise,
            "deviation_floor": deviation_floor,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "initial": initial,
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take channel statistics from x (T, C), as they arrive at the normalisation."""
        self.calibrate_layer("normalise", x)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout."""
        self.layer("readout", Dense).scale_output(scale, shift)
