"""The compiled loops of a spiking Legendre memory unit as a function with a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmi_decoder.layers.compiled import as_array, rows_after
from bmi_decoder.layers.lmu_scan import backward_scan, forward_scan
from bmi_decoder.layers.surrogate import ATAN_SLOPE


class LmuTrace(torch.autograd.Function):
    """Currents, membranes and outputs (B, T + 1, N) of all populations, the first row being the state before.

    Arguments as `forward_scan` takes them, but weights with one row per neuron that receives, and the first rows of
    the three in place of all. Gradients flow from the outputs to the drive, the weights and the neurons.
    """

    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        around: Tensor,
        recall: Tensor,
        read: Tensor,
        neurons: Tensor,
        matrices: Tensor,
        current: Tensor,
        membrane: Tensor,
        output: Tensor,
        grid: list[float],
    ) -> tuple[Tensor, ...]:
        """Run forward in time."""
        traces = [rows_after(first, drive.shape[1]) for first in (current, membrane, output)]
        ctx.grid = np.array(grid, np.float32)
        given = (as_array(value) for value in (drive, around.T, recall.T, read.T, matrices, neurons))
        forward_scan(*given, ctx.grid, *(trace.numpy() for trace in traces))
        ctx.save_for_backward(around, recall, read, neurons, matrices, *traces)
        ctx.mark_non_differentiable(traces[0], traces[1])
        return tuple(traces)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Run backward in time."""
        around, recall, read, neurons, matrices, current, membrane, output = ctx.saved_tensors
        n_encoders, n_hidden = len(recall), len(read)
        d_drive = torch.empty(len(output), output.shape[1] - 1, n_encoders + n_hidden)
        d_neurons = torch.zeros(neurons.shape)
        backward_scan(
            as_array(grads[2][:, 1:, -n_hidden:]),
            *(as_array(value) for value in (around, recall, read, matrices, neurons)),
            ctx.grid,
            np.float32(ATAN_SLOPE),
            current.numpy(),
            membrane.numpy(),
            d_drive.numpy(),
            d_neurons.numpy(),
        )
        _, m, h = output.split([n_encoders, recall.shape[1], n_hidden], 2)
        to_u, to_h = d_drive.split([n_encoders, n_hidden], 2)

        def outer(received: Tensor, sent: Tensor) -> Tensor:
            return received.flatten(0, 1).T @ sent.flatten(0, 1)

        weights = outer(d_drive, h[:, :-1]), outer(to_u, m[:, :-1]), outer(to_h, m[:, 1:])
        return d_drive, *weights, d_neurons, None, None, None, None, None
