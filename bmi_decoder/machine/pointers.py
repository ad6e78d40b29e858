"""Addresses as pointers, in compiled code."""

from numba import types
from numba.extending import intrinsic


@intrinsic
def int64_at(typing_context, address):  # type: ignore[no-untyped-def]
    """An address as a pointer to int64, in compiled code."""
    return types.CPointer(types.int64)(types.int64), _as_pointer


@intrinsic
def float32_at(typing_context, address):  # type: ignore[no-untyped-def]
    """An address as a pointer to float32, in compiled code."""
    return types.CPointer(types.float32)(types.int64), _as_pointer


@intrinsic
def uint8_at(typing_context, address):  # type: ignore[no-untyped-def]
    """An address as a pointer to bytes, in compiled code."""
    return types.CPointer(types.uint8)(types.int64), _as_pointer


@intrinsic
def float64_at(typing_context, address):  # type: ignore[no-untyped-def]
    """An address as a pointer to float64, in compiled code."""
    return types.CPointer(types.float64)(types.int64), _as_pointer


def _as_pointer(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))
