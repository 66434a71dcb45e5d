"""The nouns of the sandbox. A sandbox is a value; running it is another module's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

BASE_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETUID",
)
"""What installing files may need. They reach only what belongs to the sandbox's own user namespace."""


@dataclass(frozen=True)
class Mount:
    """A directory or file of this machine that is seen inside."""

    source: Path
    target: PurePosixPath
    writable: bool = False


@dataclass(frozen=True)
class Emulator:
    """How programs of another architecture are run.

    Attributes:
        arch: APK name of the architecture.
        interpreter: QEMU's user-mode emulator on this machine; empty when the host's own registration is used.
        registration: line for binfmt_misc, empty likewise.
    """

    arch: str
    interpreter: str = ""
    registration: bytes = b""


@dataclass(frozen=True)
class Root:
    """A root directory as overlay layers.

    Attributes:
        layers: read-only directories, topmost first.
        upper: directory that takes the changes; it and `work` lie on one file system.
        work: overlayfs' own directory.
        mountpoint: an empty directory to mount on; the mount is seen by the sandbox only.
    """

    layers: tuple[Path, ...]
    upper: Path
    work: Path
    mountpoint: Path


@dataclass(frozen=True)
class SandboxSpec:
    """One command in one sandbox.

    Attributes:
        root: what is seen as `/`.
        command: the command and its arguments, paths as seen inside.
        workdir: directory to start in, as seen inside.
        environment: the whole environment.
        mounts: what else is seen.
        user: uid and gid inside.
        capabilities: Linux capabilities that the command keeps.
        network: whether the machine's network is seen; otherwise there is a loopback only.
        emulator: needed when the root is of another architecture.
        state: directory for files that set-up needs, on a file system of this machine.
    """

    root: Root
    command: tuple[str, ...]
    workdir: PurePosixPath
    environment: tuple[tuple[str, str], ...]
    state: Path
    mounts: tuple[Mount, ...] = ()
    user: tuple[int, int] = (1000, 1000)
    capabilities: tuple[str, ...] = BASE_CAPABILITIES
    network: bool = False
    emulator: Emulator | None = None
