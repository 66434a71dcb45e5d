"""Programs of another architecture, run by QEMU in a user namespace of melpy's own."""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from melpy.arch import host_arch, parse_arch
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.model import Root, SandboxSpec
from melpy.sandbox.runner import run_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRY = Path("/proc/sys/fs/binfmt_misc")


def aarch64_program() -> bytes:
    """A static ELF executable for aarch64 that writes `aarch64` and ends with status 5."""
    text = b"aarch64\n"
    code = struct.pack(
        "<8I",
        0xD2800020,  # mov x0, #1
        0x100000E1,  # adr x1, text
        0xD2800002 | len(text) << 5,  # mov x2, #length
        0xD2800808,  # mov x8, #64 (write)
        0xD4000001,  # svc #0
        0xD28000A0,  # mov x0, #5
        0xD2800BA8,  # mov x8, #93 (exit)
        0xD4000001,  # svc #0
    )
    base, offset = 0x400000, 64 + 56
    size = offset + len(code) + len(text)
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, base + offset, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return header + segment + code + text


@pytest.fixture
def sandbox(tmp_path: Path, require: Callable[..., None]) -> SandboxSpec:
    if host_arch().apk == "aarch64":
        pytest.skip("this machine is aarch64 itself")
    require("bwrap", "qemu-aarch64-static")
    program = tmp_path / "layer/program"
    program.parent.mkdir()
    program.write_bytes(aarch64_program())
    program.chmod(0o755)
    return SandboxSpec(
        root=Root((program.parent,), tmp_path / "upper", tmp_path / "work", tmp_path / "root"),
        command=("/program",),
        workdir=PurePosixPath("/"),
        environment=(),
        state=tmp_path / "state",
        emulator=find_emulator(parse_arch("aarch64")),
    )


def test_a_foreign_program_runs(sandbox: SandboxSpec) -> None:
    lines: list[str] = []
    assert run_sandbox(sandbox, lines.append).status == 5
    assert lines == ["aarch64"]


def test_nothing_is_registered_on_the_host(sandbox: SandboxSpec) -> None:
    before = sorted(REGISTRY.iterdir()) if REGISTRY.exists() else []
    run_sandbox(sandbox, lambda _: None)
    after = sorted(REGISTRY.iterdir()) if REGISTRY.exists() else []
    assert before == after


def test_the_machine_runs_its_own_programs_itself() -> None:
    assert find_emulator(host_arch()) is None
