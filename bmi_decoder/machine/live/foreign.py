"""Calls of the machine, and of functions of other libraries by their address, in compiled code."""

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

PROGRAM = "bmi_program"
"""The machine, as the object file names it: a function without a result that takes the address of a `Call`."""

_WORD, _INT, _REAL = ir.IntType(64), ir.IntType(32), ir.DoubleType()


def _call(builder, address, result, arguments):  # type: ignore[no-untyped-def]
    """Pointers go as words: they are passed alike on every processor that this runs on."""
    function = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(builder.inttoptr(address, function.as_pointer()), arguments)


@intrinsic
def run_program(typing_context, call):  # type: ignore[no-untyped-def]
    """Run the `Call` at an address. By name: the machine is compiled once, and not again as a part of the loop."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function = get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [_WORD]), PROGRAM)
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(types.int64), write


@intrinsic
def call_clock(typing_context, function):  # type: ignore[no-untyped-def]
    """``double lsl_local_clock()``."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _call(builder, arguments[0], _REAL, [])

    return types.float64(types.int64), write


@intrinsic
def call_pull(typing_context, function, inlet, sample, stamp, n_channels, timeout, error):  # type: ignore[no-untyped-def]
    """``lsl_pull_chunk_f`` for one sample; returns how many numbers were written."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function, inlet, sample, stamp, n_channels, timeout, error = arguments
        one = ir.Constant(_WORD, 1)
        return _call(builder, function, _WORD, [inlet, sample, stamp, n_channels, one, timeout, error])

    word = types.int64
    return word(word, word, word, word, word, types.float64, word), write


@intrinsic
def call_send(typing_context, function, socket, message, size):  # type: ignore[no-untyped-def]
    """``zmq_send`` without flags; returns -1 if it fails."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function, socket, message, size = arguments
        sent = _call(builder, function, _INT, [socket, message, size, ir.Constant(_INT, 0)])
        return builder.sext(sent, _WORD)

    word = types.int64
    return word(word, word, word, word), write


@intrinsic
def publish_word(typing_context, address, value):  # type: ignore[no-untyped-def]
    """Store a word where other processes read it, behind everything that was stored before."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = builder.inttoptr(arguments[0], _WORD.as_pointer())
        builder.store_atomic(arguments[1], place, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), write
