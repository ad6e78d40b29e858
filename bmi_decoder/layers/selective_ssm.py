"""Selective state space: a linear system per channel whose step, input and output weights follow the input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.selective_scan import backward_scan, forward_scan
from bmi_decoder.layers.synapses import Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class SelectiveSsm(Layer):
    """The recurrence of Mamba, channel by channel, with N states each.

    Per bin, for the input u of all n channels::

        [r, B, C] = W u                                     rank + N + N numbers
        d = softplus(V r + b)                               a step size per channel
        h = exp(d A) h + (d u) B^T                          (n, N)
        y = h C + D u

    Parameters
    ----------
    n, n_state : int
        Channels, and states of each.
    rank : int
        Of the step sizes' matrix V W_r.
    step_range : (float, float)
        Initial step sizes without input, log-uniform: with A = -1 ... -N a state forgets in 1 / (d j) bins.

    Notes
    -----
    State: ``h`` (B, n, N). Gu & Dao 2023 (arXiv 2312.00752), algorithm 2, with their initial values. A is learned as
    log(-A), and kept as a vector because weight decay is for matrices.
    """

    def __init__(self, n: int, n_state: int, rank: int, step_range: tuple[float, float]) -> None:
        super().__init__()
        low, high = step_range
        if not 0 < low <= high:
            raise ValueError(f"step sizes must rise from above 0, got {low} to {high}")
        self.n, self.n_state, self.rank = n, n_state, rank
        self.mix = Dense(n, rank + 2 * n_state, bias=False)
        self.step_size = Dense(rank, n)
        self.log_rates = nn.Parameter(torch.arange(1.0, n_state + 1).log().repeat(n))
        self.skip = nn.Parameter(torch.ones(n))
        with torch.no_grad():
            self.step_size.linear.weight.uniform_(-(rank**-0.5), rank**-0.5)
            steps = torch.exp(torch.empty(n).uniform_(math.log(low), math.log(high)))
            self.step_size.linear.bias.copy_(steps + torch.log(-torch.expm1(-steps)))

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"h": torch.zeros(batch, self.n, self.n_state)}

    def _rates(self) -> Tensor:
        return -torch.exp(self.log_rates).view(self.n, self.n_state)

    def _mixing(self, u: Tensor, method: str) -> tuple[Tensor, Tensor, Tensor]:
        """Step sizes, B and C for every bin."""
        mixed, _ = getattr(self.mix, method)(u, {})
        raw, _ = getattr(self.step_size, method)(mixed[..., : self.rank], {})
        b, c = mixed[..., self.rank :].chunk(2, -1)
        return nn.functional.softplus(raw), b, c

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        delta, b, c = self._mixing(x, "step")
        h = torch.exp(delta[..., None] * self._rates()) * state["h"] + (delta * x)[..., None] * b[:, None]
        return (h * c[:, None]).sum(-1) + self.skip * x, {"h": h}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in compiled loops. The state that is returned carries no gradient."""
        delta, b, c = self._mixing(x, "scan")
        # The loops run on the CPU; what comes from a GPU goes back there, and its gradient too.
        y, h = _SelectiveScan.apply(*(value.cpu() for value in (x, delta, self._rates(), b, c, state["h"])))
        return y.to(x.device) + self.skip * x, {"h": h.detach().to(x.device)}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Two products, then the recurrence."""
        h = builder.state("ssm.h", np.zeros((self.n, self.n_state)))
        low, mixing = self.mix.lower(builder, x).cut(self.rank, 2 * self.n_state)
        delta = self.step_size.lower(builder, low)
        rates, skip = (value.detach().numpy() for value in (self._rates(), self.skip))
        return builder.selective_scan(x, delta, mixing, h, rates, skip)

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Per state d A, the decay, the input and the output; per channel d u and D u."""
        n = y.numel() * (4 * self.n_state + 2)
        return [Synapses((), gates=(n, n), vectors=y)]


class _SelectiveScan(torch.autograd.Function):
    """Outputs h C over (B, T, n), and the last state."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, delta: Tensor, rates: Tensor, b: Tensor, c: Tensor, initial: Tensor
    ) -> tuple[Tensor, Tensor]:
        inputs = tuple(value.detach().contiguous() for value in (u, delta, rates, b, c))
        rows = u.shape[1] + 1 if any(ctx.needs_input_grad) else 1
        h, y = torch.empty(len(u), rows, *initial.shape[1:]), torch.empty(u.shape)
        h[:, 0] = initial
        forward_scan(*(value.numpy() for value in (*inputs, h, y)))
        ctx.save_for_backward(*inputs, h)
        last = h[:, -1].clone()
        ctx.mark_non_differentiable(last)
        return y, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        u, delta, rates, b, c, h = ctx.saved_tensors
        d_u, d_delta = torch.empty(u.shape), torch.empty(u.shape)
        d_rates, d_b, d_c, d_h = (torch.zeros(like.shape) for like in (rates, b, c, h[:, 0]))
        arrays = (grads[0].contiguous(), u, delta, rates, b, c, h, d_u, d_delta, d_rates, d_b, d_c, d_h)
        backward_scan(*(value.numpy() for value in arrays))
        return d_u, d_delta, d_rates, d_b, d_c, d_h
