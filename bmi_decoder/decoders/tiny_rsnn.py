"""The small recurrent spiking network of the BioCAS 2024 grand challenge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.encoded import EncodedDecoder, encoded_channels
from bmi_decoder.errors import InputError
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.normalise import Dropout
from bmi_decoder.layers.synaptic import RecurrentSynapticLif
from bmi_decoder.layers.synaptic_readout import SynapticReadout
from bmi_decoder.training.recipe import Recipe


class RecurrentSpikingDecoder(EncodedDecoder):
    """One layer of recurrent spiking neurons, and leaky readouts that are averaged.

    See `RecurrentSynapticLif` and `SynapticReadout` for the equations.

    Parameters
    ----------
    n_channels, n_outputs : int
    hidden : int
        Spiking neurons.
    tau_membrane, tau_synapse : float
        Time constants of the neurons in bins, before their learned factors.
    readout_taus : list of [float, float]
        Time constants of synapse and membrane of each readout head, in bins.
    delayed : bool
        All quantities from the bin before, as published: an input bin reaches the output four bins later. False
        passes it on within the bin.
    input_rate : float
        Events per channel and bin that the initial weights are made for; 1 for standardised channels.
    graded_limit : float
        0 feeds binary spikes (paper). Otherwise channels enter as multiples of `graded_step` limited to plus or
        minus this value.
    graded_step : float
        A power of two.
    standardise : bool
        Train on standardised channels. The scaling is folded into W and a bias afterwards.
    input_dropout, dropout : float
        Of channels and of hidden spikes, while training.
    slope : float
        Of the surrogate gradient.
    """

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        hidden: int = 64,
        tau_membrane: float = 5.0,
        tau_synapse: float = 2.5,
        readout_taus: Sequence[Sequence[float]] = ((2.5, 12.5),),
        delayed: bool = True,
        input_rate: float = 0.05,
        graded_limit: float = 0.0,
        graded_step: float = 1.0,
        standardise: bool = False,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        slope: float = 20.0,
    ) -> None:
        heads = [(float(synapse), float(membrane)) for synapse, membrane in readout_taus]
        if not heads:
            raise InputError("readout_taus needs the two time constants of one head at least")
        layers: dict[str, Layer] = {
            **encoded_channels(n_channels, graded_limit, graded_step, standardise, input_dropout),
            "neurons": RecurrentSynapticLif(
                n_channels, hidden, tau_membrane, tau_synapse, input_rate, delayed, bias=standardise, slope=slope
            ),
            "dropout": Dropout(dropout),
            "readout": SynapticReadout(hidden, n_outputs, heads, delayed),
        }
        settings = {
            "hidden": hidden,
            "tau_membrane": tau_membrane,
            "tau_synapse": tau_synapse,
            "readout_taus": [list(head) for head in heads],
            "delayed": delayed,
            "input_rate": input_rate,
            "graded_limit": graded_limit,
            "graded_step": graded_step,
            "standardise": standardise,
            "input_dropout": input_dropout,
            "dropout": dropout,
            "slope": slope,
        }
        super().__init__(n_channels, n_outputs, settings, layers)

    @property
    def first(self) -> Dense:
        """See `EncodedDecoder`."""
        return self.layer("neurons", RecurrentSynapticLif).inputs

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Fold the targets' scale into the readout."""
        self.layer("readout", SynapticReadout).scale_output(scale, shift)


class TinyRsnnDecoder(RecurrentSpikingDecoder):
    """64 recurrent spiking neurons and one readout.

    Notes
    -----
    tinyRSNN, F. Zenke's group, BioCAS 2024 grand challenge on neural decoding, code in
    fmi-basel/neural-decoding-RSNN: 10,368 synaptic operations per bin at 96 channels if every neuron fired,
    16,512 at 192. Time constants of neurons 20 and 10 ms, of the readout 50 and 10 ms, at bins of 4 ms.
    """

    name: ClassVar[str] = "tiny_rsnn"
    summary: ClassVar[str] = "64 recurrent spiking neurons; the best trade-off of the BioCAS 2024 challenge"
    presets: ClassVar = {
        "paper": Preset(
            {"input_dropout": 0.3, "dropout": 0.3},
            Recipe(learning_rate=2e-3, weight_decay=0.0, epochs=200, window_s=2.0, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "hidden": 128,
                "tau_membrane": 2.0,
                "tau_synapse": 1.0,
                "readout_taus": [[1.0, 2.0]],
                "delayed": False,
                "input_rate": 1.0,
                "graded_limit": 15.0,
                "standardise": True,
                "input_dropout": 0.3,
                "dropout": 0.3,
                "slope": 5.0,
            },
            Recipe(learning_rate=5e-3, weight_decay=0.3, updates=2200, averaging=0.998),
        ),
    }
