"""What decoders have in common whose channels are brought onto a grid first, as exact sums in front of neurons need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bmi_decoder.decoders.decoder import StackDecoder
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer
from bmi_decoder.layers.normalise import Binarise, Dropout, Quantise, Standardise


def encoding(graded_limit: float, graded_step: float) -> Layer:
    """Channels as multiples of `graded_step` within plus or minus `graded_limit`, or binary for a limit of 0."""
    return Quantise(graded_step, graded_limit) if graded_limit > 0 else Binarise()


def encoded_channels(
    n_channels: int, graded_limit: float, graded_step: float, standardise: bool, input_dropout: float
) -> dict[str, Layer]:
    """Encoding, standardisation where asked for, and dropout: what an `EncodedDecoder` begins with."""
    return {
        "encode": encoding(graded_limit, graded_step),
        **({"standardise": Standardise(n_channels)} if standardise else {}),
        "input_dropout": Dropout(input_dropout),
    }


class EncodedDecoder(StackDecoder):
    """A decoder with the hyper-parameters `graded_limit` and `graded_step`, whose first layer they are for.

    Channels may be standardised while training; that is folded into the first weights afterwards.
    """

    @property
    def first(self) -> Dense:
        """The weights that the encoded channels meet, into which the standardisation is folded."""
        raise NotImplementedError(f"{type(self).__name__} does not say which its first weights are")

    @property
    def standardise(self) -> Standardise | None:
        """What stands in front of these, if channels are standardised."""
        return self.layer("standardise", Standardise) if "standardise" in self.stack.layers else None

    @classmethod
    def adapt(cls, hyper_parameters: Mapping[str, Any], bin_s: float, are_counts: bool) -> dict[str, Any]:
        """Graded input for channels that are no longer counts."""
        graded = {} if are_counts else {"graded_limit": 4.0, "graded_step": 0.0625}
        return {**hyper_parameters, **graded}

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take statistics of the encoded channels from x (T, C)."""
        if self.standardise is not None:
            self.calibrate_layer("standardise", x)

    def fold(self) -> None:
        """Fold the standardisation into the first weights."""
        if self.standardise is not None:
            self.standardise.fold_into(self.first)

    def finalise(self, x_step: float = 0.0, x_bound: float = float("inf")) -> None:
        """Fold what training needed into the weights, then make the sums in front of neurons exact."""
        self.fold()
        super().finalise(x_step, x_bound)
