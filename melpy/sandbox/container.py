"""Where this process runs: which container, with which parts of the kernel withheld.

Only what the kernel and the container engines tell of themselves is read; nothing is tried and nothing is changed.
Source: proc(5), proc_pid_mountinfo(5), and the marks that engines leave in their containers.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator

SETGID, SETUID, SYS_ADMIN, SETFCAP = 6, 7, 21, 31
"""Capabilities, as in the kernel's capability.h."""
_PROC = "/proc"
_OWN_REGISTRY = "/proc/sys/fs/binfmt_misc"
"""A mount of the kernel's own, on a directory made for it: it hides nothing."""
_MARKS = {
    "/run/.containerenv": "podman",
    "/.dockerenv": "docker",
    "/run/systemd/container": "",
    "/var/run/secrets/kubernetes.io": "kubernetes",
}


class MountPoint(Noun, frozen=True):
    """One mount of this process's mount namespace.

    Attributes:
        path: where it is.
        kind: type of the file system, such as `overlay`.
        flags: options of the mount, such as `ro`.
    """

    path: str
    kind: str
    flags: tuple[str, ...]


def find_container() -> str:
    """Return the engine of the container that this is (`docker`, `podman`, `lxc`, ...); empty on a plain machine."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    for mark, name in _MARKS.items():
        path = Path(mark)
        if path.exists():
            return name or _read(path) or "a container"
    # systemd and lxc tell the first process, which an ordinary user cannot read.
    for entry in _read(Path("/proc/1/environ")).split("\0"):
        if entry.startswith("container="):
            return entry.partition("=")[2] or "a container"
    return ""


def is_chroot() -> bool:
    """Tell whether / is not the root of the mount namespace, in which case the kernel makes no user namespaces."""
    paths = [mount.path for mount in load_mounts()]
    return bool(paths) and "/" not in paths


def find_status(name: str) -> str:
    """Return a field of /proc/self/status, such as `Seccomp`; empty where there is none."""
    lines = _read(Path("/proc/self/status")).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), "")


def has_capability(number: int, kind: str = "CapEff") -> bool:
    """Tell whether this process has a capability, by its number.

    Args:
        number: as in capability.h.
        kind: `CapEff` for what it has, `CapBnd` for what programs may gain that it starts.
    """
    return bool(int(find_status(kind) or "0", 16) >> number & 1)


def has_filter() -> bool:
    """Tell whether a seccomp filter decides which system calls this process may make."""
    return find_status("Seccomp") == "2"


def find_label() -> str:
    """Return the AppArmor profile or SELinux context that confines this process; empty where none does."""
    label = _read(Path("/proc/self/attr/current")).strip("\0\n ")
    return "" if label in {"", "unconfined", "kernel"} or label.startswith("unconfined") else label


def find_covers() -> list[str]:
    """Return the paths of /proc that other mounts cover or make read-only: the kernel mounts no second /proc then.

    Source: mount_too_revealing of fs/namespace.c.
    """
    mounts = list(load_mounts())
    whole = [mount for mount in mounts if mount.path == _PROC]
    covered = [f"{_PROC} (read-only)"] if whole and "ro" in whole[-1].flags else []
    return covered + [
        mount.path for mount in mounts if mount.path.startswith(f"{_PROC}/") and mount.path != _OWN_REGISTRY
    ]


def find_file_system(path: Path) -> str:
    """Return the type of the file system that a path is on, such as `ext4`; empty where that is unknown."""
    target = os.path.realpath(path)
    found = ""
    reached = -1
    for mount in load_mounts():
        inside = mount.path in {"/", target} or target.startswith(f"{mount.path}/")
        if inside and len(mount.path) >= reached:  # of those on one place, the last is seen
            found, reached = mount.kind, len(mount.path)
    return found


def load_mounts() -> Iterator[MountPoint]:
    """Yield the mounts of this process, in the order in which they were made."""
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        left, _, right = line.partition(" - ")
        words = left.split()
        if len(words) > 5 and right:
            path = words[4].encode().decode("unicode_escape", "replace") if "\\" in words[4] else words[4]
            yield MountPoint(path, right.split()[0], tuple(words[5].split(",")))


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip("\n")
    return ""
