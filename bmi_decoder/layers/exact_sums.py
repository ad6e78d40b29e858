"""Weights on a grid so fine, and so coarse, that sums of products are exact in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_MANTISSA = 24


class Term(NamedTuple):
    """One product ``W x`` of a sum: W (n_out, n_in), and what is known of x, see `Layer.finalise`."""

    weight: Tensor
    x_bound: float
    x_step: float


@torch.no_grad()
def make_sums_exact(terms: Sequence[Term], bias: Tensor | None = None, room: float = 0.0) -> None:
    """Round weights and bias in place so that the sum of all products is the same number in any order.

    Each output has its own grid, a power of two so fine that every partial sum fits the 24-bit mantissa of
    float32. Nothing is rounded where an input is unbounded or can be any real number. `room` is the magnitude of
    what is added to the sum later on the same grid, such as a threshold.
    """
    if any(not term.x_step or math.isinf(term.x_bound) for term in terms):
        return
    largest = sum(
        (term.weight.abs().sum(1) * term.x_bound for term in terms), torch.full((len(terms[0].weight),), room)
    )
    if bias is not None:
        largest = largest + bias.abs()
    # One bit of head room, because rounding can push the largest sum over a power of two.
    step = torch.tensor([2.0 ** (math.frexp(value)[1] + 1 - _MANTISSA) for value in largest.clamp(min=1e-30).tolist()])
    if bias is not None:
        bias.copy_(torch.round(bias / step) * step)
    for term in terms:
        grid = step[:, None] / term.x_step
        term.weight.copy_(torch.round(term.weight / grid) * grid)
