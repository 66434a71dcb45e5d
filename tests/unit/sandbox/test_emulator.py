"""What the kernel is told about programs of another architecture.

Magic and mask are compared with what QEMU's scripts/qemu-binfmt-conf.sh registers.
"""

from __future__ import annotations

import pytest

from melpy.arch import ARCHES, host_arch
from melpy.sandbox.emulator import find_emulator, registration

MASK_LITTLE = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
MASK_BIG = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff"


@pytest.mark.parametrize(
    ("arch", "magic", "mask"),
    [
        ("aarch64", rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00", MASK_LITTLE),
        ("x86_64", rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00", MASK_LITTLE),
        ("armv7", rb"\x7f\x45\x4c\x46\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00", MASK_LITTLE),
        ("riscv64", rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00", MASK_LITTLE),
        ("s390x", rb"\x7f\x45\x4c\x46\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16", MASK_BIG),
        (
            "loongarch64",
            rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x02\x01",
            MASK_LITTLE,
        ),
    ],
)
def test_registration(arch: str, magic: bytes, mask: bytes) -> None:
    qemu = ARCHES[arch].qemu
    line = registration(ARCHES[arch], f"/usr/bin/qemu-{qemu}")
    assert line == b":melpy-%s:M:0:%s:%s:/usr/bin/qemu-%s:POF" % (qemu.encode(), magic, mask, qemu.encode())


@pytest.mark.parametrize("arch", sorted(ARCHES))
def test_the_kernel_takes_at_most_1920_bytes(arch: str) -> None:
    assert len(registration(ARCHES[arch], "/a/long/way/" * 20 + "qemu")) < 1920


def test_this_machine_needs_no_emulator() -> None:
    assert find_emulator(host_arch()) is None
