"""Spiking self-attention over the tokens of a bin, and over the past where the memory lasts."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, Operands, param, read, update, write
from bmi_decoder.machine.kernels.jit import exact_kernel


def self_attention_size(tokens: int, heads: int, n: int) -> int:
    """What the kernel writes: the attention of all tokens, and a row of the memory that it works on."""
    return tokens * heads * n + n


def _accesses(o: Operands):  # type: ignore[no-untyped-def]
    tokens, heads, n = o["tokens"], o["heads"], o["n"]
    return (
        read(o["src"], 3 * tokens * heads * n),
        *param(o["decay"], heads),
        *param(o["grid"], 3),
        *update(o["memory"], heads * n * n),
        write(o["dst"], self_attention_size(tokens, heads, n)),
    )


SPIKING_SELF_ATTENTION = Instruction(
    41,
    "spiking_self_attention",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("memory", Kind.ARENA),
        ("tokens", Kind.SIZE),
        ("heads", Kind.SIZE),
        ("n", Kind.SIZE),
        ("decay", Kind.PARAMS),
        ("grid", Kind.PARAMS),
    ),
    _accesses,
    {},
    work=lambda o: 2 * o["tokens"] * o["heads"] * o["n"] * o["n"],
)


@exact_kernel
def spiking_self_attention(  # type: ignore[no-untyped-def]
    arena, params, dst, src, memory, tokens, heads, n, decay, grid
):
    """``S = g S + sum over tokens of k v^T``, ``o = scale round(S)^T q`` per token, in each head.

    `src` holds queries, keys and values (heads x n each) token by token; `grid` the step and the limit of the
    rounding, and the scale. Keys and values that are spikes make the sum over tokens a whole number, so S is the same
    in whatever order tokens come; the rounding makes sums over its rows exact too.
    """
    width = heads * n
    y = arena[dst : dst + tokens * width]
    row = arena[dst + tokens * width : dst + tokens * width + n]
    step, limit, scale = params[grid], params[grid + 1], params[grid + 2]
    for i in range(tokens * width):
        y[i] = 0
    for h in range(heads):
        g = params[decay + h]
        for i in range(n):
            for j in range(n):
                row[j] = 0
            for t in range(tokens):
                base = src + 3 * t * width + h * n
                k = arena[base + width + i]
                if k != 0:
                    v = arena[base + 2 * width : base + 2 * width + n]
                    for j in range(n):
                        row[j] += k * v[j]
            s = arena[memory + (h * n + i) * n : memory + (h * n + i + 1) * n]
            for j in range(n):
                s[j] = g * s[j] + row[j]
                rounded = np.rint(s[j] / step) * step
                rounded = -limit if rounded < -limit else rounded
                row[j] = limit if rounded > limit else rounded
            for t in range(tokens):
                q = arena[src + 3 * t * width + h * n + i]
                if q != 0:
                    o = y[t * width + h * n : t * width + (h + 1) * n]
                    for j in range(n):
                        o[j] += q * row[j]
    for i in range(tokens * width):
        y[i] *= scale
