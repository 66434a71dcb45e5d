"""`etc/passwd` and `etc/group`: the packages' own accounts, those that are stated, and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.plan.model import PlanGroup, PlanUser
from melpy.rootfs.model import RootSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BUILD_USERS = (PlanUser("root", 0, 0, "/root"), PlanUser("build", 1000, 1000, "/home/build"))
_BUILD_GROUPS = (PlanGroup("root", 0), PlanGroup("build", 1000, ("build",)))


def make_build_root(
    arch: str, world: Iterable[str] = (), users: Iterable[PlanUser] = (), groups: Iterable[PlanGroup] = ()
) -> RootSpec:
    """Return the root of a build: root and build have accounts in any case."""
    return RootSpec(arch, tuple(world), tuple(users), tuple(groups), _BUILD_USERS, _BUILD_GROUPS)


def render_passwd(existing: bytes, root: RootSpec) -> bytes:
    """Return a passwd file: what is there, the root's users in place of those with their names, and its defaults."""
    stated = {user.name: _user_line(user) for user in root.users}
    default = {user.name: _user_line(user) for user in root.default_users}
    return _merge(existing, stated, default)


def render_group(existing: bytes, root: RootSpec) -> bytes:
    """Return a group file, made like a passwd file."""
    stated = {group.name: _group_line(group) for group in root.groups}
    default = {group.name: _group_line(group) for group in root.default_groups}
    return _merge(existing, stated, default)


def home_of(user: PlanUser) -> str:
    """Return a user's home directory."""
    return user.home or f"/home/{user.name}"


def _user_line(user: PlanUser) -> str:
    return f"{user.name}:x:{user.uid}:{user.gid}:{user.name}:{home_of(user)}:{user.shell or '/bin/sh'}"


def _group_line(group: PlanGroup) -> str:
    return f"{group.name}:x:{group.gid}:{','.join(group.members)}"


def _merge(existing: bytes, stated: Mapping[str, str], default: Mapping[str, str]) -> bytes:
    lines: dict[str, str] = {}
    for line in existing.decode("utf-8", "surrogateescape").splitlines():
        lines.setdefault(line.partition(":")[0], line)  # the first line of a name is the one that counts
    # Defaults come last.
    lines = {**lines, **stated, **{name: line for name, line in default.items() if name not in {*lines, *stated}}}
    return "".join(f"{line}\n" for line in lines.values() if line).encode("utf-8", "surrogateescape")
