"""What stands between the linear layers of a network without memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import State
from bmi_decoder.layers.normalise import Pointwise

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class Relu(Pointwise):
    """The positive part."""

    def forward(self, x: Tensor) -> Tensor:
        """Rectify."""
        return torch.relu(x)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.relu(x)

    def activations(self, x: Tensor, y: Tensor, state: State) -> Tensor:
        """What passed."""
        return y


class BatchNorm(Pointwise):
    """Batch normalisation over lanes and bins, as `torch.nn.BatchNorm1d`; a fixed scaling once trained."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n)

    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        mean, variance = self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        return scale, self.norm.bias - mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the batch's figures while training, else with the running ones."""
        if self.training:
            return self.norm(x.flatten(0, -2)).view(x.shape)
        scale, shift = self._scale_and_shift()
        return x * scale + shift

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Take the running figures from x (..., n) and remain the same function."""
        scale, shift = self._scale_and_shift()
        variance, mean = torch.var_mean(x.flatten(0, -2), 0)
        self.norm.get_buffer("running_mean").copy_(mean)
        self.norm.get_buffer("running_var").copy_(variance)
        self.norm.weight.copy_(scale * torch.sqrt(variance + self.norm.eps))
        self.norm.bias.copy_(shift + mean * scale)

    @torch.no_grad()
    def fold_into(self, dense: Dense) -> None:
        """Move the scaling into the weights and bias behind it, and become the identity."""
        scale, shift = self._scale_and_shift()
        dense.linear.bias.add_(dense.linear.weight @ shift)
        dense.linear.weight.mul_(scale)
        self._become_identity()

    @torch.no_grad()
    def fold_back(self, dense: Dense) -> None:
        """Move the scaling into the weights and bias before it, and become the identity."""
        dense.scale_output(*self._scale_and_shift())
        self._become_identity()

    def _become_identity(self) -> None:
        self.norm.reset_running_stats()
        self.norm.bias.zero_()
        self.norm.weight.copy_(torch.sqrt(self.norm.get_buffer("running_var") + self.norm.eps))

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction; none once folded."""
        scale, shift = (value.detach() for value in self._scale_and_shift())
        if bool((scale == 1).all() and (shift == 0).all()):
            return x
        return builder.affine(x, scale.numpy(), shift.numpy())
