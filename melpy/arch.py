"""Architectures and what each world calls them.

APK names are melpy's own; the others are needed at the borders: Go and OCI, GNU and Rust triplets, Debian, ELF,
QEMU. The triplets are those that melange gives to recipes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.errors import SettingsError, hint_near

if TYPE_CHECKING:
    from collections.abc import Sequence

NOARCH = "noarch"
"""What packages and recipes say that are for every architecture."""


class Arch(Noun, frozen=True):
    """One architecture.

    Attributes:
        apk: name in packages and repositories, `x86_64`.
        go: Go and OCI name, `amd64`.
        gnu: GNU triplet without the libc suffix; `{libc}` stands for it.
        rust: Rust triplet, likewise.
        debian: Debian's name.
        multiarch: Debian's library directory below /usr/lib.
        machine: ELF `e_machine`.
        elf_class: 32 or 64.
        big_endian: byte order of its ELF files.
        qemu: suffix of QEMU's user-mode emulator, `qemu-<suffix>`.
        uname: what `uname -m` prints there.
    """

    apk: str
    go: str
    gnu: str
    rust: str
    debian: str
    multiarch: str
    machine: int
    elf_class: int
    big_endian: bool
    qemu: str
    uname: str

    def __str__(self) -> str:
        return self.apk

    def gnu_triplet(self, libc: str = "gnu") -> str:
        """Return the GNU triplet with the libc flavour `gnu` or `musl`."""
        return self.gnu.format(libc=libc)

    def rust_triplet(self, libc: str = "gnu") -> str:
        """Return the Rust triplet with the libc flavour `gnu` or `musl`."""
        return self.rust.format(libc=libc)


# fmt: off
ARCHES = {
    arch.apk: arch
    for arch in (
        Arch("x86", "386", "i486-pc-linux-{libc}", "i686-unknown-linux-{libc}", "i386", "i386-linux-gnu", 3, 32, False, "i386", "i686"),  # noqa: E501  # one row each
        Arch("x86_64", "amd64", "x86_64-pc-linux-{libc}", "x86_64-unknown-linux-{libc}", "amd64", "x86_64-linux-gnu", 62, 64, False, "x86_64", "x86_64"),  # noqa: E501  # one row each
        Arch("aarch64", "arm64", "aarch64-unknown-linux-{libc}", "aarch64-unknown-linux-{libc}", "arm64", "aarch64-linux-gnu", 183, 64, False, "aarch64", "aarch64"),  # noqa: E501  # one row each
        Arch("armhf", "arm/v6", "arm-unknown-linux-{libc}eabihf", "armv6-unknown-linux-{libc}eabihf", "armel", "arm-linux-gnueabi", 40, 32, False, "arm", "armv6l"),  # noqa: E501  # one row each
        Arch("armv7", "arm/v7", "armv7l-unknown-linux-{libc}eabihf", "armv7-unknown-linux-{libc}eabihf", "armhf", "arm-linux-gnueabihf", 40, 32, False, "arm", "armv7l"),  # noqa: E501  # one row each
        Arch("loongarch64", "loong64", "loong64-unknown-linux-{libc}", "loong64-unknown-linux-{libc}", "loong64", "loongarch64-linux-gnu", 258, 64, False, "loongarch64", "loongarch64"),  # noqa: E501  # one row each
        Arch("ppc64le", "ppc64le", "powerpc64le-unknown-linux-{libc}", "powerpc64le-unknown-linux-{libc}", "ppc64el", "powerpc64le-linux-gnu", 21, 64, False, "ppc64le", "ppc64le"),  # noqa: E501  # one row each
        Arch("riscv64", "riscv64", "riscv64-unknown-linux-{libc}", "riscv64-unknown-linux-{libc}", "riscv64", "riscv64-linux-gnu", 243, 64, False, "riscv64", "riscv64"),  # noqa: E501  # one row each
        Arch("s390x", "s390x", "s390x-ibm-linux-{libc}", "s390x-unknown-linux-{libc}", "s390x", "s390x-linux-gnu", 22, 64, True, "s390x", "s390x"),  # noqa: E501  # one row each
    )
}
# fmt: on

_NATIVE = {("x86", "x86_64")}
_ALIASES = {arch.go: arch.apk for arch in ARCHES.values()} | {"loong64": "loongarch64"}


def parse_arch(name: str) -> Arch:
    """Return the architecture with this APK, Go or OCI name; `host` is the machine melpy runs on.

    Raises:
        SettingsError: no architecture has this name; the error has no place.
    """
    if name == "host":
        return host_arch()
    arch = ARCHES.get(_ALIASES.get(name, name))
    if name == NOARCH:
        hint = f"name the architectures of a repository: a recipe for {NOARCH} packages is built once, for all of them"
        raise SettingsError(f"{NOARCH!r} is no architecture to build for", hint=hint)
    if arch is None:
        raise SettingsError(
            f"unknown architecture {name!r}",
            hint=hint_near(name, [*ARCHES, *_ALIASES, "host", "all"], f"known are host, all, {', '.join(ARCHES)}"),
        )
    return arch


def host_arch() -> Arch:
    """Return the architecture of the running kernel's machine."""
    machine = os.uname().machine
    for arch in ARCHES.values():
        if arch.uname == machine:
            return arch
    raise SettingsError(f"melpy does not know this machine's architecture {machine!r}")


def is_native(arch: Arch, host: Arch) -> bool:
    """Tell whether a machine of an architecture runs the programs of another itself."""
    return arch == host or (arch.apk, host.apk) in _NATIVE


def choose_arch(arches: Sequence[Arch]) -> Arch:
    """Return the architecture whose environment `noarch` packages are built in.

    It is this machine's own where it is among those of a run, else one that this machine runs itself, else the first.
    """
    host = host_arch()
    native = [arch for arch in arches if is_native(arch, host)]
    return host if host in native else (native or arches)[0]
