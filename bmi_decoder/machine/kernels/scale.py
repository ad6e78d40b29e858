"""Normalisation, scaling and quantisation of vectors."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, elementwise, param, read, write
from bmi_decoder.machine.kernels.jit import exact_kernel, kernel

LAYER_NORM = Instruction(
    4,
    "layer_norm",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("n", Kind.SIZE),
        ("weight", Kind.PARAMS),
        ("bias", Kind.PARAMS),
        ("epsilon", Kind.PARAMS),
    ),
    lambda o: (
        read(o["src"], o["n"]),
        *param(o["weight"], o["n"]),
        *param(o["bias"], o["n"]),
        *param(o["epsilon"], 1),
        write(o["dst"], o["n"]),
    ),
    {},
)
AFFINE = Instruction(
    5,
    "affine",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("n", Kind.SIZE),
        ("scale", Kind.PARAMS),
        ("shift", Kind.PARAMS),
    ),
    lambda o: (
        read(o["src"], o["n"]),
        *param(o["scale"], o["n"]),
        *param(o["shift"], o["n"]),
        write(o["dst"], o["n"]),
    ),
    {},
    optional=frozenset({"shift"}),
)
BINARISE = elementwise(6, "binarise")
QUANTISE = Instruction(
    7,
    "quantise",
    (("dst", Kind.ARENA), ("src", Kind.ARENA), ("n", Kind.SIZE), ("grid", Kind.PARAMS)),
    lambda o: (read(o["src"], o["n"]), *param(o["grid"], 3), write(o["dst"], o["n"])),
    {},
)


@kernel
def layer_norm(arena, params, dst, src, n, weight, bias, epsilon):  # type: ignore[no-untyped-def]
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the vector."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    w = params[weight : weight + n]
    b = params[bias : bias + n]
    mean = np.float32(0)
    for i in range(n):
        mean += x[i]
    mean /= np.float32(n)
    variance = np.float32(0)
    for i in range(n):
        d = x[i] - mean
        variance += d * d
    scale = np.float32(1) / np.sqrt(variance / np.float32(n) + params[epsilon])
    for i in range(n):
        y[i] = (x[i] - mean) * scale * w[i] + b[i]


@exact_kernel
def affine(arena, params, dst, src, n, scale, shift):  # type: ignore[no-untyped-def]
    """``x * scale + shift``, elementwise."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    a = params[scale : scale + n]
    for i in range(n):
        y[i] = x[i] * a[i]
    if shift >= 0:
        b = params[shift : shift + n]
        for i in range(n):
            y[i] += b[i]


@exact_kernel
def binarise(arena, dst, src, n):  # type: ignore[no-untyped-def]
    """1 where the input is positive, else 0."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    for i in range(n):
        y[i] = np.float32(x[i] > 0)


@exact_kernel
def quantise(arena, params, dst, src, n, grid):  # type: ignore[no-untyped-def]
    """Round half to even onto multiples of ``step``, limited to ``[low, high]``; grid holds the three."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    step, low, high = params[grid], params[grid + 1], params[grid + 2]
    for i in range(n):
        v = np.rint(x[i] / step) * step
        v = low if v < low else v
        y[i] = high if v > high else v
