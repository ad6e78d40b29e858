"""The compiled loops of leaky integrate-and-fire neurons as a function with a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmi_decoder.layers.compiled import as_array
from bmi_decoder.layers.lif_scan import backward_scan, forward_scan
from bmi_decoder.layers.surrogate import ATAN_SLOPE


class LifTrace(torch.autograd.Function):
    """Spikes and membranes of LIF neurons over (B, T, N), with the surrogate's gradient through time."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, initial: Tensor, beta: Tensor, threshold: Tensor, reset: int
    ) -> tuple[Tensor, Tensor]:
        """Run forward in time."""
        n = current.shape[2]
        ctx.neurons = [p.detach().expand(n).contiguous().numpy() for p in (beta, threshold)]
        ctx.reset, ctx.shared = reset, beta.ndim == 0
        spikes, membrane = (torch.empty(current.shape) for _ in range(2))
        forward_scan(as_array(current), as_array(initial), *ctx.neurons, reset, spikes.numpy(), membrane.numpy())
        ctx.save_for_backward(initial, membrane)
        return spikes, membrane

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Run backward in time."""
        initial, membrane = ctx.saved_tensors
        d_current, d_initial = torch.empty(membrane.shape), torch.empty(initial.shape)
        d_beta, d_threshold = (np.zeros_like(p) for p in ctx.neurons)
        backward_scan(
            as_array(grads[0]),
            as_array(grads[1]),
            as_array(initial),
            membrane.numpy(),
            *ctx.neurons,
            ctx.reset,
            np.float32(ATAN_SLOPE),
            d_current.numpy(),
            d_initial.numpy(),
            d_beta,
            d_threshold,
        )
        d_neurons = [torch.from_numpy(d) for d in (d_beta, d_threshold)]
        if ctx.shared:
            d_neurons = [d.sum() for d in d_neurons]
        return d_current, d_initial, *d_neurons, None
