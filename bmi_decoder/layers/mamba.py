"""The Mamba block."""

from __future__ import annotations

import math

from bmi_decoder.layers.branches import Branches
from bmi_decoder.layers.causal_conv import CausalConv
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.gating import Silu
from bmi_decoder.layers.layer import Stack
from bmi_decoder.layers.selective_ssm import SelectiveSsm


class Mamba(Stack):
    """A selective state space behind a short convolution, gated by the input.

    Per bin, with m = expand * n channels inside::

        u = SiLU(conv(W_u x)) ;   y = W_o (SSM(u) * SiLU(W_z x))

    Parameters
    ----------
    n : int
        Inputs and outputs.
    expand, n_state, conv_width : int
        Channels inside per input, states per channel, bins that the convolution spans.
    step_range : (float, float)
        Initial step sizes of the state space, in bins.

    Notes
    -----
    State: ``inner.state_space.ssm.h`` (B, m, n_state), ``inner.state_space.conv.past`` (B, conv_width - 1, m). Gu & Dao
    2023 (arXiv 2312.00752), figure 3; expand 2, n_state 16 and conv_width 4 are the defaults of their package.
    """

    def __init__(self, n: int, expand: int, n_state: int, conv_width: int, step_range: tuple[float, float]) -> None:
        inside = expand * n
        state_space = {
            "dense": Dense(n, inside, bias=False),
            "conv": CausalConv(inside, conv_width),
            "silu": Silu(),
            "ssm": SelectiveSsm(inside, n_state, math.ceil(n / 16), step_range),
        }
        gate = {"dense": Dense(n, inside, bias=False), "silu": Silu()}
        inner = Branches("product", {"state_space": Stack(state_space), "gate": Stack(gate)})
        super().__init__({"inner": inner, "out": Dense(inside, n, bias=False)})
