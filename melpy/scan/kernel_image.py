"""The version in the bytes of a Linux kernel or module, packed or not.

Takes bytes, gives out a version such as `6.17.7-test` or nothing: a file that is no kernel is not an error. Every
value in the bytes is checked before it is followed, and what is unpacked has a limit.
Sources: Documentation/arch/x86/boot.rst (the `HdrS` header), the PE format (unified kernel images keep the kernel in a
section `.linux`), `UTS_VERSION` (`Linux version ` opens the kernel's banner), `VERMAGIC_STRING` of modules.
"""

from __future__ import annotations

import re
import struct
import zlib

Bytes = bytes | bytearray

_VERSION = re.compile(rb"[0-9.\-_A-Za-z]+")
_BANNER = b"Linux version "
_VERMAGIC = b"vermagic="
_GZIP = b"\x1f\x8b\x08"
_GZIP_WINDOW = 31  # zlib's number for a 32 KiB window and a gzip header
_XZ = b"\xfd7zXZ\x00"
_ZSTD = b"\x28\xb5\x2f\xfd"
_HDRS_OFFSET, _HDRS = 514, b"HdrS"
_POINTER_OFFSET, _POINTER_BASE = 526, 0x200
_UNPACKED_LIMIT = 128 << 20  # twice the largest kernel
_PIECE = 1 << 20
_OVERLAP = 256  # longer than a marker and a version, which may lie across two pieces


def find_kernel_version(data: bytes) -> str | None:
    """Return the version of a kernel image: bzImage, vmlinux, packed vmlinux or unified kernel image."""
    if data.startswith(_GZIP):
        return _find_in_kernel(unpack(data))
    return _find_in_kernel(_find_linux_section(data) or data)


def _find_in_kernel(data: Bytes) -> str | None:
    return _find_in_boot_header(data) or _find_in_packed(data) or _find_after(data, _BANNER)


def _find_in_boot_header(data: Bytes) -> str | None:
    if data[_HDRS_OFFSET : _HDRS_OFFSET + len(_HDRS)] != _HDRS or len(data) < _POINTER_OFFSET + 2:
        return None
    (pointer,) = struct.unpack_from("<H", data, _POINTER_OFFSET)
    return _parse_version(data, pointer + _POINTER_BASE) if pointer else None


def _find_in_packed(data: Bytes) -> str | None:
    start = data.find(_GZIP)
    return _find_after(_unpack_gzip(memoryview(data)[start:], _UNPACKED_LIMIT), _BANNER) if start >= 0 else None


def find_module_version(data: bytes) -> str | None:
    """Return the version of the kernel that a module was built for; gzip, xz and zstd are unpacked first."""
    is_packed = data.startswith((_GZIP, _XZ, _ZSTD))
    return _find_after(unpack(data) if is_packed else data, _VERMAGIC)


def _find_after(data: Bytes, marker: bytes) -> str | None:
    start = data.find(marker)
    while start >= 0:
        # The kernel's sources and debug data have the marker without a version, as in "Linux version %s".
        version = _parse_version(data, start + len(marker))
        if version:
            return version
        start = data.find(marker, start + 1)
    return None


def _parse_version(data: Bytes, start: int) -> str | None:
    match = _VERSION.match(data, start, start + _OVERLAP)
    return match[0].decode() if match else None


def _find_linux_section(data: bytes) -> bytes | None:
    """Return the content of the PE section `.linux`, or None when there is none."""
    try:
        return _read_linux_section(data)
    except struct.error:  # a header that points outside the file
        return None


def _read_linux_section(data: bytes) -> bytes | None:
    if not data.startswith(b"MZ"):
        return None
    (header,) = struct.unpack_from("<I", data, 0x3C)
    if data[header : header + 4] != b"PE\0\0":
        return None
    (count,) = struct.unpack_from("<H", data, header + 6)
    (optional,) = struct.unpack_from("<H", data, header + 20)
    for index in range(count):
        name, size, start = struct.unpack_from("<8s8xII", data, header + 24 + optional + 40 * index)
        if name.rstrip(b"\0") == b".linux":
            return data[start : start + size]
    return None


def unpack(data: bytes, limit: int = _UNPACKED_LIMIT) -> bytearray:
    """Return packed data unpacked, as far as it is sound and not beyond the limit; what follows it is ignored.

    It is not copied to become bytes: it may be as large as the limit.
    """
    return _unpack_gzip(memoryview(data), limit) if data.startswith(_GZIP) else _unpack_other(data, limit)


def _unpack_gzip(data: memoryview, limit: int) -> bytearray:
    # zlib stops at the end of the gzip member, after which a kernel image goes on with other things.
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    unpacked = bytearray()
    try:
        for start in range(0, len(data), _PIECE):
            unpacked += unpacker.decompress(data[start : start + _PIECE], limit - len(unpacked))
            if unpacker.eof or len(unpacked) >= limit:
                break
    except zlib.error:
        pass
    return unpacked


def _unpack_other(data: bytes, limit: int) -> bytearray:
    import libarchive  # noqa: PLC0415  # it takes 6 ms, and few packages have a kernel

    unpacked = bytearray()
    try:
        # No other filter: for some, libarchive runs programs of this machine.
        packed_by = "xz" if data.startswith(_XZ) else "zstd"
        with libarchive.memory_reader(data, format_name="raw", filter_name=packed_by) as archive:
            for entry in archive:
                for piece in entry.get_blocks():
                    unpacked += piece
                    if len(unpacked) >= limit:
                        return unpacked
    except libarchive.ArchiveError:
        pass
    return unpacked
