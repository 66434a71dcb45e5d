"""`etc/passwd` and `etc/group`: the packages' own accounts, the recipe's, and those that every build needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.plan.model import PlanGroup, PlanUser

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NEEDED_USERS = (PlanUser("root", 0, 0, "/root"), PlanUser("build", 1000, 1000, "/home/build"))
_NEEDED_GROUPS = (PlanGroup("root", 0), PlanGroup("build", 1000, ("build",)))


def render_passwd(existing: bytes, users: Iterable[PlanUser]) -> bytes:
    """Return a passwd file: what is there, the users in place of those with their names, and root and build."""
    stated = {user.name: _user_line(user) for user in users}
    needed = {user.name: _user_line(user) for user in _NEEDED_USERS}
    return _merge(existing, stated, needed)


def render_group(existing: bytes, groups: Iterable[PlanGroup]) -> bytes:
    """Return a group file, likewise."""
    stated = {group.name: _group_line(group) for group in groups}
    needed = {group.name: _group_line(group) for group in _NEEDED_GROUPS}
    return _merge(existing, stated, needed)


def home_of(user: PlanUser) -> str:
    """Return a user's home directory."""
    return user.home or f"/home/{user.name}"


def _user_line(user: PlanUser) -> str:
    return f"{user.name}:x:{user.uid}:{user.gid}:{user.name}:{home_of(user)}:{user.shell or '/bin/sh'}"


def _group_line(group: PlanGroup) -> str:
    return f"{group.name}:x:{group.gid}:{','.join(group.members)}"


def _merge(existing: bytes, stated: Mapping[str, str], needed: Mapping[str, str]) -> bytes:
    lines: dict[str, str] = {}
    for line in existing.decode("utf-8", "surrogateescape").splitlines():
        lines.setdefault(line.partition(":")[0], line)  # the first line of a name is the one that counts
    # What is neither the packages' nor the recipe's comes last.
    lines = {**lines, **stated, **{name: line for name, line in needed.items() if name not in {*lines, *stated}}}
    return "".join(f"{line}\n" for line in lines.values() if line).encode("utf-8", "surrogateescape")
