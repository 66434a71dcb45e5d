"""Small ELF files that are real: program headers, a dynamic table, and section headers when wanted."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ADDRESS = 0x400000
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 14, 15, 29
_PROGBITS, _STRTAB, _DYNAMIC, _NOBITS = 1, 3, 6, 8
_ALLOC = 2


@dataclass(frozen=True)
class _Part:
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int = 0
    entry_size: int = 0


def elf(
    *,
    bits: int = 64,
    big_endian: bool = False,
    machine: int = 62,
    type_: int = 3,
    interpreter: str | None = None,
    needed: Sequence[str] = (),
    soname: str | Sequence[str] = (),
    rpath: str | None = None,
    runpath: str | None = None,
    go: Mapping[str, str] | None = None,
    section_headers: bool = True,
    debug: bool = False,
) -> bytes:
    """Return the bytes of an ELF file; `debug` leaves out what `objcopy --only-keep-debug` does."""
    order = ">" if big_endian else "<"
    word = "I" if bits == 32 else "Q"
    header_size, segment_size = (52, 32) if bits == 32 else (64, 56)
    strings = _Strings()
    names = [(_DT_NEEDED, name) for name in needed]
    names += [(_DT_SONAME, name) for name in ([soname] if isinstance(soname, str) else soname)]
    names += [(_DT_RPATH, rpath)] if rpath is not None else []
    names += [(_DT_RUNPATH, runpath)] if runpath is not None else []
    rows = [(tag, strings.add(name)) for tag, name in names]

    body = bytearray(header_size + 3 * segment_size)
    parts: list[_Part] = []

    def put(name: str, kind: int, data: bytes, link: int = 0, entry_size: int = 0) -> _Part:
        body.extend(bytes(-len(body) % 16))
        part = _Part(name, kind, _ALLOC, len(body), len(data), link, entry_size)
        parts.append(part)
        body.extend(data)
        return part

    interp = put(".interp", _PROGBITS, interpreter.encode() + b"\0") if interpreter else None
    dynamic = None
    if rows:
        table = put(".dynstr", _STRTAB, bytes(strings.data))
        rows += [(_DT_STRTAB, _ADDRESS + table.offset), (_DT_STRSZ, table.size), (0, 0)]
        data = b"".join(struct.pack(order + word * 2, *row) for row in rows)
        dynamic = put(".dynamic", _DYNAMIC, data, link=len(parts), entry_size=struct.calcsize(order + word * 2))
    if go is not None:
        put(".go.buildinfo", _PROGBITS, _go_record(go))

    segments = [(_PT_LOAD, 6, 0, len(body))]
    segments += [(_PT_INTERP, 4, interp.offset, interp.size)] if interp else []
    segments += [(_PT_DYNAMIC, 6, dynamic.offset, dynamic.size)] if dynamic else []
    for index, segment in enumerate(segments):
        row = _segment(order, bits, *segment)
        body[header_size + index * segment_size : header_size + (index + 1) * segment_size] = row
    if debug:
        del body[header_size + 3 * segment_size :]
        body.extend(b"\xde\xad" * 64)  # the debug sections, where the program's content would have been
        parts = [_Part(part.name, _NOBITS, part.flags, part.offset, part.size, part.link) for part in parts]
    table_offset, count = _put_sections(body, parts, order, bits) if section_headers else (0, 0)
    ident = b"\x7fELF" + bytes([1 if bits == 32 else 2, 2 if big_endian else 1, 1]) + bytes(9)
    body[:header_size] = ident + struct.pack(
        f"{order}HHI{word * 3}IHHHHHH",
        *(type_, machine, 1, 0, header_size, table_offset, 0),
        *(header_size, segment_size, len(segments), 40 if bits == 32 else 64, count, max(0, count - 1)),
    )
    return bytes(body)


class _Strings:
    def __init__(self) -> None:
        self.data = bytearray(1)

    def add(self, text: str) -> int:
        start = len(self.data)
        self.data += text.encode(errors="surrogateescape") + b"\0"
        return start


def _segment(order: str, bits: int, type_: int, flags: int, offset: int, size: int) -> bytes:
    address = _ADDRESS + offset
    if bits == 32:
        return struct.pack(order + "8I", type_, offset, address, address, size, size, flags, 1)
    return struct.pack(order + "2I6Q", type_, flags, offset, address, address, size, size, 1)


def _put_sections(body: bytearray, parts: Sequence[_Part], order: str, bits: int) -> tuple[int, int]:
    names = _Strings()
    rows = [(names.add(part.name), part) for part in parts]
    own = names.add(".shstrtab")
    start = len(body)
    body.extend(names.data)
    rows.append((own, _Part(".shstrtab", _STRTAB, 0, start, len(names.data))))
    body.extend(bytes(-len(body) % 8))
    offset = len(body)
    form = order + ("10I" if bits == 32 else "2I4Q2I2Q")
    body.extend(bytes(struct.calcsize(form)))
    for name, part in rows:
        address = _ADDRESS + part.offset if part.flags & _ALLOC else 0
        row = (name, part.type, part.flags, address, part.offset, part.size, part.link, 0, 1, part.entry_size)
        body.extend(struct.pack(form, *row))
    return offset, len(rows) + 1


def _go_record(settings: Mapping[str, str]) -> bytes:
    lines = ["path\texample.com/hello", *(f"build\t{name}={value}" for name, value in settings.items()), ""]
    sentinel = bytes(range(16))
    module = sentinel + "\n".join(lines).encode() + sentinel
    head = b"\xff Go buildinf:" + bytes([8, 2]) + bytes(16)
    return head + _length(b"go1.24.1") + b"go1.24.1" + _length(module) + module


def _length(data: bytes) -> bytes:
    left, out = len(data), bytearray()
    while left >= 0x80:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])
