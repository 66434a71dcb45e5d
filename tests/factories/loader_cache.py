"""Reading ld.so.cache in tests, the way glibc's loader does."""

from __future__ import annotations

import struct
from typing import NamedTuple


class Found(NamedTuple):
    """One entry of a cache."""

    soname: str
    path: str
    flags: int
    hwcaps: str


def read_cache(data: bytes) -> list[Found]:
    """Return the entries of a cache of either byte order, as they stand in it."""
    assert data[:20] == b"glibc-ld.so.cache1.1"
    order = {2: "<", 3: ">"}[data[28] & 3]
    count, strings, _, extension = struct.unpack_from(f"{order}IIB3xI", data, 20)
    assert extension >= 48 + 24 * count + strings
    names = _read_names(data, order, extension) if extension else []
    entries = []
    for number in range(count):
        flags, key, value, _, hwcap = struct.unpack_from(f"{order}iIIIQ", data, 48 + 24 * number)
        capability = names[hwcap & 0xFFFFFFFF] if hwcap >> 62 else ""
        entries.append(Found(_text(data, key), _text(data, value), flags, capability))
    return entries


def _read_names(data: bytes, order: str, offset: int) -> list[str]:
    assert offset % 4 == 0
    magic, count = struct.unpack_from(f"{order}II", data, offset)
    assert magic == 0xEAA42174
    names: list[str] = []
    for number in range(count):
        tag, _, place, size = struct.unpack_from(f"{order}IIII", data, offset + 8 + 16 * number)
        assert place + size <= len(data)
        if tag == 1:
            assert place % 4 == 0
            names = [_text(data, one) for one in struct.unpack_from(f"{order}{size // 4}I", data, place)]
    return names


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()
