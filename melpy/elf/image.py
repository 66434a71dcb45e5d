"""The raw bytes of an ELF file and its three tables: header, segments, sections.

Takes a seekable stream, gives out numbers and bytes, and never more of them than the file has: every read is checked
against the size of the file and a limit, so no value in a file can make it read without end. It knows nothing of
what the tables are for. Source: the System V ABI, chapter 4 and 5, and elf(5).
"""

from __future__ import annotations

import io
import struct
from functools import cached_property
from typing import IO, NamedTuple

from melpy.codec import Noun
from melpy.elf.model import ElfError

MAGIC = b"\x7fELF"
SHT_NOBITS = 8
SHF_TLS = 0x400
_PN_XNUM = 0xFFFF  # the real number stands in the first section; only core files have so many segments
_SHN_XINDEX = 0xFFFF  # likewise
_SECTION_LIMIT = 1 << 17
_NAME_LIMIT = 4096  # the longest path Linux accepts
_SECTION_NAME_LIMIT = 256
_TABLE_LIMIT = 64 << 20


class Segment(NamedTuple):
    """One program header."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int


class Section(NamedTuple):
    """One section header; `name` is its place in the table of section names."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class _Layout(NamedTuple):
    """How one class and byte order writes its structures, and where in them the fields stand."""

    header: struct.Struct
    segment: struct.Struct
    segment_fields: tuple[int, ...]
    section: struct.Struct
    dynamic: struct.Struct


_SEGMENT_32 = (0, 6, 1, 2, 4)
_SEGMENT_64 = (0, 1, 2, 3, 5)
_LAYOUTS = {
    (elf_class, order): _Layout(
        struct.Struct(order + ("HHIIIIIHHHHHH" if elf_class == 32 else "HHIQQQIHHHHHH")),
        struct.Struct(order + ("IIIIIIII" if elf_class == 32 else "IIQQQQQQ")),
        _SEGMENT_32 if elf_class == 32 else _SEGMENT_64,
        struct.Struct(order + ("IIIIIIIIII" if elf_class == 32 else "IIQQQQIIQQ")),
        struct.Struct(order + ("iI" if elf_class == 32 else "qQ")),
    )
    for elf_class in (32, 64)
    for order in "<>"
}


class Header(Noun, frozen=True):
    """The ELF header, without what is derived from it."""

    type: int
    machine: int
    segment_offset: int
    section_offset: int
    segment_size: int
    segment_count: int
    section_size: int
    section_count: int
    section_names: int


class Image:
    """An ELF file, read piece by piece.

    Args:
        stream: the file; its position does not matter.

    Raises:
        ElfError: the identification or the header is not valid.
    """

    def __init__(self, stream: IO[bytes] | io.RawIOBase) -> None:
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)
        ident = self.read(0, 16)
        try:
            self.elf_class = {1: 32, 2: 64}[ident[4]]
            self.order = {1: "<", 2: ">"}[ident[5]]
        except KeyError:
            raise ElfError("unknown ELF class or byte order") from None
        self._layout = _LAYOUTS[self.elf_class, self.order]
        values = self._layout.header.unpack(self.read(16, self._layout.header.size))
        self.header = Header(values[0], values[1], values[4], values[5], *values[8:13])

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`.

        Raises:
            ElfError: they are not all in the file, or are too many.
        """
        if offset + size > self.size or size > _TABLE_LIMIT:
            raise ElfError(f"{size} bytes at offset {offset} do not fit a file of {self.size} bytes")
        self._stream.seek(offset)
        data = self._stream.read(size)
        if data is None or len(data) != size:
            raise ElfError(f"cannot read {size} bytes at offset {offset}")
        return data

    def read_string(self, offset: int) -> str:
        """Return the NUL-terminated string at `offset`.

        Raises:
            ElfError: it does not end within the file, or is longer than any path can be.
        """
        for limit in (128, _NAME_LIMIT):
            data = self.read(offset, max(0, min(limit, self.size - offset)))
            text, end, _ = data.partition(b"\0")
            if end:
                return text.decode(errors="surrogateescape")
        raise ElfError(f"the string at offset {offset} does not end")

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The program headers.

        Raises:
            ElfError: they are not in the file, or of a size that does not fit the class.
        """
        header = self.header
        if not header.segment_offset or not header.segment_count:
            return ()
        layout = self._layout.segment
        if header.segment_size != layout.size or header.segment_count == _PN_XNUM:
            raise ElfError(f"{header.segment_count} program headers of {header.segment_size} bytes")
        data = self.read(header.segment_offset, layout.size * header.segment_count)
        picks = self._layout.segment_fields
        return tuple(Segment(*(row[pick] for pick in picks)) for row in layout.iter_unpack(data))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The section headers; none when they cannot be read, for a program runs without them."""
        try:
            return self._read_sections()
        except ElfError:
            return ()

    def _read_sections(self) -> tuple[Section, ...]:
        header, layout = self.header, self._layout.section
        if not header.section_offset or header.section_size != layout.size:
            return ()
        count = header.section_count or self._read_section(0).size
        if count > _SECTION_LIMIT:
            raise ElfError(f"{count} section headers")
        data = self.read(header.section_offset, layout.size * count)
        return tuple(Section(*row[:7]) for row in layout.iter_unpack(data))

    def _read_section(self, index: int) -> Section:
        layout = self._layout.section
        row = layout.unpack(self.read(self.header.section_offset + index * layout.size, layout.size))
        return Section(*row[:7])

    @cached_property
    def section_names(self) -> tuple[str, ...]:
        """The names of the sections, in their order; none when they cannot be read."""
        sections, index = self.sections, self.header.section_names
        if index == _SHN_XINDEX and sections:
            index = sections[0].link
        if index >= len(sections):
            return ()
        table = sections[index]
        try:
            names = self.read(table.offset, table.size)
        except ElfError:
            return ()
        return tuple(_name(names, section.name) for section in sections)

    def read_dynamic(self, offset: int, size: int) -> list[tuple[int, int]]:
        """Return the tags and values of the dynamic table at `offset`, up to its end mark.

        Raises:
            ElfError: it is not all in the file.
        """
        layout = self._layout.dynamic
        rows = []
        for tag, value in layout.iter_unpack(self.read(offset, size - size % layout.size)):
            if tag == 0:
                break
            rows.append((tag, value))
        return rows

    def is_left_out(self, segment: Segment) -> bool:
        """Tell whether a segment's bytes are not in this file although its header says where they would be.

        Separated debug files (`objcopy --only-keep-debug`, `eu-strip -f`) keep the program headers of the program;
        that the bytes are gone shows only in the type of the section at the same address.
        """
        return segment.address in self._left_out

    @cached_property
    def _left_out(self) -> frozenset[int]:
        # .tbss takes no room in memory, so it has the address of whatever follows it.
        return frozenset(
            section.address
            for section in self.sections
            if section.type == SHT_NOBITS and section.size and not section.flags & SHF_TLS
        )


def _name(names: bytes, start: int) -> str:
    end = names.find(b"\0", start, start + _SECTION_NAME_LIMIT)
    return names[start:end].decode(errors="surrogateescape") if end >= 0 else ""
