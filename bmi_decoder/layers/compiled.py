"""Tensors as compiled loops take and fill them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A tensor's values, one behind the other in memory; copied only if they are not."""
    return tensor.detach().contiguous().numpy()


def rows_after(first: Tensor, n_bins: int) -> Tensor:
    """Room for a state before and after each of `n_bins` bins (B, T + 1, N), the first being filled in (B, N)."""
    rows = torch.empty(len(first), n_bins + 1, first.shape[1])
    rows[:, 0] = first
    return rows
