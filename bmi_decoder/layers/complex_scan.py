"""Complex linear recurrences over all bins at once, ``z_t = a z_(t-1) + d_t`` per neuron.

Vectors of n complex numbers are 2n floats: all real parts, then all imaginary parts.
"""

from __future__ import annotations

from typing import Any

import numba
import torch
from torch import Tensor

from bmi_decoder.layers.compiled import as_array

_F1, _F2, _F3 = "float32[::1]", "float32[:,::1]", "float32[:,:,::1]"


def complex_scan(drive: Tensor, initial: Tensor, poles: Tensor) -> Tensor:
    """States after every bin, differentiable in all three arguments.

    Parameters
    ----------
    drive : Tensor (B, T, 2n)
    initial : Tensor (B, 2n)
        State before the first bin.
    poles : Tensor (2n,)
        The factors a.

    Returns
    -------
    Tensor (B, T, 2n)

    Notes
    -----
    There is no reset in it, so this is associative: on a GPU it takes log2(T) passes (`associative_scan`). One core
    of a CPU is faster with one pass in compiled loops, vectorised over neurons, which rounds as repeated steps do.
    """
    states: Tensor = _ComplexScan.apply(drive, initial, poles)
    return states


def associative_scan(drive: Tensor, initial: Tensor, poles: Tensor) -> Tensor:
    """`complex_scan` by recursive doubling, in torch operations: parallel in time.

    After pass k each state holds the sum over its last 2^k drives, so pass k adds ``a^(2^k)`` times the sum that
    ended 2^k bins before. Rounds otherwise than repeated steps.
    """
    factor, z = _complex(poles), _complex(drive)
    z = torch.cat([(z[:, 0] + factor * _complex(initial))[:, None], z[:, 1:]], 1)
    shift = 1
    while shift < z.shape[1]:
        z = torch.cat([z[:, :shift], z[:, shift:] + factor * z[:, :-shift]], 1)
        factor, shift = factor * factor, 2 * shift
    return torch.cat([z.real, z.imag], -1)


def _complex(parts: Tensor) -> Tensor:
    return torch.complex(*parts.chunk(2, -1))


class _ComplexScan(torch.autograd.Function):
    """The gradient of a scan is a scan backwards in time, with conjugate factors."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, initial: Tensor, poles: Tensor) -> Tensor:
        if drive.device.type == "cpu":
            states = torch.empty(drive.shape)
            _forward(as_array(drive), as_array(initial), as_array(poles), states.numpy())
        else:
            states = associative_scan(drive, initial, poles)
        ctx.save_for_backward(initial, poles, states)
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        initial, poles, states = ctx.saved_tensors
        n = len(poles) // 2
        conjugate = torch.cat([poles[:n], -poles[n:]])
        if states.device.type == "cpu":
            d_drive, d_poles = torch.empty(states.shape), torch.zeros(2 * n)
            arrays = (as_array(value) for value in (grads[0], initial, states, poles))
            _backward(*arrays, d_drive.numpy(), d_poles.numpy())
        else:
            d_drive = associative_scan(grads[0].flip(1), torch.zeros_like(initial), conjugate).flip(1)
            before = torch.cat([initial[:, None], states[:, :-1]], 1)
            product = (_complex(d_drive) * _complex(before).conj()).sum((0, 1))
            d_poles = torch.cat([product.real, product.imag])
        first = _complex(conjugate) * _complex(d_drive[:, 0])
        return d_drive, torch.cat([first.real, first.imag], -1), d_poles


@numba.njit(f"void({_F3}, {_F2}, {_F1}, {_F3})", cache=True)
def _forward(drive, initial, poles, states):  # type: ignore[no-untyped-def]
    """Fill `states`, rounding after every operation as the machine's `resonate_fire` does."""
    n_batch, n_time, width = drive.shape
    n = width // 2
    a_re, a_im = poles[:n], poles[n:]
    for b in range(n_batch):
        before = initial[b]
        for t in range(n_time):
            re, im = before[:n], before[n:]
            d, z = drive[b, t], states[b, t]
            for k in range(n):
                z[k] = a_re[k] * re[k] - a_im[k] * im[k] + d[k]
            for k in range(n):
                z[n + k] = a_re[k] * im[k] + a_im[k] * re[k] + d[n + k]
            before = z


@numba.njit(f"void({_F3}, {_F2}, {_F3}, {_F1}, {_F3}, {_F1})", fastmath={"contract", "nsz"}, cache=True)
def _backward(d_states, initial, states, poles, d_drive, d_poles):  # type: ignore[no-untyped-def]
    """Fill `d_drive`, and add to `d_poles` over lanes and time."""
    n_batch, n_time, width = states.shape
    n = width // 2
    a_re, a_im = poles[:n], poles[n:]
    sum_re, sum_im = d_poles[:n], d_poles[n:]
    for b in range(n_batch):
        for t in range(n_time - 1, -1, -1):
            g, out = d_states[b, t], d_drive[b, t]
            before = states[b, t - 1] if t else initial[b]
            if t == n_time - 1:
                for k in range(width):
                    out[k] = g[k]
            else:
                after = d_drive[b, t + 1]
                for k in range(n):
                    out[k] = g[k] + a_re[k] * after[k] + a_im[k] * after[n + k]
                    out[n + k] = g[n + k] + a_re[k] * after[n + k] - a_im[k] * after[k]
            for k in range(n):
                sum_re[k] += out[k] * before[k] + out[n + k] * before[n + k]
                sum_im[k] += out[n + k] * before[k] - out[k] * before[n + k]
