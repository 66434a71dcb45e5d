"""A step that does nothing, run as builds run theirs: what it says of this machine is what a build would meet.

Its program is made here, for every architecture, so that it needs no package: an ELF header, one segment, and the
system call that ends a process. Sources: elf(5); syscall(2) for the registers; the kernel's tables for the numbers.
"""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from melpy.arch import host_arch
from melpy.errors import SandboxError
from melpy.sandbox.model import Mount, Root, SandboxSpec
from melpy.sandbox.runner import run_sandbox

if TYPE_CHECKING:
    from melpy.arch import Arch
    from melpy.sandbox.model import Emulator, IdRange

_ADDRESS = 0x400000
_PROGRAM = "probe"
_WORKSPACE = PurePosixPath("/home/build")
_CODE = {  # exit_group(0); words are in the order of the architecture's bytes
    "x86": bytes.fromhex("b8fc000000 31db cd80"),
    "x86_64": bytes.fromhex("b8e7000000 31ff 0f05"),
    "aarch64": struct.pack("<3I", 0xD2800BC8, 0xD2800000, 0xD4000001),
    "armhf": struct.pack("<3I", 0xE3A070F8, 0xE3A00000, 0xEF000000),
    "armv7": struct.pack("<3I", 0xE3A070F8, 0xE3A00000, 0xEF000000),
    "loongarch64": struct.pack("<3I", 0x0381780B, 0x03800004, 0x002B0000),
    "ppc64le": struct.pack("<3I", 0x380000EA, 0x38600000, 0x44000002),
    "riscv64": struct.pack("<3I", 0x05E00893, 0x00000513, 0x00000073),
    "s390x": bytes.fromhex("a7290000 0af8"),
}
_FLAGS = {"armhf": 0x05000000, "armv7": 0x05000000, "loongarch64": 0x43, "ppc64le": 2}
"""Flags of the ELF header that name the ABI."""


def try_step(
    state: Path, arch: Arch, *, overlay: bool = True, emulator: Emulator | None = None, ids: IdRange | None = None
) -> None:
    """Run a program in a sandbox such as steps have, to its end.

    Args:
        state: an empty directory, on the file system that builds work on.
        arch: what the program is made for.
        overlay: whether the root is an overlay; otherwise it is a directory, as where roots are copied.
        emulator: runs it.
        ids: ids beside the user's own.

    Raises:
        SandboxError: it cannot be run.
        EmulationError: QEMU cannot be registered.
    """
    lower, upper, workspace = state / "lower", state / "upper", state / "workspace"
    for directory in (lower, upper, workspace):
        directory.mkdir()
    write_program((lower if overlay else upper) / _PROGRAM, arch)
    mountpoint = state / "root" if overlay else upper
    said: list[str] = []
    spec = SandboxSpec(
        root=Root((lower,) if overlay else (), upper, state / "work", mountpoint),
        command=(f"/{_PROGRAM}",),
        workdir=_WORKSPACE,
        environment=(("PATH", "/usr/bin"),),
        state=state / "state",
        mounts=(Mount(workspace, _WORKSPACE, writable=True),),
        emulator=emulator,
        ids=ids,
    )
    spec.state.mkdir()
    outcome = run_sandbox(spec, said.append)
    if outcome.status:
        program = "a program of this machine" if arch == host_arch() else f"a program of {arch}"
        raise SandboxError(f"{program} ends with status {outcome.status} in the sandbox", details=said)


def write_program(path: Path, arch: Arch) -> None:
    """Write a program for an architecture that ends at once, with status 0."""
    order = ">" if arch.big_endian else "<"
    is_wide = arch.elf_class == 64  # bits
    header, segment = (64, 56) if is_wide else (52, 32)
    code = _CODE[arch.apk]
    start, size = header + segment, header + segment + len(code)
    identity = b"\x7fELF" + bytes([2 if is_wide else 1, 2 if arch.big_endian else 1, 1]) + bytes(9)
    word = "Q" if is_wide else "I"
    elf = identity + struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(2, arch.machine, 1, _ADDRESS + start, header, 0),
        *(_FLAGS.get(arch.apk, 0), header, segment, 1, 0, 0, 0),
    )
    place = (0, _ADDRESS, _ADDRESS, size, size)
    readable, alignment = 5, 0x10000
    if is_wide:
        elf += struct.pack(f"{order}IIQQQQQQ", 1, readable, *place, alignment)
    else:
        elf += struct.pack(f"{order}IIIIIIII", 1, *place, readable, alignment)
    path.write_bytes(elf + code)
    path.chmod(0o755)  # whatever the umask is
