"""Where the steps of a plan run is made from the session, and whose the files are that they leave."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from melpy.arch import host_arch, parse_arch
from melpy.build.model import Owner
from melpy.build.step import BUILD_CACHE, PATH, StepSite
from melpy.inside import read_regular
from melpy.rootfs.environment import make_root
from melpy.rootfs.merge import merge_layers
from melpy.sandbox.model import BASE_CAPABILITIES, Root
from melpy.sandbox.runner import give_back

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from melpy.build.model import Session
    from melpy.plan.model import Plan

_ACCOUNTS_LIMIT = 1 << 20
_ID = re.compile(r"[0-9]{1,10}")
_COPIED = "copied"
"""Directory of a root that is copied, where no overlay can be mounted."""
_CACHE_VARIABLES = {"CCACHE_DIR": f"{BUILD_CACHE}/ccache", "SCCACHE_DIR": f"{BUILD_CACHE}/sccache"}


def _told(plan: Plan) -> dict[str, str]:
    """Return what bash would say of the machine that it was made for, which may be another than that it stands for."""
    arch = parse_arch(plan.arch)
    if arch == host_arch():
        return {}
    return {"HOSTTYPE": arch.uname, "MACHTYPE": arch.gnu_triplet()}


def _root(session: Session) -> Root:
    layers = (*session.layers, *(session.machine.tools.layers if session.machine.tools else ()))
    if (session.directory / _COPIED).is_dir():  # an earlier run could not mount an overlay
        return _copied_root(session.directory)
    return make_root(layers, session.directory)


def _copied_root(directory: Path) -> Root:
    return Root((), directory / _COPIED, directory / "work", directory / _COPIED)


def _path(session: Session) -> str:
    """Return where programs are looked for: a compiler cache comes first where it has a place for its files."""
    directories = ("usr/lib/ccache/bin", "usr/lib/ccache")
    links = (name for name in directories if session.cache and any((layer / name).is_dir() for layer in session.layers))
    return ":".join([*(f"/{name}" for name in links), PATH])


def make_site(plan: Plan, session: Session, workspace: Path) -> StepSite:
    """Return where the steps of a plan run."""
    kept = [name for name in BASE_CAPABILITIES if name not in plan.capabilities_drop]
    return StepSite(
        root=_root(session),
        workspace=workspace,
        state=session.directory / "state",
        environment={
            **_told(plan),
            **(_CACHE_VARIABLES if session.cache else {}),
            **dict(plan.environment.variables),
            "SOURCE_DATE_EPOCH": str(session.epoch),
        },
        user=plan.environment.user,
        capabilities=(*kept, *plan.capabilities_add),
        machine=session.machine,
        options=session.options,
        sources=session.sources,
        cache=session.cache,
        path=_path(session),
        name=session.name,
    )


def copy_root(root: Root, directory: Path) -> Root:
    """Copy a root that cannot be mounted as an overlay; what steps change is then changed in the copy.

    Raises:
        OutputError: it cannot be copied.
    """
    copied = directory / _COPIED
    copied.mkdir(mode=0o755)
    merge_layers((*reversed(root.layers), root.upper), copied)
    return _copied_root(directory)


def return_files(site: StepSite) -> None:
    """Give the files of a build that was kept back to those whom steps gave them to; when it ended, they were taken.

    Raises:
        SandboxError: it cannot be done.
    """
    if site.machine.ids:
        give_back(site.machine.ids, (site.workspace, site.root.upper), site.state)


def find_owners(found: Mapping[bytes, tuple[int, int]], site: StepSite, workspace: Path) -> dict[str, Owner]:
    """Return whose files of the workspace are in the package: what is the steps' own is root's there."""
    if not found or site.machine.ids is None:
        return {}
    users, groups = (_names(site, name) for name in ("etc/passwd", "etc/group"))
    prefix = f"{workspace}/"
    owners = {}
    for path, (uid, gid) in found.items():
        name = os.fsdecode(path)
        if not name.startswith(prefix):
            continue
        user, group = find_packaged(site, uid, gid)
        owners[name[len(prefix) :]] = Owner(user, group, users.get(user, ""), groups.get(group, ""))
    return owners


def find_packaged(site: StepSite, uid: int, gid: int) -> tuple[int, int]:
    """Return user and group id in the package of ids of this machine: those of the steps' user are root's there."""
    if site.machine.ids is None:
        return 0, 0  # nobody else is known in the sandbox
    inside = site.machine.ids.inside(uid, gid, (os.geteuid(), os.getegid()), site.user)
    return 0 if inside[0] == site.user[0] else inside[0], 0 if inside[1] == site.user[1] else inside[1]


def _names(site: StepSite, path: str) -> dict[int, str]:
    """Return the names of users or groups that the root knows, by number."""
    found = (read_regular(layer, path, _ACCOUNTS_LIMIT) for layer in (site.root.upper, *site.root.layers))
    text = next((data for data in found if data is not None), b"").decode(errors="replace")
    rows = [line.split(":") for line in text.splitlines()]
    names = {int(row[2]): row[0] for row in reversed(rows) if len(row) > 2 and _ID.fullmatch(row[2])}
    return {0: "root", **names}
