"""Dense layers, whose cost follows the number of non-zero inputs."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, Operands, param, read, write
from bmi_decoder.machine.kernels.active import BLOCK, active, lowest_bit
from bmi_decoder.machine.kernels.jit import kernel

REPLACE, ACCUMULATE = 0, 1


FEW = 8
"""Outputs below which `linear_few` is faster: rows this short do not fill a vector."""


def _accesses(o: Operands):  # type: ignore[no-untyped-def]
    before = (read(o["dst"], o["n_out"]),) if o["mode"] == ACCUMULATE else ()
    return (
        *before,
        read(o["src"], o["n_in"]),
        *param(o["weight"], o["n_in"] * o["n_out"]),
        *param(o["bias"], o["n_out"]),
        write(o["dst"], o["n_out"]),
    )


def _product(opcode: int, name: str) -> Instruction:
    return Instruction(
        opcode,
        name,
        (
            ("dst", Kind.ARENA),
            ("src", Kind.ARENA),
            ("n_in", Kind.SIZE),
            ("n_out", Kind.SIZE),
            ("weight", Kind.PARAMS),
            ("bias", Kind.PARAMS),
            ("mode", Kind.CHOICE),
        ),
        _accesses,
        {"mode": (REPLACE, ACCUMULATE)},
        optional=frozenset({"bias"}),
    )


LINEAR = _product(3, "linear")
LINEAR_FEW = _product(43, "linear_few")


@kernel
def active_in_block(x, start):  # type: ignore[no-untyped-def]
    """`active`, and one by one at the end of x, where a whole block would reach beyond it."""
    if start + BLOCK <= x.size:
        return active(x, start)
    mask = np.uint32(0)
    for k in range(x.size - start):
        mask |= np.uint32(x[start + k] != 0) << np.uint32(k)
    return mask


@kernel
def linear(arena, params, dst, src, n_in, n_out, weight, bias, mode):  # type: ignore[no-untyped-def]
    """``y (+)= W x + b`` with W stored (n_in, n_out): one contiguous row per input.

    Rows of zero inputs are never read. The others are added four at a time, so that y is loaded and stored
    once for four rows.
    """
    y = arena[dst : dst + n_out]
    x = arena[src : src + n_in]
    if mode == REPLACE:
        for i in range(n_out):
            y[i] = 0
    if bias >= 0:
        b = params[bias : bias + n_out]
        for i in range(n_out):
            y[i] += b[i]
    held = 0
    j0 = j1 = j2 = 0
    for start in range(0, n_in, BLOCK):
        mask = active_in_block(x, start)
        while mask != 0:
            j = start + lowest_bit(mask)
            mask &= mask - np.uint32(1)
            if held == 3:
                w0 = params[weight + j0 * n_out : weight + (j0 + 1) * n_out]
                w1 = params[weight + j1 * n_out : weight + (j1 + 1) * n_out]
                w2 = params[weight + j2 * n_out : weight + (j2 + 1) * n_out]
                w3 = params[weight + j * n_out : weight + (j + 1) * n_out]
                x0, x1, x2, x3 = x[j0], x[j1], x[j2], x[j]
                for i in range(n_out):
                    y[i] += x0 * w0[i] + x1 * w1[i] + x2 * w2[i] + x3 * w3[i]
                held = 0
            else:
                if held == 0:
                    j0 = j
                elif held == 1:
                    j1 = j
                else:
                    j2 = j
                held += 1
    for k in range(held):
        j = j0 if k == 0 else (j1 if k == 1 else j2)
        w = params[weight + j * n_out : weight + (j + 1) * n_out]
        xj = x[j]
        for i in range(n_out):
            y[i] += xj * w[i]


@kernel
def linear_few(arena, params, dst, src, n_in, n_out, weight, bias, mode):  # type: ignore[no-untyped-def]
    """``y (+)= W x + b`` for few outputs, with W stored (n_out, n_in): vectors run along the inputs.

    All of W is read: a row of `linear` would be a part of a cache line anyway.
    """
    x = arena[src : src + n_in]
    for i in range(n_out):
        w = params[weight + i * n_in : weight + (i + 1) * n_in]
        total = np.float32(0)
        for j in range(n_in):
            total += w[j] * x[j]
        if bias >= 0:
            total += params[bias + i]
        arena[dst + i] = arena[dst + i] + total if mode == ACCUMULATE else total
