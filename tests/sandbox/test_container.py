"""Where a process runs, compared with what other programs say of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from melpy.sandbox import container
from melpy.sandbox.container import find_file_system, find_status, has_capability


@pytest.mark.parametrize("path", ["/", "/proc", "/dev/shm"])
def test_the_file_system_is_that_which_stat_names(path: str) -> None:
    named = subprocess.run(["stat", "-fc", "%T", path], capture_output=True, text=True, check=True).stdout.strip()
    names = {"ext2/ext3": "ext4", "overlayfs": "overlay"}
    assert find_file_system(Path(path)) == names.get(named, named)


def test_capabilities_are_those_that_capsh_decodes() -> None:
    decoded = subprocess.run(
        ["capsh", f"--decode={find_status('CapEff')}"], capture_output=True, text=True, check=False
    )
    if decoded.returncode:
        pytest.skip("capsh is not installed")
    assert has_capability(container.SYS_ADMIN) == ("cap_sys_admin" in decoded.stdout)
    assert has_capability(container.SETFCAP) == ("cap_setfcap" in decoded.stdout)
