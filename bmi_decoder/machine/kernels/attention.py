"""Linear attention over the past, held in one matrix per head."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, Operands, param, read, update, write
from bmi_decoder.machine.kernels.jit import kernel

PLAIN, NORMALISED = 0, 1
BINARY, SHIFTED = 0, 1

EPSILON = 1e-6
"""Added to a normaliser, so that a head that has seen no key gives 0."""


def attention_state_size(heads: int, n_key: int, n_value: int, normaliser: int) -> int:
    """A matrix per head, with one column more for a normaliser."""
    return heads * n_key * (n_value + normaliser)


def _accesses(o: Operands):  # type: ignore[no-untyped-def]
    heads, n_key, n_value = o["heads"], o["n_key"], o["n_value"]
    return (
        read(o["src"], heads * (2 * n_key + n_value)),
        *param(o["decay"], heads),
        *update(o["state"], attention_state_size(heads, n_key, n_value, o["normaliser"])),
        write(o["dst"], heads * n_value),
    )


LINEAR_ATTENTION = Instruction(
    31,
    "linear_attention",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("state", Kind.ARENA),
        ("heads", Kind.SIZE),
        ("n_key", Kind.SIZE),
        ("n_value", Kind.SIZE),
        ("decay", Kind.PARAMS),
        ("features", Kind.CHOICE),
        ("normaliser", Kind.CHOICE),
    ),
    _accesses,
    {"features": (BINARY, SHIFTED), "normaliser": (PLAIN, NORMALISED)},
)


@kernel
def linear_attention(  # type: ignore[no-untyped-def]
    arena, params, dst, src, state, heads, n_key, n_value, decay, features, normaliser
):
    """``S = g S + k v^T``, ``o = S^T q`` in each head; `src` holds all queries, then all keys, then all values.

    SHIFTED features are 1 above the queries and keys: ELU + 1 of spikes. NORMALISED keeps ``n = g n + k`` as the
    last column of S and divides o by ``q . n + EPSILON``.
    """
    query = arena[src : src + heads * n_key]
    key = arena[src + heads * n_key : src + 2 * heads * n_key]
    value = arena[src + 2 * heads * n_key : src + heads * (2 * n_key + n_value)]
    y = arena[dst : dst + heads * n_value]
    shift = np.float32(features)
    stride = n_value + normaliser
    for h in range(heads):
        g = params[decay + h]
        v = value[h * n_value : (h + 1) * n_value]
        o = y[h * n_value : (h + 1) * n_value]
        for j in range(n_value):
            o[j] = 0
        total = np.float32(0)
        for i in range(h * n_key, (h + 1) * n_key):
            q, k = query[i] + shift, key[i] + shift
            row = arena[state + i * stride : state + (i + 1) * stride]
            for j in range(n_value):
                s = g * row[j] + k * v[j]
                row[j] = s
                o[j] += q * s
            if normaliser:
                row[n_value] = g * row[n_value] + k
                total += q * row[n_value]
        if normaliser:
            scale = np.float32(1) / (total + np.float32(EPSILON))
            for j in range(n_value):
                o[j] *= scale
