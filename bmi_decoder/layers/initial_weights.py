"""Weights that gated recurrent cells start from."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from bmi_decoder.errors import InputError

Initial = Literal["orthogonal", "xavier_normal", "torch"]


@torch.no_grad()
def set_initial_weights(cell: nn.RNNBase, initial: Initial) -> None:
    """Set the weights of a one-layer LSTM or GRU.

    Parameters
    ----------
    cell : torch.nn.LSTM or torch.nn.GRU
    initial : {"orthogonal", "xavier_normal", "torch"}
        Per gate Xavier-uniform input and orthogonal recurrent weights, with biases 0 but for the 1 of the gate
        that keeps memory (forget gate of an LSTM, update gate of a GRU: the second in both), so that memory is
        long from the first step on; Xavier-normal matrices with torch's biases; or torch's own values.

    Raises
    ------
    InputError
        For any other word.
    """
    inward, around = cell.get_parameter("weight_ih_l0"), cell.get_parameter("weight_hh_l0")
    n = cell.hidden_size
    if initial == "xavier_normal":
        for weight in (inward, around):
            nn.init.xavier_normal_(weight)
    elif initial == "orthogonal":
        for of_input, of_memory in zip(inward.split(n), around.split(n), strict=True):
            nn.init.xavier_uniform_(of_input)
            nn.init.orthogonal_(of_memory)
        for name in ("bias_ih_l0", "bias_hh_l0"):
            nn.init.zeros_(cell.get_parameter(name))
        cell.get_parameter("bias_ih_l0")[n : 2 * n] = 1
    elif initial != "torch":
        raise InputError(f"initial must be 'orthogonal', 'xavier_normal' or 'torch', got {initial!r}")
