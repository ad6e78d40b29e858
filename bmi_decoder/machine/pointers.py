"""Addresses as pointers, in compiled code."""

from numba import types
from numba.extending import intrinsic


def _pointers_to(kind):  # type: ignore[no-untyped-def]
    """An intrinsic that takes an address as a pointer to numbers of this kind."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    def pointer(typing_context, address):  # type: ignore[no-untyped-def]
        return types.CPointer(kind)(types.int64), write

    return intrinsic(pointer)


uint8_at, int8_at = _pointers_to(types.uint8), _pointers_to(types.int8)
int16_at, int32_at, int64_at = _pointers_to(types.int16), _pointers_to(types.int32), _pointers_to(types.int64)
float32_at, float64_at = _pointers_to(types.float32), _pointers_to(types.float64)
