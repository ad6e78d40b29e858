"""Loads the machine's object file into this process."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable

from bmi_decoder.machine.elf import LinkError
from bmi_decoder.machine.link import link

ENTRY = "bmi_machine"
"""The function of the object file: a Python built-in that takes the address of a `Call`."""

_METH_O = 0x8


class _MethodDefinition(ctypes.Structure):
    """CPython's ``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def load(code: bytes) -> Callable[[int], None]:
    """The entry of an object file as a Python function, which holds the interpreter's lock while it runs."""
    if platform.machine() == "x86_64":
        try:
            return function_at(link(code, ENTRY))
        except LinkError as error:
            print(f"the compiled machine needs LLVM to load it, 40 MB more: {error}", file=sys.stderr)
    return function_at(load_with_llvm(code))


def load_with_llvm(code: bytes) -> int:
    """The entry's address, by LLVM, which knows every processor; 40 MB of it stay in memory."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _kept.append(engine)
    address: int = engine.get_function_address(ENTRY)
    return address


def function_at(address: int) -> Callable[[int], None]:
    """A Python built-in whose code stands at `address`."""
    definition = _MethodDefinition(ENTRY.encode(), address, _METH_O, None)
    new_function = ctypes.pythonapi.PyCFunction_NewEx
    new_function.restype = ctypes.py_object
    new_function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    function: Callable[[int], None] = new_function(ctypes.addressof(definition), None, None)
    _kept.append(definition)
    return function


_kept: list[object] = []
"""What functions in use point to."""
