"""A spike with a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MULTI_GAUSSIAN_WIDTH, MULTI_GAUSSIAN_HEIGHT, MULTI_GAUSSIAN_SCALE = 0.5, 0.15, 6.0


def multi_gaussian_spike(above: Tensor) -> Tensor:
    """``H(above)``, whose gradient is a Gaussian less two wide ones beside it.

    With s = 0.5, h = 0.15 and unnormalised Gaussians G(v; mean, deviation)::

        (1 + h) G(v; 0, s) - h G(v; s, 6 s) - h G(v; -s, 6 s)

    Notes
    -----
    Yin, Corradi & Bohte 2021, Nat. Mach. Intell. 3 905; heights and widths as in S5-RF.
    """
    if not torch.is_grad_enabled():
        return (above > 0).to(above.dtype)
    spikes: Tensor = _MultiGaussianSpike.apply(above)
    return spikes


class _MultiGaussianSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, above: Tensor) -> Tensor:
        ctx.save_for_backward(above)
        return (above > 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        s, h, wide = MULTI_GAUSSIAN_WIDTH, MULTI_GAUSSIAN_HEIGHT, MULTI_GAUSSIAN_SCALE * MULTI_GAUSSIAN_WIDTH
        sides = _gaussian(v - s, wide) + _gaussian(v + s, wide)
        return grads[0] * ((1 + h) * _gaussian(v, s) - h * sides)


def _gaussian(v: Tensor, deviation: float) -> Tensor:
    return torch.exp(v * v * (-0.5 / deviation**2))
