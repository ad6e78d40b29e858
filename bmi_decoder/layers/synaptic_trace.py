"""The compiled loops of recurrent synaptic neurons as a function with a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmi_decoder.layers.compiled import as_array, rows_after
from bmi_decoder.layers.synaptic_scan import backward_scan, forward_scan


class SynapticTrace(torch.autograd.Function):
    """Spikes, membranes and currents (B, T + 1, N), the first row being the state before."""

    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        recurrent: Tensor,
        decays: Tensor,
        spikes: Tensor,
        membrane: Tensor,
        current: Tensor,
        order: int,
        slope: float,
    ) -> tuple[Tensor, ...]:
        """Run forward in time."""
        rows = [rows_after(first, drive.shape[1]) for first in (spikes, membrane, current)]
        arrays = (as_array(value) for value in (drive, recurrent.T, decays))
        forward_scan(*arrays, order, *(row.numpy() for row in rows))
        ctx.order, ctx.slope = order, slope
        ctx.save_for_backward(recurrent, decays, *rows)
        return tuple(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Run backward in time."""
        recurrent, decays, spikes, membrane, current = ctx.saved_tensors
        n_batch, rows, n = spikes.shape
        d_drive, d_decays = torch.empty(n_batch, rows - 1, n), torch.zeros(3, n)
        backward_scan(
            as_array(grads[0]),
            as_array(recurrent),
            as_array(decays),
            ctx.order,
            np.float32(ctx.slope),
            spikes.numpy(),
            membrane.numpy(),
            current.numpy(),
            d_drive.numpy(),
            d_decays.numpy(),
        )
        d_recurrent = d_drive.flatten(0, 1).T @ spikes[:, :-1].flatten(0, 1)
        return d_drive, d_recurrent, d_decays, None, None, None, None, None
