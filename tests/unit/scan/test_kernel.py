from __future__ import annotations

import gzip
import lzma
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melpy.scan.kernel_image import find_kernel_version, find_module_version, unpack

if TYPE_CHECKING:
    from tests.unit.scan.conftest import Scan

BANNER = b"\0junk\0Linux version %s\0Linux version 6.17.7-test (builder) #1\n\0"
MODULE = bytes(100) + b"\0vermagic=6.17.7-test SMP mod_unload \0"
# `zstd` of MODULE, since the standard library cannot write it before Python 3.14.
ZSTD_MODULE = b"\x28\xb5\x2f\xfd\x20" + bytes([len(MODULE)]) + struct.pack("<I", len(MODULE) << 3 | 1)[:3] + MODULE


def bzimage() -> bytes:
    image = bytearray(1100)
    image[514:518] = b"HdrS"
    image[526:528] = struct.pack("<H", 1000 - 0x200)
    image[1000:1020] = b"6.17.7-test (me) #1\0"
    return bytes(image)


def uki(kernel: bytes) -> bytes:
    head = b"MZ" + bytes(58) + struct.pack("<I", 64)
    pe = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 2, 0, 0, 0, 8, 0) + bytes(8)
    start = len(head) + len(pe) + 80
    sections = b"".join(
        struct.pack("<8sIIII", name, 0, 0, size, place) + bytes(16)
        for name, size, place in ((b".osrel", 0, 0), (b".linux", len(kernel), start))
    )
    return head + pe + sections + kernel


@pytest.mark.parametrize(
    "image",
    [
        bzimage(),
        BANNER,
        gzip.compress(BANNER, mtime=0),
        b"EFI stub" + gzip.compress(BANNER, mtime=0) + b"more",
        gzip.compress(BANNER, mtime=0) + b"more",
        uki(bzimage()),
    ],
)
def test_kernel_images(image: bytes) -> None:
    assert find_kernel_version(image) == "6.17.7-test"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ",
        b"MZ" + b"\xff" * 100,
        uki(b"")[:150],
        b"\x1f\x8b\x08",
        gzip.compress(b"nothing", mtime=0),
        bytes(514) + b"HdrS",
        bytes(514) + b"HdrS" + bytes(8) + b"\xff\xff",
        b"Linux version %s",
    ],
)
def test_other_files_have_no_kernel_version(data: bytes) -> None:
    assert find_kernel_version(data) is None


@pytest.mark.parametrize("data", [MODULE, gzip.compress(MODULE, mtime=0), lzma.compress(MODULE), ZSTD_MODULE])
def test_modules(data: bytes) -> None:
    assert find_module_version(data) == "6.17.7-test"


@given(st.sampled_from([b"", b"MZ", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]), st.binary())
def test_any_bytes_are_looked_at(start: bytes, data: bytes) -> None:
    find_kernel_version(start + data)
    find_module_version(start + data)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_unpacking_has_a_limit(pack: type[bytes]) -> None:
    assert len(unpack(pack(bytes(8 << 20)), limit=1 << 20)) <= 2 << 20


def test_a_kernel_is_provided_and_its_modules_need_it(scan: Scan) -> None:
    assert scan({"boot/vmlinuz": bzimage()}).provides == ("linux:6.17.7-test",)
    modules = scan({"usr/lib/modules/6/kernel/a.ko": MODULE, "lib/modules/6/b.ko.gz": gzip.compress(MODULE, mtime=0)})
    assert modules.depends == ("linux:6.17.7-test",)


def test_a_module_elsewhere_needs_no_kernel(scan: Scan) -> None:
    found = scan({"opt/a.ko": MODULE, "boot/a.ko": MODULE})
    assert found.depends == ()
