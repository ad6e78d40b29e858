"""Quantised activations whose step is learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_SMALLEST_STEP = 1e-6


class LearnedStep(nn.Module):
    """``Q(v) = s clip(floor(v / s + 1/2), low, high)`` with a learned step s, for n neurons alike.

    The gradient passes straight through the floor where v / s is within the limits, and is zero outside. That of s
    is ``clip(floor(v / s + 1/2)) - v / s`` inside and the limit outside, times ``1 / sqrt(n high)``.

    Parameters
    ----------
    n : int
    levels : int
        Values that an output can take, 2 to 256; even where signed.
    signed : bool
        From ``-levels / 2`` to ``levels / 2 - 1`` steps; otherwise from 0 to ``levels - 1``, rectified.

    Notes
    -----
    Esser et al. 2020, ICLR (LSQ).
    """

    def __init__(self, n: int, levels: int, signed: bool) -> None:
        super().__init__()
        if not 2 <= levels <= 256 or (signed and levels % 2):
            kind = "an even number of levels" if signed else "levels"
            raise ValueError(f"quantised activations need {kind} from 2 to 256, got {levels}")
        self.n = n
        self.low, self.high = (-levels // 2, levels // 2 - 1) if signed else (0, levels - 1)
        self.step = nn.Parameter(torch.tensor(1.0))

    @property
    def largest(self) -> int:
        """Largest magnitude of an output, in steps."""
        return max(self.high, -self.low)

    @property
    def gradient_scale(self) -> float:
        """What the gradient of the step is multiplied with."""
        return float((self.n * max(self.high, 1)) ** -0.5)

    def positive_step(self) -> Tensor:
        """The step, kept above zero."""
        return self.step.clamp(min=_SMALLEST_STEP)

    @torch.no_grad()
    def calibrate(self, v: Tensor) -> None:
        """Start from ``2 mean|v| / sqrt(high)`` over inputs v of any shape."""
        self.step.copy_((2 * v.abs().mean() / max(self.high, 1) ** 0.5).clamp(min=1e-3))

    def forward(self, v: Tensor) -> Tensor:
        """Quantise v (..., n)."""
        step = self.positive_step()
        if torch.is_grad_enabled():
            return _Quantise.apply(v, step, self.low, self.high, self.gradient_scale)
        return torch.clamp(torch.floor(v / step + 0.5), self.low, self.high) * step


class _Quantise(torch.autograd.Function):
    """Quantisation with the gradients of LSQ."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, step: Tensor, low: int, high: int, scale: float) -> Tensor:
        steps = v / step
        value = torch.clamp(torch.floor(steps + 0.5), low, high)
        inside = (steps >= low) & (steps <= high)
        ctx.save_for_backward(inside, torch.where(inside, value - steps, value))
        ctx.scale = scale
        return value * step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inside, slope = ctx.saved_tensors
        return grads[0] * inside, (grads[0] * slope).sum() * ctx.scale, None, None, None
