"""Cuts a stream into lanes, so that one batch trains many stretches with their state carried on."""

from __future__ import annotations

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
    n_lanes = max(1, min(n_lanes, len(x) // window))
    length = len(x) // n_lanes
    offset = int(torch.randint(len(x), (1,), generator=generator))
    turned = [torch.roll(z, -offset, 0)[: n_lanes * length].unflatten(0, (n_lanes, length)) for z in (x, y)]
    for start in range(0, length, window):
        yield turned[0][:, start : start + window], turned[1][:, start : start + window]
