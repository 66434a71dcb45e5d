"""`/etc/ld.so.cache`: where the dynamic loader finds each library. Written for any architecture, run on none.

Source: glibc's dl-cache.h (format glibc-ld.so.cache1.1 with extensions), cache.c, dl-cache.c and readelflib.c.
"""

from __future__ import annotations

import re
import struct
from typing import IO, TYPE_CHECKING

from melpy.codec import Noun

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable

    from melpy.elf.model import ElfFacts

_MAGIC = b"glibc-ld.so.cache1.1"
_EXTENSIONS = 0xEAA42174
_GENERATOR_TAG, _HWCAPS_TAG = 0, 1
_HWCAP = 1 << 62
_GENERATOR = b"melpy"
_TOKENS = re.compile(r"[0-9]+|[^0-9]")

_LIBC6 = 0x0003
_KINDS = {(62, 64): 0x0300, (22, 64): 0x0400, (21, 64): 0x0500, (62, 32): 0x0800, (183, 64): 0x0A00, (3, 32): 0}
_ARM, _RISCV, _LOONGARCH = 40, 243, 258
_ARM_SOFT = 0x200
_FLAGS_AT = {32: 36, 64: 48}  # where an ELF header has its processor flags


class CacheEntry(Noun, frozen=True):
    """One name that the loader can find.

    Attributes:
        soname: the name.
        path: absolute path of the file.
        flags: kind of library, see `read_kind`.
        hwcaps: name of the processors that it is for, such as `x86-64-v3`; empty is all.
    """

    soname: str
    path: str
    flags: int
    hwcaps: str = ""


def sort_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what orders library names as the loader's search has them: numbers by value, after any letter."""
    return tuple(
        (1, len(token.lstrip("0")), token.lstrip("0")) if token[0] in "0123456789" else (0, ord(token), "")
        for token in _TOKENS.findall(name)
    )


def render_cache(entries: Iterable[CacheEntry], *, big_endian: bool) -> bytes:
    """Return a cache; where a name is there several times, the first one given wins.

    Args:
        entries: the libraries, in the order of their directories.
        big_endian: byte order of the architecture.
    """
    # The loader's binary search wants names in falling order, and within a name those for some processors first.
    ordered = sorted(entries, key=lambda entry: entry.hwcaps)
    ordered.sort(key=lambda entry: (sort_key(entry.soname), entry.flags, bool(entry.hwcaps)), reverse=True)
    order = ">" if big_endian else "<"
    capabilities = sorted({entry.hwcaps for entry in ordered if entry.hwcaps})
    strings, places = _pool(
        [text for entry in ordered for text in (entry.soname, entry.path)] + capabilities, 48 + 24 * len(ordered)
    )
    records = [
        struct.pack(
            f"{order}iIIIQ",
            entry.flags,
            places[entry.soname],
            places[entry.path],
            0,
            _HWCAP | capabilities.index(entry.hwcaps) if entry.hwcaps else 0,
        )
        for entry in ordered
    ]
    strings += bytes(-len(strings) % 4)
    extension = 48 + 24 * len(ordered) + len(strings)
    head = struct.pack(f"{order}20sIIB3xI12x", _MAGIC, len(ordered), len(strings), 3 if big_endian else 2, extension)
    names = struct.pack(f"{order}{len(capabilities)}I", *(places[name] for name in capabilities))
    return b"".join([head, *records, strings, _extensions(order, extension, names)])


def _extensions(order: str, offset: int, names: bytes) -> bytes:
    """Return the sections after the strings: who wrote the cache, and the names of processors."""
    sections = [(_GENERATOR_TAG, _GENERATOR), *([(_HWCAPS_TAG, names)] if names else [])]
    # Names are numbers of four bytes, which lie on a multiple of that.
    sections.sort(key=lambda section: -section[0])
    place = offset + 8 + 16 * len(sections)
    head = struct.pack(f"{order}II", _EXTENSIONS, len(sections))
    table = b""
    for tag, data in sections:
        table += struct.pack(f"{order}IIII", tag, 0, place, len(data))
        place += len(data)
    return head + table + b"".join(data for _, data in sections)


def _pool(texts: Iterable[str], start: int) -> tuple[bytes, dict[str, int]]:
    """Return strings one after the other, and where in the file each stands."""
    places: dict[str, int] = {}
    pieces: list[bytes] = []
    for text in texts:
        if text not in places:
            places[text] = start
            pieces.append(text.encode("utf-8", "surrogateescape") + b"\0")
            start += len(pieces[-1])
    return b"".join(pieces), places


def read_kind(stream: IO[bytes] | io.FileIO, facts: ElfFacts) -> int | None:
    """Return the kind of a library by architecture and ABI; None where glibc has no number for it.

    Args:
        stream: the file.
        facts: what is known of it.
    """
    stream.seek(_FLAGS_AT[facts.elf_class])
    kind = _kind(facts, int.from_bytes(stream.read(4) or b"", "big" if facts.big_endian else "little"))
    return None if kind is None else kind | _LIBC6


def _kind(facts: ElfFacts, flags: int) -> int | None:
    if facts.machine == _ARM:
        return 0x0B00 if flags & _ARM_SOFT else 0x0900
    if facts.machine == _RISCV and facts.elf_class == 64:
        return {0: 0x0F00, 4: 0x1000}.get(flags & 6)
    if facts.machine == _LOONGARCH and facts.elf_class == 64:
        return {1: 0x1100, 3: 0x1200}.get(flags & 7)
    return _KINDS.get((facts.machine, facts.elf_class))
