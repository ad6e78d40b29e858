"""Resonate-and-fire neurons as a structured state space."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.encoded import EncodedDecoder, encoded_channels
from bmi_decoder.errors import InputError
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.lif import LeakyIntegrator
from bmi_decoder.layers.normalise import Dropout
from bmi_decoder.layers.resonate_fire import ResonateFire
from bmi_decoder.training.recipe import Recipe

_SPIKE_VARIANCE = 0.04
"""Of the spikes of a neuron that fires in 4 % of the bins, as they do after training."""


class S5RfDecoder(EncodedDecoder):
    """Layers of resonate-and-fire neurons, then a leaky integrator.

    See `ResonateFire` for the equations. Layers between the first and the last add their input to their spikes. The
    output is ``o = beta o' + W s + b`` of the last layer's spikes, with a learned beta per output.

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden : int
        Neurons of each layer.
    layers : int
        1 to 4.
    blocks : int
        HiPPO matrices that give the initial poles of a layer; a divisor of `hidden`. More blocks are smaller, and
        of lower frequencies.
    eta_min, eta_max : float
        Limits of the initial time steps: a neuron's time constant starts at ``2 / eta`` bins.
    readout_decay : float
        Initial beta.
    graded_limit : float
        0 feeds binary spikes (paper). Otherwise channels enter as multiples of `graded_step` limited to plus or
        minus this value.
    graded_step : float
        A power of two.
    standardise : bool
        Train on standardised channels, and with constant currents. The scaling is folded into the first W and c
        afterwards.
    fluctuation : float, optional
        Initial standard deviation of membranes, see `ResonateFire`; None starts with the published weights, with
        which neurons behind few or quiet channels never fire.
    input_variance : float
        Of an encoded channel, for the initial weights; 1 for standardised channels.
    input_dropout, dropout, readout_dropout : float
        Of channels, of the currents of inner layers, and of the last layer's spikes, while training.

    Notes
    -----
    Huber, Lecomte, Polovnikov & von Arnim 2024, ECCV Workshops, arXiv 2504.00719; code in ThomasEHuber/s5-rf.
    """

    name: ClassVar[str] = "s5_rf"
    summary: ClassVar[str] = "resonate-and-fire neurons as a structured state space (S5-RF)"
    presets: ClassVar = {
        "paper": Preset({"dropout": 0.1}, Recipe(learning_rate=4e-3, weight_decay=1e-4, warm_up=0, averaging=0)),
        "best": Preset(
            {
                "hidden": 256,
                "blocks": 128,
                "eta_min": 0.1,
                "eta_max": 1.0,
                "readout_decay": 0.5,
                "graded_limit": 15.0,
                "standardise": True,
                "fluctuation": 0.3,
                "input_variance": 1.0,
                "input_dropout": 0.3,
                "readout_dropout": 0.2,
            },
            Recipe(learning_rate=5e-3, weight_decay=1.0, updates=1600, averaging=0.998),
        ),
    }

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        hidden: int = 128,
        layers: int = 2,
        blocks: int = 32,
        eta_min: float = 0.004,
        eta_max: float = 0.1,
        readout_decay: float = 0.8,
        graded_limit: float = 0.0,
        graded_step: float = 1.0,
        standardise: bool = False,
        fluctuation: float | None = 0.5,
        input_variance: float = 0.05,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        readout_dropout: float = 0.0,
    ) -> None:
        if not 1 <= layers <= 4:
            raise InputError(f"layers must be 1 to 4, got {layers}")
        stack: dict[str, Layer] = {
            **encoded_channels(n_channels, graded_limit, graded_step, standardise, input_dropout),
        }
        for i in range(layers):
            inner = 0 < i < layers - 1
            stack[f"neurons{i + 1}"] = ResonateFire(
                hidden if i else n_channels,
                hidden,
                blocks,
                (eta_min, eta_max),
                bias=standardise,
                skip=inner,
                dropout=dropout if inner else 0.0,
                fluctuation=fluctuation,
                input_variance=_SPIKE_VARIANCE if i else input_variance,
            )
        stack |= {
            "readout_dropout": Dropout(readout_dropout),
            "dense": Dense(hidden, n_outputs),
            "readout": LeakyIntegrator(n_outputs, [readout_decay] * n_outputs),
        }
        settings = {
            "hidden": hidden,
            "layers": layers,
            "blocks": blocks,
            "eta_min": eta_min,
            "eta_max": eta_max,
            "readout_decay": readout_decay,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "standardise": standardise,
            "fluctuation": fluctuation,
            "input_variance": input_variance,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "readout_dropout": readout_dropout,
        }
        super().__init__(n_channels, n_outputs, settings, stack)

    @property
    def first(self) -> Dense:
        """See `EncodedDecoder`."""
        return self.layer("neurons1", ResonateFire).inputs

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout's weights, and their mean into its bias.

        A leaky integrator at rest holds ``bias / (1 - beta)``, so the shift takes a few time constants to build up
        after a reset.
        """
        leak = (1 - self.layer("readout", LeakyIntegrator).beta.clamp(0, 1)).clamp(min=1e-3)
        self.layer("dense", Dense).scale_output(scale, shift * leak)
