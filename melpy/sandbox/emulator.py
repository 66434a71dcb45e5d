"""Running programs of another architecture through QEMU's user-mode emulation.

melpy registers QEMU in a binfmt_misc of its own user namespace (Linux 6.7 or newer), so the host needs no set-up
and no root. On an older kernel the host's own registration is used, if there is one.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.arch import host_arch, is_native
from melpy.errors import EmulationError
from melpy.sandbox.model import Emulator

if TYPE_CHECKING:
    from melpy.arch import Arch

_HOST_REGISTRY = Path("/proc/sys/fs/binfmt_misc")
_INSTALL = "install qemu-user-static (Debian, Ubuntu, Fedora) or qemu-user (Arch)"


def find_emulator(arch: Arch) -> Emulator | None:
    """Return how programs of `arch` run here; None when the machine runs them itself.

    Raises:
        EmulationError: they cannot be run here; the hint says what to install or do.
    """
    host = host_arch()
    if is_native(arch, host):
        return None
    if not _can_mount_registry(os.uname().release):
        return _host_registration(arch)
    interpreter = _find_interpreter(arch)
    return Emulator(arch.apk, interpreter, registration(arch, interpreter))


def _find_interpreter(arch: Arch) -> str:
    for name in (f"qemu-{arch.qemu}-static", f"qemu-{arch.qemu}"):
        path = shutil.which(name)
        if path:
            return os.path.realpath(path)
    raise EmulationError(f"no emulator for {arch}: qemu-{arch.qemu}-static is not installed", hint=_INSTALL)


def _can_mount_registry(release: str) -> bool:
    match = re.match(r"(\d+)\.(\d+)", release)
    return match is not None and (int(match[1]), int(match[2])) >= (6, 7)


def _host_registration(arch: Arch) -> Emulator:
    try:
        text = (_HOST_REGISTRY / f"qemu-{arch.qemu}").read_text()
    except OSError:
        text = ""
    flags = re.search(r"^flags: *(\S*)$", text, re.MULTILINE)
    if text.startswith("enabled") and flags and "F" in flags[1]:
        return Emulator(arch.apk)
    raise EmulationError(
        f"programs of {arch} cannot be run here: this kernel is older than 6.7, and the host has not registered QEMU",
        hint=f"use a kernel of 6.7 or newer, or {_INSTALL} and its binfmt registration with the F flag",
    )


def registration(arch: Arch, interpreter: str) -> bytes:
    """Return the line for binfmt_misc: executables and shared objects whose ELF header says `arch`.

    The flags: P keeps the program's own name, O hands over the opened file, F opens the emulator now, so that it
    need not be in the sandbox. Source: the kernel's Documentation/admin-guide/binfmt-misc.rst.
    """
    order = ">" if arch.big_endian else "<"
    ident = b"\x7fELF" + bytes([1 if arch.elf_class == 32 else 2, 2 if arch.big_endian else 1, 1]) + bytes(9)
    magic = ident + struct.pack(f"{order}HH", 2, arch.machine)
    # Any OS ABI; types 2 (executable) and 3 (position independent) differ in the lowest bit.
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + struct.pack(f"{order}HH", 0xFFFE, 0xFFFF)
    return b":melpy-%s:M:0:%s:%s:%s:POF" % (
        arch.qemu.encode(),
        _escape(magic),
        _escape(mask),
        os.fsencode(interpreter),
    )


def _escape(data: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in data)
