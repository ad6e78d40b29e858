"""The large recurrent spiking network of the BioCAS 2024 grand challenge."""

from __future__ import annotations

from typing import ClassVar

from bmi_decoder.decoders.decoder import Preset
from bmi_decoder.decoders.tiny_rsnn import RecurrentSpikingDecoder
from bmi_decoder.training.recipe import Recipe


class BigRsnnDecoder(RecurrentSpikingDecoder):
    """1,024 recurrent spiking neurons and five readouts with time constants of their own, averaged.

    Notes
    -----
    bigRSNN, F. Zenke's group, BioCAS 2024 grand challenge on neural decoding, code in
    fmi-basel/neural-decoding-RSNN. Its heads have synapses and membranes of (10, 50), (5, 20), (20, 20), (10, 30)
    and (30, 100) ms, at bins of 4 ms.
    """

    name: ClassVar[str] = "big_rsnn"
    summary: ClassVar[str] = "1,024 recurrent spiking neurons with five readouts (BioCAS 2024)"
    presets: ClassVar = {
        "paper": Preset(
            {
                "hidden": 1024,
                "readout_taus": [[2.5, 12.5], [1.25, 5.0], [5.0, 5.0], [2.5, 7.5], [7.5, 25.0]],
                "input_dropout": 0.3,
                "dropout": 0.3,
            },
            Recipe(learning_rate=2e-3, weight_decay=0.0, epochs=200, window_s=2.0, warm_up=0, averaging=0),
        ),
        "best": Preset(
            {
                "hidden": 256,
                "tau_membrane": 2.0,
                "tau_synapse": 1.0,
                "readout_taus": [[0.5, 1.0], [1.0, 2.0], [2.0, 2.0], [1.0, 3.0], [2.0, 5.0]],
                "delayed": False,
                "input_rate": 1.0,
                "graded_limit": 15.0,
                "standardise": True,
                "input_dropout": 0.3,
                "dropout": 0.3,
                "slope": 10.0,
            },
            Recipe(learning_rate=5e-3, weight_decay=0.5, updates=2200, averaging=0.998),
        ),
    }
