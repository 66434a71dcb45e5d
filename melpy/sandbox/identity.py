"""The ids that a sandbox may have: this user's alone, or a range beside it, where the machine grants one.

With a range, files can belong to others than the build user, and installing them with `chown` works as it does for
root. Source: subuid(5), newuidmap(1), user_namespaces(7).
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.sandbox.model import IdRange

if TYPE_CHECKING:
    from collections.abc import Sequence

WANTED = 65535
"""Ids beside the user's own, so that there are 65,536."""
_ROOT_START = 1 << 30  # far above the ids that machines give to users and containers
_WHOLE = 1 << 32
_SYS_ADMIN = 21  # source: linux/capability.h
_FIRST = 100_000  # where useradd begins


@functools.lru_cache(maxsize=1)
def find_id_range() -> IdRange | None:
    """Return the ids that a sandbox of this user may have beside the user's own, or None."""
    if os.geteuid() == 0:
        return IdRange(_ROOT_START, _ROOT_START) if _has_all_ids() else None
    programs = shutil.which("newuidmap"), shutil.which("newgidmap")
    starts = find_starts()
    if None in programs or None in starts or explain_no_mapping():
        return None
    return IdRange(starts[0] or 0, starts[1] or 0, programs[0] or "", programs[1] or "")


def find_starts() -> list[int | None]:
    """Return the first user id and the first group id that this user is granted, None where there is none."""
    return [find_start(Path(f"/etc/sub{kind}id"), user_name(), os.geteuid()) for kind in "ug"]


def explain_no_mapping() -> str:
    """Return why newuidmap and newgidmap could not do their work here; empty where nothing is in their way.

    They are root's by their mode bits, which must count; root itself then needs CAP_SYS_ADMIN, which containers lack,
    while a program that has CAP_SETUID by itself acts for its caller, who owns the namespace. Source: map_write of
    kernel/user_namespace.c.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    if int(status.get("NoNewPrivs", "0")):
        return "no program may gain rights here (no_new_privs)"
    programs = [Path(path) for path in (shutil.which("newuidmap"), shutil.which("newgidmap")) if path]
    has_rights = int(status["CapBnd"], 16) >> _SYS_ADMIN & 1
    if not has_rights and any(path.stat().st_mode & stat.S_ISUID for path in programs):
        return "newuidmap is setuid root, and the root of this container lacks CAP_SYS_ADMIN"
    return ""


def has_system_rights() -> bool:
    """Tell whether melpy has CAP_SYS_ADMIN. Source: proc(5)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return bool(int(status["CapEff"], 16) >> _SYS_ADMIN & 1)


def _has_all_ids() -> bool:
    """Tell whether root is the machine's, not that of a container, which has not all ids to give."""
    try:
        return all(int(Path(f"/proc/self/{kind}_map").read_text().split()[2]) >= _WHOLE - 1 for kind in ("uid", "gid"))
    except (OSError, ValueError, IndexError):
        return False


def user_name() -> str:
    """Return the name of whoever runs melpy, the number where there is none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def find_start(path: Path, name: str, uid: int) -> int | None:
    """Return where the first range of enough ids of a user begins in a file such as /etc/subuid, or None.

    Args:
        path: the file, lines of `user:start:count`.
        name: the user's name.
        uid: the user's number, which may stand in place of the name.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        user, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if user in {name, str(uid)} and start.isdecimal() and count.isdecimal() and int(count) >= WANTED:
            return int(start)
    return None


def find_free_start(paths: Sequence[Path]) -> int:
    """Return an id from which on no user has a range in these files, such as /etc/subuid and /etc/subgid."""
    ends = [_FIRST]
    for path in paths:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
            fields = line.split(":")
            if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
                ends.append(int(fields[1]) + int(fields[2]))
    return max(ends)
