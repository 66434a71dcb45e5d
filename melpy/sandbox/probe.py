"""A program of a few instructions for every architecture: it ends with a status of its own, which tells that it ran.

It is what `melpy doctor` runs where builds run their steps, so nothing of an architecture need be installed. Source:
the ELF specification, and each kernel's convention for `exit(2)` as in arch/*/include/uapi/asm/unistd.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from melpy.arch import Arch

PROBE_STATUS = 42
_BASE = 0x400000
_PAGE = 0x10000  # the largest page of any of these architectures
_CODE = {
    "x86": "b801000000 bb2a000000 cd80",
    "x86_64": "b83c000000 bf2a000000 0f05",
    "aarch64": "400580d2 a80b80d2 010000d4",
    "armhf": "2a00a0e3 0170a0e3 000000ef",
    "armv7": "2a00a0e3 0170a0e3 000000ef",
    "loongarch64": "04a88003 0b748103 00002b00",
    "ppc64le": "2a006038 01000038 02000044",
    "riscv64": "1305a002 9308d005 73000000",
    "s390x": "a729002a 0a01",
}
"""Load 42 and the number of exit(2) into their registers, and call the kernel."""
_FLAGS = {"armhf": 0x05000000, "armv7": 0x05000000, "loongarch64": 0x43, "ppc64le": 2}
"""e_flags: the ABI, where its number is not 0."""


def probe_program(arch: Arch) -> bytes:
    """Return a static ELF program that ends with PROBE_STATUS."""
    code = bytes.fromhex(_CODE[arch.apk].replace(" ", ""))
    is_wide = arch.elf_class == 64
    order = ">" if arch.big_endian else "<"
    sizes = (64, 56) if is_wide else (52, 32)
    start = sum(sizes)
    size = start + len(code)
    word = "Q" if is_wide else "I"
    ident = b"\x7fELF" + bytes([2 if is_wide else 1, 2 if arch.big_endian else 1, 1]) + bytes(9)
    header = struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(2, arch.machine, 1, _BASE + start, sizes[0], 0, _FLAGS.get(arch.apk, 0), *sizes, 1, 0, 0, 0),
    )
    readable_and_executable = 5
    if is_wide:
        values = (1, readable_and_executable, 0, _BASE, _BASE, size, size, _PAGE)
        segment = struct.pack(f"{order}IIQQQQQQ", *values)
    else:
        values = (1, 0, _BASE, _BASE, size, size, readable_and_executable, _PAGE)
        segment = struct.pack(f"{order}IIIIIIII", *values)
    return ident + header + segment + code
