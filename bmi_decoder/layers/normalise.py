"""What happens to channels before a decoder's first weights, and to its outputs after the last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, State

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class Pointwise(Layer):
    """A layer that treats every bin alike."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        return self(x), state

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins at once."""
        return self(x), state


class LayerNorm(Pointwise):
    """Layer normalisation over the channels of each bin, as `torch.nn.LayerNorm`."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return self.norm(x)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.layer_norm(x, self.norm.weight.detach().numpy(), self.norm.bias.detach().numpy(), self.norm.eps)


class Standardise(Pointwise):
    """Per channel ``(x - mean) / deviation`` with the training data's figures; a silent channel stays 0.

    Parameters
    ----------
    n : int
        Channels.
    floor : float
        A deviation below this share of the channels' root mean square counts as that share, so that nearly
        silent channels are not blown up. The higher, the more of the channels' own scale is kept.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, n: int, floor: float = 0.5) -> None:
        super().__init__()
        if not floor >= 0:
            raise ValueError(f"the floor of deviations must not be negative, got {floor}")
        self.floor = floor
        self.register_buffer("scale", torch.ones(n))
        self.register_buffer("shift", torch.zeros(n))

    def calibrate(self, x: Tensor) -> None:
        """Take mean and deviation from x (T, C)."""
        deviation, mean = torch.std_mean(x, 0)
        floor = self.floor * deviation.square().mean().sqrt().clamp(min=1e-6)
        silent = deviation < 1e-6
        self.scale.copy_(torch.where(silent, torch.zeros_like(deviation), 1 / deviation.clamp(min=floor)))
        self.shift.copy_(-mean * self.scale)

    @torch.no_grad()
    def fold_into(self, dense: Dense) -> None:
        """Move the scaling into the weights and bias behind it, and become the identity."""
        weight, bias = dense.linear.weight, dense.linear.bias
        bias.add_(weight @ self.shift)
        weight.mul_(self.scale)
        self.scale.fill_(1)
        self.shift.zero_()

    @torch.no_grad()
    def unfold_from(self, dense: Dense) -> None:
        """Undo `fold_into`: change the weights and bias behind so that this scaling leaves their product as it was.

        Weights of channels that this scaling silences become 0.
        """
        weight, bias = dense.linear.weight, dense.linear.bias
        weight.copy_(torch.where(self.scale == 0, torch.zeros_like(weight), weight / self.scale))
        bias.sub_(weight @ self.shift)

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing, as once folded."""
        return bool((self.scale == 1).all() and (self.shift == 0).all())

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift the last axis."""
        return x * self.scale + self.shift

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction; none once folded."""
        return x if self.is_identity else builder.affine(x, self.scale.numpy(), self.shift.numpy())

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Once folded, passes everything on."""
        return (x_bound, x_step) if self.is_identity else super().finalise(x_bound, x_step)


class Binarise(Pointwise):
    """1 where a channel spiked in the bin, else 0."""

    def forward(self, x: Tensor) -> Tensor:
        """Threshold at zero."""
        return (x > 0).to(x.dtype)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.binarise(x)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Output is 0 or 1."""
        return 1.0, 1.0


class Quantise(Pointwise):
    """Graded input for spiking layers: multiples of `step`, limited to ``[-limit, limit]``.

    Rounding is half to even, and gradients pass straight through it; it makes the sums behind it exact.

    Parameters
    ----------
    step : float
        A power of two.
    limit : float
        A multiple of `step`.
    """

    def __init__(self, step: float, limit: float) -> None:
        super().__init__()
        if not step > 0 or math.frexp(step)[0] != 0.5:
            raise ValueError(f"the step of graded input must be a power of two, got {step}")
        if not limit > 0 or limit % step:
            raise ValueError(f"the limit of graded input must be a multiple of its step {step}, got {limit}")
        self.grid, self.limit = step, limit

    def forward(self, x: Tensor) -> Tensor:
        """Round and limit."""
        rounded = torch.round(x / self.grid) * self.grid
        if x.requires_grad:
            rounded = x + (rounded - x).detach()  # the same number: the difference of neighbours is exact
        return rounded.clamp(-self.limit, self.limit)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.quantise(x, self.grid, -self.limit, self.limit)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Output is on the grid."""
        return self.limit, self.grid


class Dropout(Pointwise):
    """Dropout while training; nothing in a deployed decoder."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements at random."""
        return self.dropout(x)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """No instruction."""
        return x

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Passes everything on."""
        return x_bound, x_step


class OutputScale(Pointwise):
    """One learned factor per output, from `initial` on; None draws from N(0, 1) as in the seed paper."""

    def __init__(self, n: int, initial: float | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(n) if initial is None else torch.full((n,), float(initial)))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the last axis."""
        return x * self.scale

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.affine(x, self.scale.detach().numpy())
