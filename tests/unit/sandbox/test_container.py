"""The kernel's list of mounts, read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.sandbox import container
from melpy.sandbox.container import find_covers, find_file_system, is_chroot, load_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

MOUNTS = """\
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw,nosuid shared:2 - proc proc rw
22 21 0:6 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw
23 20 0:7 / /with\\040space rw - tmpfs none rw
24 20 0:8 / /with\\040space rw - overlay none rw
"""
MASKED = """\
25 21 0:5 /sys /proc/sys ro,nosuid - proc proc rw
26 21 0:9 / /proc/acpi ro - tmpfs tmpfs ro
"""


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have the kernel's file of mounts say something: only root could make these, and not all of them."""

    def say(text: str) -> None:
        monkeypatch.setattr(container, "_read", lambda path: text if path.name == "mountinfo" else "")

    return say


def test_mounts_on_one_another_and_names_with_spaces(mounts: Callable[[str], None]) -> None:
    mounts(MOUNTS)
    assert find_file_system(Path("/with space/file")) == "overlay"
    assert find_file_system(Path("/with spaces")) == "ext4"
    assert [mount.path for mount in load_mounts()][-1] == "/with space"


def test_what_covers_parts_of_proc(mounts: Callable[[str], None]) -> None:
    mounts(MOUNTS)
    assert find_covers() == []
    mounts(MOUNTS + MASKED)
    assert find_covers() == ["/proc/sys", "/proc/acpi"]
    mounts(MOUNTS.replace("/proc rw,nosuid", "/proc ro,nosuid"))
    assert find_covers() == ["/proc (read-only)"]


def test_a_chroot_has_no_root_of_its_own(mounts: Callable[[str], None]) -> None:
    assert not is_chroot()
    mounts(MOUNTS.replace(" / / rw", " / /elsewhere rw"))
    assert is_chroot()
    mounts("")  # without /proc nothing is known
    assert not is_chroot()
