"""The quantised convolutional-recurrent network as spiking neurons."""

from __future__ import annotations

from typing import ClassVar

from bmi_decoder.decoders.qcrnn import QcrnnDecoder
from bmi_decoder.layers.quantised_rnn import QuantisedRnn
from bmi_decoder.layers.spiking_rnn import SpikingRnn


class RbifRnnDecoder(QcrnnDecoder):
    """`qcrnn` out of bipolar integrate-and-fire neurons, which give the same estimates, bit for bit.

    Parameters and training are those of `QcrnnDecoder`; see `SpikingRnn` for the neurons.

    Notes
    -----
    Su, You, Xu, Xu & He 2024, ICANN (arXiv 2408.09403): CNN-Morph and RNN-Morph.
    """

    name: ClassVar[str] = "rbif_rnn"
    summary: ClassVar[str] = "recurrent bipolar integrate-and-fire network, equal to a quantised one (qcrnn)"
    presets: ClassVar = QcrnnDecoder.presets
    spiking_twin: ClassVar[str | None] = None
    _network: ClassVar[type[QuantisedRnn]] = SpikingRnn
