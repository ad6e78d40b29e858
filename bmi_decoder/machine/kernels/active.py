"""Which inputs are not zero, many at a time: spikes come where nobody can predict, and a branch for each is slow."""

from __future__ import annotations

from bmi_decoder.machine.kernels.jit import intrinsic

BLOCK = 32
"""Inputs that `active` looks at."""


@intrinsic
def active(typing_context, x, start):  # type: ignore[no-untyped-def]
    """A number whose bit k says that ``x[start + k]`` is not zero, NaN included; x is a vector of float32."""
    # Here and below, because only who compiles has numba in memory.
    from llvmlite import ir
    from numba import types

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector = ir.VectorType(ir.FloatType(), BLOCK)
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())
        values = builder.load(address, align=4)
        found = builder.fcmp_unordered("!=", values, ir.Constant(vector, [0.0] * BLOCK))
        return builder.bitcast(found, ir.IntType(BLOCK))

    return types.uint32(x, types.int64), generate


@intrinsic
def lowest_bit(typing_context, mask):  # type: ignore[no-untyped-def]
    """Position of the lowest bit of a number that is not zero."""
    from llvmlite import ir
    from numba import types

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        position = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.zext(position, ir.IntType(64))

    return types.int64(types.uint32), generate
