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

from melpy.sandbox.container import SETFCAP, SETGID, SETUID, SYS_ADMIN, find_status, has_capability
from melpy.sandbox.model import IdRange

if TYPE_CHECKING:
    from collections.abc import Sequence

WANTED = 65535
"""Ids beside the user's own, so that there are 65,536."""
_ROOT_START = 1 << 30  # far above the ids that machines give to users and containers
_OTHERS = 1 << 16  # below are the ids of users and services, in a container as on a machine
_FIRST = 100_000  # where useradd begins


@functools.lru_cache(maxsize=1)
def find_id_range() -> IdRange | None:
    """Return the ids that a sandbox of this user may have beside the user's own, or None."""
    rows = [load_map(kind) for kind in "ug"]
    if os.geteuid() == 0:
        free = [find_spare(row) for row in rows]
        return IdRange(free[0] or 0, free[1] or 0) if None not in free and may_map() else None
    programs = find_programs()
    starts = granted_starts()
    if not programs or None in starts or not all(map(may_gain, programs)):
        return None
    if not all(start is not None and is_mapped(row, start, WANTED) for row, start in zip(rows, starts, strict=True)):
        return None  # a container that has not so many ids
    return IdRange(starts[0] or 0, starts[1] or 0, *programs)


def may_map() -> bool:
    """Tell whether root has the capabilities that mapping ids takes; a container may have taken them away."""
    return all(has_capability(number) for number in (SETGID, SETUID, SETFCAP))


def may_gain(program: str) -> bool:
    """Tell whether newuidmap or newgidmap gets the privileges here that its file gives it.

    One that is setuid is root, who does not own the user namespace, and needs CAP_SYS_ADMIN to write its map; one with
    file capabilities stays its caller, who owns it. Containers take CAP_SYS_ADMIN away. Source: map_write of
    kernel/user_namespace.c.
    """
    if find_status("NoNewPrivs") == "1":
        return False
    is_setuid = bool(Path(program).stat().st_mode & stat.S_ISUID)
    needed = (SETGID, SETUID, SYS_ADMIN) if is_setuid else (SETGID, SETUID)
    return all(has_capability(number, "CapBnd") for number in needed)


def find_programs() -> list[str]:
    """Return newuidmap and newgidmap; empty where one of them is missing."""
    found = [shutil.which(f"new{kind}idmap") for kind in "ug"]
    return [path for path in found if path] if all(found) else []


def granted_starts() -> list[int | None]:
    """Return where this user's ranges in /etc/subuid and /etc/subgid begin; None for a file without one."""
    return [find_start(Path(f"/etc/sub{kind}id"), user_name(), os.geteuid()) for kind in "ug"]


def load_map(kind: str) -> list[tuple[int, int]]:
    """Return first id and number of ids of each row of this process's map of user (`u`) or group (`g`) ids.

    What is in no row does not exist here: a container has the ids that it was given. Source: user_namespaces(7).
    """
    try:
        lines = Path(f"/proc/self/{kind}id_map").read_text().splitlines()
    except OSError:
        return []
    return [(int(words[0]), int(words[2])) for words in map(str.split, lines)]


def is_mapped(rows: Sequence[tuple[int, int]], start: int, count: int) -> bool:
    """Tell whether all ids of a range are in the rows of a map."""
    reached = start
    for first, number in sorted(rows):
        if first <= reached < first + number:
            reached = first + number
    return reached >= start + count


def find_spare(rows: Sequence[tuple[int, int]]) -> int | None:
    """Return where ids begin that root may give to a sandbox, and one more; None where there are not so many.

    They are far above those of users where all ids exist, and the last of a container's otherwise.
    """
    wanted = WANTED + 1
    if is_mapped(rows, _ROOT_START, wanted):
        return _ROOT_START
    ends = (first + number for first, number in rows if first + number - max(first, _OTHERS) >= wanted)
    return max((end - wanted for end in ends), default=None)


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
