"""The seed paper's spiking network that sees the last 200 ms in seven inner steps per bin."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.ann_2d import FeedForward
from bmi_decoder.decoders.decoder import Decoder, Preset
from bmi_decoder.decoders.encoded import EncodedDecoder, encoding
from bmi_decoder.decoders.twin import TWIN_BINS, SpikingChain, start_from
from bmi_decoder.errors import InputError
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.exact_norm import ExactLayerNorm
from bmi_decoder.layers.history import SubWindows
from bmi_decoder.layers.inner_steps import InnerSteps
from bmi_decoder.layers.layer import Layer, Stack
from bmi_decoder.layers.lif import LeakyReadout, Lif
from bmi_decoder.layers.normalise import Dropout, OutputScale, Quantise, Standardise
from bmi_decoder.training.recipe import Recipe

NORMALISED_STEP, NORMALISED_LIMIT = 1 / 16, 8.0
"""Grid on which normalised sums enter the first layer, so that its currents are exact."""


class Snn3dDecoder(EncodedDecoder):
    """Spiking network that starts from rest in every bin and runs over sums of the recent past.

    Per bin, with u_1 ... u_n the sums of all channels over n adjoining sub-windows, the oldest first, and the
    semantics of `Lif`::

        z = LN(u)                                   over all n * C sums
        m1 = m2 = m3 = 0
        for j in 1 ... n:
            m1 = b1 m1 + W1 z_j + c1 - H(m1 - th1) th1 ;   s1 = H(m1 - th1)
            m2 = b2 m2 + W2 s1 + c2 - H(m2 - th2) th2 ;    s2 = H(m2 - th2)
            m3 = b3 m3 + W3 s2 + c3                                          (no reset)
        y = v * m3

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden1, hidden2 : int
        Spiking neurons of the two layers.
    sub_windows, sub_window_bins : int
        How many inner steps, and how many bins each of them sums.
    normalise : {"layer", "standard"}
        Layer normalisation as above (paper), or statistics of each channel in the training data, folded into
        W1 and c1 afterwards, so that plain counts enter.
    graded_limit : float
        0 counts bins in which a channel spiked (paper). Otherwise channels enter as multiples of `graded_step`
        limited to plus or minus this value.
    graded_step : float
        A power of two.
    input_dropout, dropout : float
        Of the normalised sums, and of the currents of layer 1, while training.
    per_neuron : bool
        One decay and threshold per neuron instead of one per layer.
    output_scale : float, optional
        Initial v; None draws it from N(0, 1).

    Notes
    -----
    SNN3 of Yik et al. 2025, Nat. Commun. 16 1545 (NeuroBench, primate reaching), SNN_3D of Zhou, Sun & Basu
    2025, Neuromorph. Comput. Eng. 5 014013: b = th = .5, learned; 6,138 parameters at 96 channels, 10,554 at 192.
    Here z is rounded to multiples of 1/16 within plus or minus 8, which makes the network the same, spike by
    spike, wherever it runs.
    """

    name: ClassVar[str] = "snn_3d"
    twins: ClassVar[tuple[str, ...]] = ("ann_2d", "ann_3d")
    summary: ClassVar[str] = "spiking network over seven sums of the last 200 ms, anew in every bin (NeuroBench SNN3)"
    presets: ClassVar = {
        "paper": Preset(
            {"sub_windows": 7, "sub_window_bins": 7, "dropout": 0.5},
            Recipe(learning_rate=5e-3, weight_decay=0.01, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "hidden1": 384,
                "hidden2": 128,
                "sub_windows": 12,
                "sub_window_bins": 1,
                "normalise": "standard",
                "graded_limit": 15.0,
                "input_dropout": 0.4,
                "per_neuron": True,
                "output_scale": 0.5,
            },
            Recipe(learning_rate=5e-3, weight_decay=0.5, updates=1300, averaging=0.998),
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
        normalise: str = "layer",
        graded_limit: float = 0.0,
        graded_step: float = 1.0,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        per_neuron: bool = False,
        output_scale: float | None = None,
    ) -> None:
        if normalise not in ("layer", "standard"):
            raise InputError(f"normalise must be 'layer' or 'standard', got {normalise!r}")
        n = n_channels * sub_windows
        before: dict[str, Layer] = {
            "encode": encoding(graded_limit, graded_step),
            "sub_windows": SubWindows(n_channels, sub_window_bins, sub_windows),
        }
        if normalise == "layer":
            grid = graded_step if graded_limit > 0 else 1.0
            before["limit"] = Quantise(grid, grid * ExactLayerNorm.limit(n))
            before["norm"] = ExactLayerNorm(n)
            before["quantise"] = Quantise(NORMALISED_STEP, NORMALISED_LIMIT)
        network: dict[str, Layer] = {
            **({"standardise": Standardise(n_channels)} if normalise == "standard" else {}),
            "input_dropout": Dropout(input_dropout),
            "dense1": Dense(n_channels, hidden1),
            "dropout1": Dropout(dropout),
            "lif1": Lif(hidden1, beta=0.5, threshold=0.5, reset="subtract", per_neuron=per_neuron),
            "dense2": Dense(hidden1, hidden2),
            "lif2": Lif(hidden2, beta=0.5, threshold=0.5, reset="subtract", per_neuron=per_neuron),
            "dense3": Dense(hidden2, n_outputs),
            "readout": LeakyReadout(n_outputs, beta=0.5, threshold=0.5),
        }
        layers = {
            **before,
            "network": InnerSteps(Stack(network), sub_windows),
            "scale": OutputScale(n_outputs, output_scale),
        }
        settings = {
            "hidden1": hidden1,
            "hidden2": hidden2,
            "sub_windows": sub_windows,
            "sub_window_bins": sub_window_bins,
            "normalise": normalise,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "per_neuron": per_neuron,
            "output_scale": output_scale,
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @property
    def _network(self) -> InnerSteps:
        return self.layer("network", InnerSteps)

    @property
    def first(self) -> Dense:
        """See `EncodedDecoder`."""
        dense = self._network.stack.layers["dense1"]
        assert isinstance(dense, Dense)
        return dense

    @property
    def standardise(self) -> Standardise | None:
        """See `EncodedDecoder`; the inner steps share it."""
        found = dict(self._network.stack.layers).get("standardise")
        return found if isinstance(found, Standardise) else None

    def _sums(self, x: Tensor) -> Tensor:
        """Sums over sub-windows (T, sub_windows, C) of x (T, C)."""
        rows = x[None]
        for name in ("encode", "sub_windows"):
            layer = self.layer(name, Layer)
            rows, _ = layer.scan(rows, layer.initial_state(1))
        return rows[0].unflatten(1, (self._network.n_steps, -1))

    @torch.no_grad()
    def take_twin(self, twin: Decoder, x: Tensor) -> None:
        """Take a feed-forward network over the same time: its first layer is shared by all inner steps."""
        if self.hyper_parameters["normalise"] != "standard":
            raise InputError("decoder 'snn_3d' starts from a network without spikes only with normalise=standard")
        assert isinstance(twin, FeedForward)
        chain = SpikingChain.of(self._network.stack, self)
        start_from(chain, twin, x, self._sums(x[:TWIN_BINS]), self.hyper_parameters["sub_window_bins"])

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take statistics of the sums over sub-windows from x (T, C)."""
        if self.standardise is not None:
            self.standardise.calibrate(self._sums(x).flatten(0, 1))

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the output factors, and their mean into the readout's bias.

        From rest a bias c grows to ``c (1 + b3 + b3^2 + ...)`` with one term per inner step.
        """
        layers, factors = self._network.stack.layers, self.stack.layers["scale"]
        dense, readout = layers["dense3"], layers["readout"]
        assert isinstance(dense, Dense) and isinstance(readout, LeakyReadout) and isinstance(factors, OutputScale)
        factors.scale.mul_(scale)
        grown = readout.beta.clamp(0, 1) ** torch.arange(self._network.n_steps)
        dense.linear.bias.add_(shift / (grown.sum() * factors.scale))
