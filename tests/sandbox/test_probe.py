"""The program that tells that a sandbox runs: for this machine it runs as it is, for others under QEMU."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from melpy.arch import ARCHES, host_arch
from melpy.sandbox.probe import PROBE_STATUS, probe_program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", sorted(ARCHES))
def test_it_ends_with_its_status(tmp_path: Path, name: str) -> None:
    arch = ARCHES[name]
    program = tmp_path / "probe"
    program.write_bytes(probe_program(arch))
    program.chmod(0o755)
    emulator = shutil.which(f"qemu-{arch.qemu}-static") or shutil.which(f"qemu-{arch.qemu}")
    if arch != host_arch() and emulator is None:
        pytest.skip(f"QEMU for {name} is not installed")
    command = [str(program)] if arch == host_arch() else [str(emulator), str(program)]
    assert subprocess.run(command, check=False).returncode == PROBE_STATUS
