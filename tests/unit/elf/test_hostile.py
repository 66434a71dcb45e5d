"""read_elf on bytes that no linker made: it answers or raises ElfError, and it does so soon."""

from __future__ import annotations

import contextlib
import io
import struct

from hypothesis import given
from hypothesis import strategies as st

from melpy.elf.model import ElfError
from melpy.elf.reader import read_elf
from tests.factories.clock import cpu_seconds
from tests.factories.elf import elf

WHOLE = [
    elf(
        bits=bits,
        big_endian=big_endian,
        interpreter="/lib/ld.so.1",
        needed=["libc.so.6", "libm.so.6"],
        soname="liba.so.1",
        go={"CGO_ENABLED": "1"},
        section_headers=section_headers,
    )
    for bits in (32, 64)
    for big_endian in (True, False)
    for section_headers in (True, False)
]
NUMBERS = st.sampled_from([0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1])


def read(data: bytes) -> None:
    with contextlib.suppress(ElfError):
        read_elf(io.BytesIO(data))


@given(st.binary(max_size=512))
def test_random_bytes(data: bytes) -> None:
    read(b"\x7fELF" + data)


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 1200), NUMBERS, st.sampled_from([1, 2, 4, 8]))))
def test_files_with_numbers_changed(data: bytes, changes: list[tuple[int, int, int]]) -> None:
    mutated = bytearray(data)
    for place, number, size in changes:
        start = place % (len(data) - size)
        mutated[start : start + size] = (number & (2 ** (8 * size) - 1)).to_bytes(size, "little")
    read(bytes(mutated))


@given(st.sampled_from(WHOLE), st.integers(0, 2000))
def test_files_cut_off(data: bytes, end: int) -> None:
    read(data[:end])


def test_many_headers_do_not_take_long() -> None:
    count = 0xFFFE
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    segments = struct.pack("<2I6Q", 2, 4, 64, 0, 0, 16, 16, 1) * count
    sections = struct.pack("<2I4Q2I2Q", 0, 8, 2, 1, 64, 16, 0, 0, 1, 0) * count
    fields = (3, 62, 1, 0, 64, 64 + len(segments), 0, 64, 56, count, 64, count, 0)
    header += struct.pack("<HHIQQQIHHHHHH", *fields)
    start = cpu_seconds()
    read(header + segments + sections)
    assert cpu_seconds() - start < 5
