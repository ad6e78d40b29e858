"""What an x86-64 ELF object file holds."""

from __future__ import annotations

import struct
from typing import NamedTuple

PROGBITS, SYMTAB, RELA = 1, 2, 4
WRITABLE, ALLOCATED = 0x1, 0x2
_FUNCTION = 2
_X86_64 = 62


class LinkError(Exception):
    """Something that is not known here."""


class Section(NamedTuple):
    """An entry of the section table."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class Symbol(NamedTuple):
    """An entry of the symbol table; in section 0 stands what the file does not define."""

    name: str
    info: int
    other: int
    section: int
    value: int
    size: int

    @property
    def is_function(self) -> bool:
        """Whether it is code."""
        return self.info & 0xF == _FUNCTION


class Relocation(NamedTuple):
    """A place that depends on where things stand in memory."""

    offset: int
    kind: int
    symbol: Symbol
    addend: int


class ObjectFile:
    """A relocatable object file.

    Parameters
    ----------
    code : bytes

    Raises
    ------
    LinkError
        If it is for another processor, or not an object file.
    """

    def __init__(self, code: bytes) -> None:
        if code[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", code, 0x12) != (_X86_64,):
            raise LinkError("it is not an ELF object file for x86-64")
        self._code = code
        (offset,) = struct.unpack_from("<Q", code, 0x28)
        size, count = struct.unpack_from("<HH", code, 0x3A)
        headers = code[offset : offset + size * count]
        self.sections = [Section(*fields) for fields in struct.iter_unpack("<IIQQQQIIQQ", headers)]
        table = next(section for section in self.sections if section.type == SYMTAB)
        names = self.content(self.sections[table.link])
        self.symbols = [
            Symbol(names[at : names.index(0, at)].decode(), *rest)
            for at, *rest in struct.iter_unpack("<IBBHQQ", self.content(table))
        ]

    @property
    def external(self) -> list[str]:
        """Names of what it needs and does not define."""
        return [symbol.name for symbol in self.symbols if symbol.name and not symbol.section]

    def content(self, section: Section) -> bytes:
        """The bytes of a section."""
        return self._code[section.offset : section.offset + section.size]

    def relocations(self, section: Section) -> list[Relocation]:
        """The entries of a section of type `RELA`."""
        return [
            Relocation(offset, info & 0xFFFFFFFF, self.symbols[info >> 32], addend)
            for offset, info, addend in struct.iter_unpack("<QQq", self.content(section))
        ]
