"""Averaged weights."""

from __future__ import annotations

import copy

import torch

from bmi_decoder.decoders.decoder import Decoder


class Averaged:
    """Exponential moving average of a decoder's weights; the decoder itself where it is off.

    Attributes
    ----------
    decoder : Decoder
        With the averaged weights, and with the buffers of the last update.
    steps : int
        Updates so far.
    """

    def __init__(self, decoder: Decoder, decay: float) -> None:
        self._source, self._decay, self.steps = decoder, decay, 0
        self.decoder = copy.deepcopy(decoder) if decay else decoder

    @torch.no_grad()
    def update(self) -> None:
        """Take in the current weights; early on the average forgets faster, so that it starts unbiased."""
        if not self._decay:
            return
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        for mean, value in zip(self.decoder.parameters(), self._source.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, buffer in zip(self.decoder.buffers(), self._source.buffers(), strict=True):
            kept.copy_(buffer)
