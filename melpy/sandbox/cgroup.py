"""A control group of its own for a sandbox, where this user may make one: it counts all processes together.

Version 2 only. A group is delegated when its files belong to the user, as those of `systemd-run --user --scope
-p Delegate=yes` and of rootless containers do. Elsewhere limits are set for each process (setrlimit). Source: the
kernel's Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.sandbox.model import Limits

_MOUNT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_WANTED = ("memory", "pids")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")


class Group(Noun, frozen=True):
    """A control group that was made for one run of a sandbox.

    Attributes:
        path: its directory.
    """

    path: Path

    @property
    def peak(self) -> int:
        """The most memory that all its processes together had, in bytes; 0 where the kernel does not say."""
        return self._number("memory.peak")

    @property
    def killed(self) -> bool:
        """Whether a process was killed since there was no more memory."""
        text = self._text("memory.events")
        return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in text.splitlines())

    def _number(self, name: str) -> int:
        text = self._text(name).strip()
        return int(text) if text.isdecimal() else 0

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except OSError:
            return ""


def find_parent(own: Path = _OWN, mount: Path = _MOUNT) -> Path | None:
    """Return the group that melpy is in, if it may make groups with limits in it; None otherwise."""
    try:
        line = next(line for line in own.read_text().splitlines() if line.startswith("0::"))
        group = mount / line[4:]
        parent = group.parent if group.name == _leaf() else group  # which it left when it asked before
        controllers = (parent / "cgroup.controllers").read_text().split()
    except (OSError, StopIteration):
        return None
    if not set(_WANTED) <= set(controllers) or not os.access(parent, os.W_OK):
        return None
    return parent if _enable(parent) else None


def _enable(parent: Path) -> bool:
    """Have the limits reach groups below; those who are in the group itself must leave it, and that is melpy alone.

    Processes that melpy forks later are where it is then.
    """
    switch = parent / "cgroup.subtree_control"
    with suppress(OSError):
        if set(_WANTED) <= set(switch.read_text().split()):
            return True
    leaf = parent / _leaf()
    try:
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text("0")
        switch.write_text(" ".join(f"+{name}" for name in _WANTED))
    except OSError:
        with suppress(OSError):
            (parent / "cgroup.procs").write_text("0")
            leaf.rmdir()
        return False
    return True


@functools.lru_cache(maxsize=1)
def _leaf() -> str:
    # Process ids are no names: melpy in another PID namespace may share this group, and has the same ones.
    return f"melpy-{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def limited(limits: Limits, parent: Path | None, name: str = "") -> Iterator[Group | None]:
    """Make a group with these limits; None where there is no parent, or nothing that it would limit.

    Args:
        limits: the limits.
        parent: the group that it is made in.
        name: what tells it from other groups that this process and those that were forked from it make.
    """
    if parent is None or not (limits.memory or limits.processes):
        yield None
        return
    path = parent / f"{_leaf()}-{_UNSAFE.sub('_', name) or 'build'}"
    try:
        path.mkdir(exist_ok=True)
        for file, value in (("memory.max", limits.memory), ("memory.swap.max", 0), ("pids.max", limits.processes)):
            if value or (file == "memory.swap.max" and limits.memory):
                with suppress(FileNotFoundError):
                    (path / file).write_text(str(value))
    except OSError:
        yield None
        return
    try:
        yield Group(path)
    finally:
        with suppress(OSError):  # whatever was in it has ended with its sandbox
            path.rmdir()
