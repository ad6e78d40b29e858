"""The quantised convolutional-recurrent network that can be converted to spikes without loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.encoded import EncodedDecoder
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.history import SubWindows
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.normalise import Dropout, Quantise, Standardise
from bmi_decoder.layers.quantised_rnn import QuantisedRnn
from bmi_decoder.training.recipe import Recipe

_TAP_S = 0.05


class QcrnnDecoder(EncodedDecoder):
    """Causal temporal convolution, quantised; a quantised recurrent layer; linear readout.

    Per bin, with Q as in `LearnedStep` and u the sums of counts over `taps` adjoining stretches of `tap_bins`::

        a = Q(W u + b)                      convolution over time with `filters` outputs
        h = Q(W_h a + b_h + R h')           recurrent
        y = W_o h + b_o

    Parameters
    ----------
    n_channels, n_outputs : int
    filters : list of int
        Outputs of the convolution; further numbers are stages of pointwise convolution behind it.
    taps, tap_bins : int
        Length of the convolution's kernel, and bins summed for each of its taps. A preset's None is 50 ms a tap.
    hidden : int
        Recurrent neurons.
    levels, hidden_levels : int
        Values that an activation of the convolution, and of the recurrence, can take: 2 to 256.
    signed, hidden_signed : bool
        Whether these lie on both sides of zero.
    graded_limit, graded_step : float
        Channels enter as multiples of the step, a power of two, limited to plus or minus the limit.
    input_dropout, front_dropout, dropout : float
        Of standardised channels, of the convolution's and of the recurrent activations, while training.

    Notes
    -----
    Trained with its quantisation (Esser et al. 2020, ICLR). Channels are standardised while training; that and the
    steps of all quantisers are folded into the weights afterwards, so that activations are whole numbers.
    """

    name: ClassVar[str] = "qcrnn"
    summary: ClassVar[str] = "quantised convolutional-recurrent network; converts to spikes (rbif_rnn) without loss"
    spiking_twin: ClassVar[str | None] = "rbif_rnn"
    presets: ClassVar = {
        "paper": Preset(
            {"filters": [64], "taps": 4, "hidden": 128},
            Recipe(learning_rate=1e-3, weight_decay=0.0, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "filters": [256],
                "taps": 2,
                "tap_bins": None,
                "hidden": 256,
                "input_dropout": 0.4,
                "front_dropout": 0.4,
                "dropout": 0.4,
            },
            Recipe(learning_rate=3e-3, weight_decay=1.0, updates=600),
        ),
    }

    _network: ClassVar[type[QuantisedRnn]] = QuantisedRnn

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        filters: Sequence[int] = (64,),
        taps: int = 4,
        tap_bins: int = 1,
        hidden: int = 128,
        levels: int = 16,
        signed: bool = False,
        hidden_levels: int = 32,
        hidden_signed: bool = True,
        graded_limit: float = 15.0,
        graded_step: float = 1.0,
        input_dropout: float = 0.0,
        front_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        n_window = n_channels * taps
        layers: dict[str, Layer] = {
            "encode": Quantise(graded_step, graded_limit),
            "window": SubWindows(n_channels, tap_bins, taps),
            "standardise": Standardise(n_window),
            "input_dropout": Dropout(input_dropout),
            "network": self._network(
                n_window, list(filters), hidden, levels, signed, hidden_levels, hidden_signed, front_dropout
            ),
            "dropout": Dropout(dropout),
            "readout": Dense(hidden, n_outputs),
        }
        settings = {
            "filters": list(filters),
            "taps": taps,
            "tap_bins": tap_bins,
            "hidden": hidden,
            "levels": levels,
            "signed": signed,
            "hidden_levels": hidden_levels,
            "hidden_signed": hidden_signed,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "input_dropout": input_dropout,
            "front_dropout": front_dropout,
            "dropout": dropout,
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @property
    def network(self) -> QuantisedRnn:
        """Convolution and recurrence."""
        return self.layer("network", QuantisedRnn)

    @property
    def first(self) -> Dense:
        """See `EncodedDecoder`."""
        return self.network.first

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """Taps for the bin width; finer input for channels that are no longer counts."""
        adapted = super().adapt(hyper_parameters, bin_s, are_counts)
        if adapted.get("tap_bins", 1) is None:
            adapted["tap_bins"] = max(1, round(_TAP_S / bin_s))
        return adapted

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take statistics of the channels from x (T, C), and the first steps of the quantisers."""
        self.calibrate_layer("standardise", x)
        rows = x[None]
        for name in ("encode", "window", "standardise"):
            layer = self.layer(name, Layer)
            rows, _ = layer.scan(rows, layer.initial_state(1))
        self.network.calibrate(rows[0])

    def fold(self) -> None:
        """Fold the standardisation, then the quantisers' steps into the weights."""
        super().fold()
        self.network.fold_into(self.layer("readout", Dense))

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout."""
        self.layer("readout", Dense).scale_output(scale, shift)
