"""Constants of neurons that are functions of what is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Kept(nn.Module):
    """Numbers computed from learned parameters, which a deployed decoder holds themselves.

    While training they are computed anew in every call. Otherwise `value` is given out, a buffer that `train` and
    `eval` renew: a function such as exp may round otherwise in another runtime, the number itself cannot.
    A subclass defines `compute`, and calls `keep` at the end of its constructor.
    """

    value: Tensor

    def compute(self) -> Tensor:
        """The numbers, from the parameters."""
        raise NotImplementedError(f"{type(self).__name__} defines no compute")

    def keep(self) -> None:
        """Make the buffer."""
        self.register_buffer("value", self.compute().detach())

    def train(self, mode: bool = True) -> Kept:
        """Switch between the computed and the kept numbers."""
        super().train(mode)
        with torch.no_grad():
            self.value.copy_(self.compute())
        return self

    def forward(self) -> Tensor:
        """The numbers."""
        return self.compute() if self.training else self.value
