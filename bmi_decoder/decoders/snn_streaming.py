"""The seed paper's streaming spiking network: three layers of neurons whose state lives from bin to bin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.ann_2d import FeedForward
from bmi_decoder.decoders.decoder import Decoder, Preset
from bmi_decoder.decoders.encoded import EncodedDecoder, encoded_channels
from bmi_decoder.decoders.twin import TWIN_BINS, SpikingChain, start_from
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.leaky_output import scale_leaky_output
from bmi_decoder.layers.lif import LeakyReadout, Lif
from bmi_decoder.layers.normalise import Dropout, OutputScale
from bmi_decoder.training.recipe import Recipe

_TIME_CONSTANT_S = 0.1


class SnnStreamingDecoder(EncodedDecoder):
    """Two layers of leaky integrate-and-fire neurons and a leaky readout.

    Per bin, with the delayed, strict-``>`` semantics of `Lif`::

        s0 = 1[x > 0]
        m1 = b1 m1 + W1 s0 + c1 - H(m1 - th1) th1 ;   s1 = H(m1 - th1)
        m2 = b2 m2 + W2 s1 + c2 ;                      s2 = H(m2 - th2)      (no reset)
        m3 = b3 m3 + W3 s2 + c3 ;                      y  = v * m3           (no reset)

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden1, hidden2 : int
        Spiking neurons of the two layers.
    graded_limit : float
        0 feeds binary spikes (paper). Otherwise channels enter as multiples of `graded_step` limited to
        plus or minus this value: multi-bit spikes, for wide bins or filtered channels.
    graded_step : float
        A power of two.
    standardise : bool
        Train on standardised channels. The scaling is folded into W1 and c1 afterwards, so that the deployed
        network takes plain spikes or counts, and the equations above hold to the letter.
    input_dropout, dropout : float
        Of the standardised channels, and of the currents of layers 1 and 2, while training.
    per_neuron : bool
        One decay and threshold per neuron instead of one per layer.
    output_scale : float, optional
        Initial v; None draws it from N(0, 1) (paper).
    betas : sequence of float
        Initial decays of the three layers per bin. A preset's None is a time constant of 100 ms, whatever the
        bin width; training at 50 ms bins ends near it from elsewhere.

    Notes
    -----
    Zhou, Sun & Basu 2025 (Neuromorph. Comput. Eng. 5 014013), official code read for initial values:
    b = (.9, .7, .8), th = (.4, .6, .5), all learned. The ``paper`` preset has 4,786 weights and biases at 96
    channels and 8 learned scalars.
    """

    name: ClassVar[str] = "snn_streaming"
    twins: ClassVar[tuple[str, ...]] = ("ann_2d", "ann_3d")
    summary: ClassVar[str] = "spiking network with persistent membranes; a few additions per bin"
    presets: ClassVar = {
        "paper": Preset(
            {"hidden1": 32, "hidden2": 48, "dropout": 0.3},
            Recipe(learning_rate=5e-3, weight_decay=0.05, epochs=50, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "hidden1": 256,
                "hidden2": 128,
                "graded_limit": 15.0,
                "standardise": True,
                "input_dropout": 0.4,
                "per_neuron": True,
                "output_scale": 0.5,
                "betas": None,
            },
            Recipe(learning_rate=5e-3, weight_decay=0.5, updates=2200, averaging=0.998),
        ),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        hidden1: int = 32,
        hidden2: int = 48,
        graded_limit: float = 0.0,
        graded_step: float = 1.0,
        standardise: bool = False,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        per_neuron: bool = False,
        output_scale: float | None = None,
        betas: Sequence[float] = (0.9, 0.7, 0.8),
    ) -> None:
        layers: dict[str, Layer] = {
            **encoded_channels(n_channels, graded_limit, graded_step, standardise, input_dropout),
            "dense1": Dense(n_channels, hidden1),
            "dropout1": Dropout(dropout),
            "lif1": Lif(hidden1, beta=betas[0], threshold=0.4, reset="subtract", per_neuron=per_neuron),
            "dense2": Dense(hidden1, hidden2),
            "dropout2": Dropout(dropout),
            "lif2": Lif(hidden2, beta=betas[1], threshold=0.6, reset="none", per_neuron=per_neuron),
            "dense3": Dense(hidden2, n_outputs),
            "readout": LeakyReadout(n_outputs, beta=betas[2], threshold=0.5),
            "scale": OutputScale(n_outputs, output_scale),
        }
        settings = {
            "hidden1": hidden1,
            "hidden2": hidden2,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "standardise": standardise,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "per_neuron": per_neuron,
            "output_scale": output_scale,
            "betas": list(betas),
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """Decays for the bin width; graded input for channels that are no longer counts."""
        adapted = super().adapt(hyper_parameters, bin_s, are_counts)
        if adapted.get("betas", ()) is None:
            adapted["betas"] = [math.exp(-bin_s / _TIME_CONSTANT_S)] * 3
        return adapted

    @torch.no_grad()
    def take_twin(self, twin: Decoder, x: Tensor) -> None:
        """Take a feed-forward network on the sum of recent bins, which the membranes stand in for."""
        assert isinstance(twin, FeedForward)
        rows, _ = self.layer("encode", Layer).scan(x[:TWIN_BINS][None], {})
        start_from(SpikingChain.of(self.stack, self), twin, x, rows, 1)

    @property
    def first(self) -> Dense:
        """See `EncodedDecoder`."""
        return self.layer("dense1", Dense)

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale and mean into the readout."""
        dense, readout = self.layer("dense3", Dense), self.layer("readout", LeakyReadout)
        scale_leaky_output(dense, readout, self.layer("scale", OutputScale), scale, shift)
