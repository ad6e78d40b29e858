"""Places an object file in executable memory: the part of a linker that self-contained functions need.

LLVM could do it, but its library alone would take more memory than the rest of a worker.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bmi_decoder.errors import BmiError
from bmi_decoder.machine.elf import ALLOCATED, PROGBITS, RELA, WRITABLE, LinkError, ObjectFile, Relocation

_ABS64, _PC32, _PLT32, _GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX = 1, 2, 4, 9, 41, 42
_STUB = struct.Struct("<6sHQ")
_JUMP = b"\xff\x25\x02\x00\x00\x00"
"""``jmp [rip + 2]``: to the address that stands behind it."""
_ADDRESS_IN_STUB = 8

_held: list[mmap.mmap] = []


@dataclass
class _Layout:
    """Offsets in memory."""

    sections: dict[int, int]
    stubs: dict[str, int]
    size: int


def link(code: bytes, entries: Sequence[str]) -> list[int]:
    """Addresses of these functions of a position-independent x86-64 object, ready to be called.

    What the object does not define is looked up in this process.

    Raises
    ------
    LinkError
        If the object holds something that this linker does not know.
    BmiError
        If the system does not allow it.
    """
    file = ObjectFile(code)
    layout = _lay_out(file)
    memory = mmap.mmap(-1, layout.size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    base: int = np.frombuffer(memory, np.uint8).ctypes.data
    for index, at in layout.sections.items():
        memory[at : at + file.sections[index].size] = file.content(file.sections[index])
    for name, at in layout.stubs.items():
        memory[at : at + _STUB.size] = _STUB.pack(_JUMP, 0, _process_symbol(name))
    for section in file.sections:
        if section.type == RELA and section.info in layout.sections:
            for relocation in file.relocations(section):
                _relocate(memory, base, layout.sections[section.info], relocation, layout)
    _make_executable(base, layout.size)
    _held.append(memory)
    functions = {symbol.name: symbol for symbol in file.symbols if symbol.is_function}
    return [base + layout.sections[functions[entry].section] + functions[entry].value for entry in entries]


def _lay_out(file: ObjectFile) -> _Layout:
    """Sections one behind the other, then a stub for every external symbol, which may be far away."""
    sections, stubs, end = {}, {}, 0
    for index, section in enumerate(file.sections):
        if section.flags & ALLOCATED and section.size:
            if section.flags & WRITABLE:
                raise LinkError("it has variables")
            if section.type == PROGBITS:
                sections[index] = -(-end // section.alignment) * section.alignment
                end = sections[index] + section.size
    for name in file.external:
        stubs[name] = -(-end // _STUB.size) * _STUB.size
        end = stubs[name] + _STUB.size
    return _Layout(sections, stubs, end)


def _relocate(memory: mmap.mmap, base: int, start: int, relocation: Relocation, layout: _Layout) -> None:
    """The ABI's formulas, with a stub in the place of the procedure linkage table and of the global offset table."""
    kind, symbol, at = relocation.kind, relocation.symbol, start + relocation.offset
    external = not symbol.section
    target = layout.stubs[symbol.name] if external else layout.sections[symbol.section] + symbol.value
    if kind == _ABS64 and not external:
        struct.pack_into("<Q", memory, at, base + target + relocation.addend)
    elif kind == _PLT32 or (kind == _PC32 and not external):
        struct.pack_into("<i", memory, at, target + relocation.addend - at)
    elif kind in (_GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX) and external:
        struct.pack_into("<i", memory, at, target + _ADDRESS_IN_STUB + relocation.addend - at)
    else:
        raise LinkError(f"relocation of kind {kind}")


def _process_symbol(name: str) -> int:
    try:
        function = getattr(ctypes.pythonapi, name)
    except AttributeError:
        raise LinkError(f"no {name!r} in this process") from None
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address


def _make_executable(address: int, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise BmiError(f"this system refuses executable memory (error {ctypes.get_errno()}), which the machine needs")
