"""Position as a second thing to learn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from bmi_decoder.errors import InputError
from bmi_decoder.training.auxiliary import Auxiliary, Window, tapped_width
from bmi_decoder.training.recipe import Recipe

if TYPE_CHECKING:
    from bmi_decoder.decoders.decoder import Decoder


class PositionTargets(Auxiliary):
    """A linear readout of the leaky integral of each output, which of a velocity is the position.

    ::

        p_t = exp(-bin_s / tau_s) p_(t-1) + y_t          standardised over the training part

    The integral needs nothing but the outputs themselves; its leak keeps the drift out that summed errors of
    measurement would make, and forgets what was before a gap in the recording.

    Parameters
    ----------
    tap : str
        Layer that is read.
    n_features, n_outputs : int
        Size of that layer, and of the kinematics.
    weight : float
        Of the squared error of the standardised integral.
    tau_s, bin_s : float
        Time constant of the leak and bin width in seconds.
    """

    def __init__(self, tap: str, n_features: int, n_outputs: int, weight: float, tau_s: float, bin_s: float) -> None:
        super().__init__()
        self.taps = (tap,)
        self.weight, self._decay = weight, math.exp(-bin_s / tau_s)
        self.readout = nn.Linear(n_features, n_outputs)

    def targets(self, y: Tensor) -> Tensor:
        """The integral (T, K), standardised; a column that never moves stays 0."""
        integral = torch.from_numpy(lfilter([1], [1, -self._decay], y.double().numpy(), axis=0))
        deviation, mean = torch.std_mean(integral, 0)
        return ((integral - mean) / deviation.clamp(min=1e-12)).to(y.dtype)

    def loss(self, window: Window) -> Tensor:
        """Weighted squared error."""
        estimate = self.readout(window.seen[self.taps[0]])
        return self.weight * nn.functional.mse_loss(estimate, window.targets)


def position_targets(decoder: Decoder, recipe: Recipe, bin_s: float) -> list[PositionTargets]:
    """What a recipe asks for: one auxiliary, or none.

    Raises
    ------
    InputError
        If it asks for it and the decoder names no layer to read from.
    """
    if not recipe.position_weight:
        return []
    if decoder.features is None:
        raise InputError(
            f"decoder {decoder.name!r} names no layer that a second readout could read; position_weight must be 0"
        )
    width = tapped_width(decoder, decoder.features)
    weight, tau_s = recipe.position_weight, recipe.position_tau_s
    return [PositionTargets(decoder.features, width, decoder.n_outputs, weight, tau_s, bin_s)]
