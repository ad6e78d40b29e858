"""Calls of the machine, and of functions of other libraries by their address, in compiled code."""

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function, raw_memcpy, raw_memmove
from numba.extending import intrinsic

PROGRAM = "bmi_program"
"""The machine, as the object file names it: a function without a result that takes the address of a `Call`."""

_WORD, _INT, _BYTE, _REAL = ir.IntType(64), ir.IntType(32), ir.IntType(8), ir.DoubleType()


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
def call_push(typing_context, function, outlet, row, stamp):  # type: ignore[no-untyped-def]
    """``lsl_push_sample_ftp``, at once; returns an error code, or 0."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function, outlet, row, stamp = arguments
        at_once = ir.Constant(_INT, 1)
        return builder.sext(_call(builder, function, _INT, [outlet, row, stamp, at_once]), _WORD)

    word = types.int64
    return word(word, word, word, types.float64), write


@intrinsic
def call_poll(typing_context, function, watched, timeout):  # type: ignore[no-untyped-def]
    """``ppoll`` of one descriptor, signals as they are."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function, watched, timeout = arguments
        one, none = ir.Constant(_WORD, 1), ir.Constant(_WORD, 0)
        return builder.sext(_call(builder, function, _INT, [watched, one, timeout, none]), _WORD)

    word = types.int64
    return word(word, word, word), write


@intrinsic
def call_receive(typing_context, function, descriptor, buffer, size, flags):  # type: ignore[no-untyped-def]
    """``recv``."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function, descriptor, buffer, size, flags = arguments
        descriptor, flags = (builder.trunc(number, _INT) for number in (descriptor, flags))
        return _call(builder, function, _WORD, [descriptor, buffer, size, flags])

    word = types.int64
    return word(word, word, word, word, word), write


@intrinsic
def call_error_number(typing_context, function):  # type: ignore[no-untyped-def]
    """``errno`` of this thread, by the function that says where it is."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        at = _call(builder, arguments[0], _WORD, [])
        return builder.sext(builder.load(builder.inttoptr(at, _INT.as_pointer())), _WORD)

    return types.int64(types.int64), write


def _between_addresses(write_it):  # type: ignore[no-untyped-def]
    """An intrinsic that takes two addresses, of bytes that are aligned to nothing, and how many they are."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        to, source, size = arguments
        pointers = (builder.inttoptr(at, _BYTE.as_pointer()) for at in (to, source))
        write_it(builder, *pointers, size, 1)
        return context.get_dummy_value()

    def between(typing_context, to, source, size):  # type: ignore[no-untyped-def]
        word = types.int64
        return types.void(word, word, word), write

    return intrinsic(between)


copy_bytes = _between_addresses(raw_memcpy)
move_bytes = _between_addresses(raw_memmove)


@intrinsic
def publish_word(typing_context, address, value):  # type: ignore[no-untyped-def]
    """Store a word where other processes read it, behind everything that was stored before."""

    def write(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = builder.inttoptr(arguments[0], _WORD.as_pointer())
        builder.store_atomic(arguments[1], place, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), write
