"""The Legendre memory unit whose every part is a population of spiking neurons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.encoded import EncodedDecoder
from bmi_decoder.errors import InputError
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.leaky_output import scale_leaky_output
from bmi_decoder.layers.lif import LeakyReadout
from bmi_decoder.layers.lmu import SpikingLegendreUnit
from bmi_decoder.layers.normalise import Dropout, OutputScale, Quantise, Standardise
from bmi_decoder.training.recipe import Recipe

_WINDOW_S, _TIME_CONSTANT_S, _SYNAPSE_S = 0.5, 0.1, 0.02
"""What a preset's None stands for, whatever the bin width."""


class L2muDecoder(EncodedDecoder):
    """Spiking Legendre memory unit, and a leaky readout without spikes.

    See `SpikingLegendreUnit` for the equations of u, m and h. Then::

        o = b_o o' + W_o sh + c ;      y = v * o

    Parameters
    ----------
    n_channels, n_outputs : int
    encoders, hidden : int
        Neurons of u and h.
    order : int
        Legendre coefficients per neuron of u.
    window : float
        Window of the memory in bins. A preset's None is 0.5 s.
    neuron : {"lif", "cuba"}
        Without or with synaptic currents.
    memory : {"spiking", "analogue"}
        Whether m is a population of neurons, or holds its coefficients as numbers.
    betas : sequence of float
        Initial decays of u, m, h and the readout per bin. A preset's None is a time constant of 100 ms.
    thresholds : sequence of float
        Initial thresholds of u, m and h.
    alphas : sequence of float
        Initial decays of the synapses of u, m and h, with neuron "cuba". A preset's None is 20 ms.
    per_neuron : bool
        One decay and threshold per neuron instead of one per population.
    graded_limit, graded_step : float
        Channels enter as multiples of `graded_step`, a power of two, limited to plus or minus `graded_limit`.
    standardise : bool
        Train on standardised channels. The scaling is folded into E_x, W_x and their biases afterwards.
    input_dropout, dropout : float
        Of channels and of hidden spikes, while training.
    output_scale : float
        Initial v.

    Notes
    -----
    Fra, Leto, Pignata, Macii & Urgese 2024 (L2MU, arXiv 2407.04076); the ``paper`` preset has the sizes, decays and
    thresholds of its 7-class network.
    """

    name: ClassVar[str] = "l2mu"
    summary: ClassVar[str] = "spiking Legendre memory unit: a sliding window held by populations of neurons"
    presets: ClassVar = {
        "paper": Preset(
            {
                "encoders": 70,
                "hidden": 120,
                "order": 7,
                "window": 10.0,
                "betas": [0.8, 0.2, 0.45, 0.6],
                "thresholds": [0.2, 0.4, 0.65],
            },
            Recipe(learning_rate=1.45e-3, weight_decay=0.0, epochs=300, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "encoders": 48,
                "hidden": 192,
                "order": 6,
                "window": None,
                "betas": None,
                "alphas": None,
                "standardise": True,
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
        encoders: int = 32,
        hidden: int = 64,
        order: int = 6,
        window: float = 10.0,
        neuron: Literal["lif", "cuba"] = "lif",
        memory: Literal["spiking", "analogue"] = "spiking",
        betas: Sequence[float] = (0.6, 0.6, 0.6, 0.6),
        thresholds: Sequence[float] = (0.4, 0.4, 0.4),
        alphas: Sequence[float] = (0.1, 0.1, 0.1),
        per_neuron: bool = False,
        graded_limit: float = 15.0,
        graded_step: float = 1.0,
        standardise: bool = False,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        output_scale: float = 1.0,
    ) -> None:
        beta_u, beta_m, beta_h, beta_o = _numbers("betas", betas, 4)
        threshold_u, threshold_m, threshold_h = _numbers("thresholds", thresholds, 3)
        alpha_u, alpha_m, alpha_h = _numbers("alphas", alphas, 3)
        layers: dict[str, Layer] = {
            "encode": Quantise(graded_step, graded_limit),
            **({"standardise": Standardise(n_channels)} if standardise else {}),
            "input_dropout": Dropout(input_dropout),
            "lmu": SpikingLegendreUnit(
                n_channels,
                encoders,
                hidden,
                order,
                window,
                (beta_u, beta_m, beta_h),
                (threshold_u, threshold_m, threshold_h),
                (alpha_u, alpha_m, alpha_h) if neuron == "cuba" else None,
                analogue=memory == "analogue",
                bias=standardise,
                per_neuron=per_neuron,
            ),
            "dropout": Dropout(dropout),
            "dense": Dense(hidden, n_outputs),
            "readout": LeakyReadout(n_outputs, beta=beta_o, threshold=0.5),
            "scale": OutputScale(n_outputs, output_scale),
        }
        settings = {
            "encoders": encoders,
            "hidden": hidden,
            "order": order,
            "window": window,
            "neuron": neuron,
            "memory": memory,
            "betas": list(betas),
            "thresholds": list(thresholds),
            "alphas": list(alphas),
            "per_neuron": per_neuron,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "standardise": standardise,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "output_scale": output_scale,
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """Window and decays for the bin width; graded input for channels that are no longer counts."""
        adapted = super().adapt(hyper_parameters, bin_s, are_counts)
        by_time = {
            "window": _WINDOW_S / bin_s,
            "betas": [math.exp(-bin_s / _TIME_CONSTANT_S)] * 4,
            "alphas": [math.exp(-bin_s / _SYNAPSE_S)] * 3,
        }
        return adapted | {name: value for name, value in by_time.items() if adapted.get(name, value) is None}

    @property
    def first(self) -> Dense:
        """See `EncodedDecoder`."""
        return self.layer("lmu", SpikingLegendreUnit).inputs

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale and mean into the readout."""
        dense, readout = self.layer("dense", Dense), self.layer("readout", LeakyReadout)
        scale_leaky_output(dense, readout, self.layer("scale", OutputScale), scale, shift)


def _numbers(name: str, values: Sequence[float], n: int) -> tuple[float, ...]:
    if len(values) != n:
        raise InputError(f"{name} takes {n} numbers, got {list(values)}")
    return tuple(float(value) for value in values)
