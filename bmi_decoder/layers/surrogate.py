"""Spikes with a gradient."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from bmi_decoder.machine.kernels.activation import exp32
from bmi_decoder.machine.kernels.jit import FAST

ATAN_SLOPE = 2.0
"""alpha of the arctangent surrogate."""
_WIDTH, _HEIGHT, _WIDE = 0.5, 0.15, 6.0 * 0.5


def arctangent_spike(above: Tensor) -> Tensor:
    """``H(above)`` with the gradient of an arctangent, as snnTorch's: ``(a/2) / (1 + (pi/2 a u)^2)`` with a = 2."""
    return _spikes(_ArctangentSpike, above)


def multi_gaussian_spike(above: Tensor) -> Tensor:
    """``H(above)``, whose gradient is a Gaussian less two wide ones beside it.

    With s = 0.5, h = 0.15 and unnormalised Gaussians G(v; mean, deviation)::

        (1 + h) G(v; 0, s) - h G(v; s, 6 s) - h G(v; -s, 6 s)

    Notes
    -----
    Yin, Corradi & Bohte 2021, Nat. Mach. Intell. 3 905; heights and widths as in S5-RF.
    """
    return _spikes(_MultiGaussianSpike, above)


class SuperSpike(torch.autograd.Function):
    """``H(u)``, whose gradient is ``1 / (1 + slope |u|)^2``: Zenke & Ganguli 2018, Neural Comput. 30 1514."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, slope: float) -> Tensor:
        """1 where u is above 0, else 0."""
        ctx.save_for_backward(u)
        ctx.slope = slope
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Gradient of u."""
        (u,) = ctx.saved_tensors
        return grads[0] / (1 + ctx.slope * u.abs()) ** 2, None


def _spikes(function: type[_Spike], above: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return (above > 0).to(above.dtype)
    spikes: Tensor = function.apply(above)
    return spikes


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, above: Tensor) -> Tensor:
        ctx.save_for_backward(above)
        return (above > 0).to(above.dtype)


class _ArctangentSpike(_Spike):
    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return grads[0] * (ATAN_SLOPE / 2) / (1 + (torch.pi / 2 * ATAN_SLOPE * u) ** 2)


class _MultiGaussianSpike(_Spike):
    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        if v.device.type != "cpu":
            return grads[0] * _slope(v)
        gradient = torch.empty_like(v, memory_format=torch.contiguous_format)
        _fill_gradient(*(x.contiguous().numpy().reshape(-1) for x in (v, grads[0], gradient)))
        return gradient


def _slope(v: Tensor) -> Tensor:
    sides = _gaussian(v - _WIDTH, _WIDE) + _gaussian(v + _WIDTH, _WIDE)
    return (1 + _HEIGHT) * _gaussian(v, _WIDTH) - _HEIGHT * sides


def _gaussian(v: Tensor, deviation: float) -> Tensor:
    return torch.exp(v * v * (-0.5 / deviation**2))


@numba.njit("void(float32[::1], float32[::1], float32[::1])", fastmath=FAST, cache=True)
def _fill_gradient(v, grad, out):  # type: ignore[no-untyped-def]
    """``grad * _slope(v)`` in one pass; as torch operations it took most of an update's time."""
    narrow, wide = np.float32(-0.5 / _WIDTH**2), np.float32(-0.5 / _WIDE**2)
    shift, height = np.float32(_WIDTH), np.float32(_HEIGHT)
    for i in range(len(v)):
        below, above = v[i] - shift, v[i] + shift
        sides = exp32(below * below * wide) + exp32(above * above * wide)
        out[i] = grad[i] * ((np.float32(1) + height) * exp32(v[i] * v[i] * narrow) - height * sides)
