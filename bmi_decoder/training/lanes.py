"""Cuts a stream into lanes, so that one batch trains many stretches with their state carried on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor


def lanes(
    x: Tensor, y: Tensor, n_lanes: int, window: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass over a stream x (T, C), y (T, K), as windows (B, window, ...) in the order of time.

    The stream is turned by a random offset, so that lane and window borders fall elsewhere in every epoch.
    Bins that fill no whole lane are left out of this pass.
    """
    n_lanes, length = _shape(len(x), n_lanes, window)
    offset = int(torch.randint(len(x), (1,), generator=generator))
    turned = [torch.roll(z, -offset, 0)[: n_lanes * length].unflatten(0, (n_lanes, length)) for z in (x, y)]
    for start in range(0, length, window):
        yield turned[0][:, start : start + window], turned[1][:, start : start + window]


def n_windows(n_bins: int, n_lanes: int, window: int) -> int:
    """Windows that one pass of `lanes` yields."""
    return math.ceil(_shape(n_bins, n_lanes, window)[1] / window)


def _shape(n_bins: int, n_lanes: int, window: int) -> tuple[int, int]:
    n_lanes = max(1, min(n_lanes, n_bins // window))
    return n_lanes, n_bins // n_lanes
