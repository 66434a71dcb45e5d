"""Tells a sandbox whose step has ended, though its first process cannot notice.

The first process of a sandbox is bubblewrap's: it waits for the step and ends with it. A step may write into that
process's memory (/proc/1/mem), since both have the same user. Whatever it does to it, what remains is a first process
without a living child, and that is visible from outside. Source: proc(5), `/proc/PID/task/TID/children` and `stat`.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

UNENDING = "left its sandbox unable to end"
"""Why such a sandbox is killed."""

_PROGRAM = "bwrap"
_PATIENCE = 10.0  # seconds; an honest first process ends within milliseconds, and sets up as quickly
_PAUSE = 1.0
_DEPTH = 8  # melpy's own processes above bubblewrap are four


@dataclass
class Liveness:
    """Looks at the processes of a sandbox every now and then.

    Attributes:
        patience: seconds for which the first process may be without a living child.
    """

    patience: float = _PATIENCE
    _next: float = 0.0
    _alone_since: float | None = None

    def look(self, pid: int) -> str:
        """Return why a sandbox is to be killed; empty where it works, or where the kernel does not tell.

        Args:
            pid: melpy's child, from which the sandbox's processes descend.
        """
        now = time.monotonic()
        if now < self._next:
            return ""
        self._next = now + _PAUSE
        first = _find_first(_name_in_proc(pid))
        if first is None or _has_living_child(first):
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= self.patience:
            return UNENDING
        return ""


def _name_in_proc(pid: int) -> int:
    """Return the number by which /proc knows a child of melpy's; 0 where it does not.

    /proc may be that of a PID namespace around melpy's (`unshare --pid` without a /proc of its own): its numbers are
    others then, and `NSpid` has them from that namespace inwards. Source: proc(5).
    """
    try:
        own = int(Path("/proc/self").readlink().name)
    except OSError:
        return 0
    if own == os.getpid():
        return pid
    depth = len(_ids(own))
    found = (child for task in _tasks(own) for child in _children(own, task))
    return next((child for child in found if _ids(child)[depth - 1 : depth] == [pid]), 0)


def _ids(pid: int) -> list[int]:
    """Return the process ids of a process, from the namespace of /proc inwards."""
    lines = _read(pid, "status").splitlines()
    return next(([int(word) for word in line.split()[1:]] for line in lines if line.startswith("NSpid:")), [])


def _tasks(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208  # names are all that is needed
    return []


def _find_first(pid: int) -> int | None:
    """Return the first process of the sandbox: the only child of bubblewrap's process outside of it."""
    for _ in range(_DEPTH):
        children = _children(pid)
        if len(children) != 1:
            return None
        if _read(pid, "comm") == _PROGRAM:
            return children[0]
        pid = children[0]
    return None


def _has_living_child(pid: int) -> bool:
    # The state follows the name, which is in parentheses and may hold anything.
    states = (_read(child, "stat").rpartition(")")[2].split() for child in _children(pid))
    return any(state and state[0] not in {"Z", "X"} for state in states)


def _children(pid: int, task: int = 0) -> list[int]:
    return [int(word) for word in _read(pid, f"task/{task or pid}/children").split()]


def _read(pid: int, name: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace").strip()
    return ""
