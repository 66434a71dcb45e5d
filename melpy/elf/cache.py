"""The cache by which glibc's loader finds libraries: `/etc/ld.so.cache`, in the form `glibc-ld.so.cache1.1`.

A header, entries of fixed size in descending order of the libraries' names (numbers in names compared as numbers),
and the names and paths as NUL-terminated strings. Source: glibc's elf/cache.c, sysdeps/generic/dl-cache.h and
ldconfig.h.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from melpy.arch import Arch

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER_SIZE = 48
_ENTRY_SIZE = 24
_LIBC6 = 3
_FLAGS = {
    "x86": _LIBC6,
    "x86_64": _LIBC6 | 0x0300,
    "aarch64": _LIBC6 | 0x0A00,
    "armhf": _LIBC6 | 0x0B00,
    "armv7": _LIBC6 | 0x0900,
    "loongarch64": _LIBC6 | 0x1200,
    "ppc64le": _LIBC6 | 0x0500,
    "riscv64": _LIBC6 | 0x1000,
    "s390x": _LIBC6 | 0x0400,
}
_LITTLE, _BIG = 2, 3
_PIECE = re.compile(r"[0-9]+|.", re.DOTALL)


class Library(NamedTuple):
    """A shared library: the soname that programs ask for, and where it is."""

    soname: str
    path: str


def render_loader_cache(libraries: Iterable[Library], arch: Arch) -> bytes:
    """Return the cache for these libraries; of several with one soname, the loader takes the first."""
    order = ">" if arch.big_endian else "<"
    # Sorting keeps the order of equals, in reverse too.
    ordered = sorted(libraries, key=lambda library: _sort_key(library.soname), reverse=True)
    strings, entries = bytearray(), bytearray()
    start = _HEADER_SIZE + _ENTRY_SIZE * len(ordered)
    for library in ordered:
        key = start + len(strings)
        strings += library.soname.encode(errors="surrogateescape") + b"\0"
        value = start + len(strings)
        strings += library.path.encode(errors="surrogateescape") + b"\0"
        entries += struct.pack(f"{order}iIIIQ", _FLAGS[arch.apk], key, value, 0, 0)
    byte_order = _BIG if arch.big_endian else _LITTLE
    header = _MAGIC + struct.pack(f"{order}IIB3xI12x", len(ordered), len(strings), byte_order, 0)
    return bytes(header + entries + strings)


def _sort_key(name: str) -> list[tuple[int, int]]:
    """Return a key that orders names as `_dl_cache_libcmp` does: runs of digits as numbers, above other characters."""
    return [(1, int(piece)) if piece.isdigit() else (0, ord(piece)) for piece in _PIECE.findall(name)]
