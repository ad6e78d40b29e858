"""Loads the machine's object file into this process."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bmi_decoder.machine.elf import LinkError
from bmi_decoder.machine.link import link

RUN = "bmi_machine"
"""The function that runs a `Call`: a Python built-in that takes its address, and holds the interpreter's lock."""

LIVE = "bmi_live"
"""The live loop: takes the address of `LiveFields`, returns an `Outcome`, and lets other threads run meanwhile."""

PULL = "bmi_pull"
"""Pulls a sample, called like ``lsl_pull_chunk_f``, with the address of `FeedFields` in the place of an inlet."""

ENTRIES = (RUN, LIVE, PULL)

_METH_O = 0x8


class _MethodDefinition(ctypes.Structure):
    """CPython's ``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class Compiled(NamedTuple):
    """The functions of an object file."""

    run: Callable[[int], None]
    live: Callable[[int], int]
    pull: int
    """An address."""


def load(code: bytes) -> Compiled:
    """Make an object file's functions Python's."""
    run, live, pull = _addresses(code)
    return Compiled(function_at(run), function_at(live), pull)


def _addresses(code: bytes) -> list[int]:
    if platform.machine() == "x86_64":
        try:
            return link(code, ENTRIES)
        except LinkError as error:
            print(f"the compiled machine needs LLVM to load it, 40 MB more: {error}", file=sys.stderr)
    return load_with_llvm(code, ENTRIES)


def load_with_llvm(code: bytes, entries: Sequence[str]) -> list[int]:
    """Addresses of functions, by LLVM, which knows every processor; 40 MB of it stay in memory."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _kept.append(engine)
    return [engine.get_function_address(entry) for entry in entries]


def function_at(address: int) -> Callable[[int], Any]:
    """A Python built-in whose code stands at `address`."""
    definition = _MethodDefinition(b"bmi_decoder", address, _METH_O, None)
    new_function = ctypes.pythonapi.PyCFunction_NewEx
    new_function.restype = ctypes.py_object
    new_function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    function: Callable[[int], Any] = new_function(ctypes.addressof(definition), None, None)
    _kept.append(definition)
    return function


_kept: list[object] = []
"""What functions in use point to."""
