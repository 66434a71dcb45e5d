"""The file by which `enter.py` is told what to set up, and its command line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melpy.codec import asdict
from melpy.sandbox.identity import WANTED
from melpy.sandbox.model import NO_LIMITS
from melpy.sandbox.mountpoint import settle_mount_points
from melpy.sandbox.seccomp import seccomp_filter

if TYPE_CHECKING:
    from melpy.sandbox.cgroup import Group
    from melpy.sandbox.model import Emulator, IdRange, SandboxSpec

USAGE = "usage"
"""File of the state directory in which the most memory of a process is written."""
_ENTER = Path(__file__).with_name("enter.py")
_EMULATOR_ROOM = 512 << 20  # what QEMU takes for itself in each process
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def write_setup(spec: SandboxSpec, argv: list[str], group: Group | None) -> list[str]:
    """Write the file that `enter.py` reads, and the short names of the overlay's directories; return its command."""
    for directory in (spec.root.upper, spec.root.work):
        directory.mkdir(parents=True, exist_ok=True)
    settle_mount_points(spec)
    names = _write_names(spec)
    remove_work(spec.root.work)  # of a melpy that was killed
    spec.root.mountpoint.mkdir(parents=True, exist_ok=True)
    binfmt = spec.state / "binfmt"
    registration = spec.emulator.registration if spec.emulator else b""
    binfmt.mkdir(exist_ok=True)
    (spec.state / USAGE).unlink(missing_ok=True)
    program = spec.state / "seccomp"
    may_mount = "CAP_SYS_ADMIN" in spec.capabilities
    program.write_bytes(seccomp_filter(may_mount=may_mount, may_move=not spec.limits.processors))
    setup = {
        **common_setup(spec, spec.ids, group),
        "directories": _shifted(spec),
        "usage": str(spec.state / USAGE),
        "terminal": spec.terminal,
        "names": str(names),
        "layers": len(spec.root.layers),
        "mountpoint": str(spec.root.mountpoint),
        "binfmt": str(binfmt) if registration else "",
        "registration": registration.hex(),
        "seccomp": str(program),
        "user": list(spec.user),
        "protect": _protected(argv[0], spec.emulator),
        "argv": argv,
    }
    return enter_command(setup, spec.state / "sandbox.json")


def _protected(program: str, emulator: Emulator | None) -> list[str]:
    """Return files of this machine that steps reach, and may own: programs; where melpy runs as root, devices."""
    found = [os.path.realpath(program), *([emulator.interpreter] if emulator and emulator.interpreter else [])]
    return [*found, *(f"/dev/{name}" for name in _DEVICES if os.geteuid() == 0)]


def _shifted(spec: SandboxSpec) -> list[str]:
    """Return the directories that the sandbox needs, where root runs melpy and they can be shown as another's."""
    if os.geteuid() or spec.ids is None:
        return []
    root = spec.root
    wanted = {os.path.commonpath([root.upper, root.work, root.mountpoint]), str(spec.state)}
    wanted |= {str(layer.parent.parent) for layer in root.layers}  # the store has hundreds of them
    wanted |= {str(mount.source if mount.source.is_dir() else mount.source.parent) for mount in spec.mounts}
    if any(os.path.realpath(directory) != directory for directory in wanted):
        return []  # the sandbox's user might not reach the symlink
    return sorted(path for path in wanted if not any(path.startswith(f"{other}/") for other in wanted))


def _write_names(spec: SandboxSpec) -> Path:
    """Make short names for the overlay's directories; those of the step before serve again where they are the same."""
    names, root = spec.state / "layers", spec.root
    links = {format(number, "x"): layer for number, layer in enumerate(root.layers)}
    links |= {"upper": root.upper, "work": root.work}
    text = "\n".join(f"{name} {directory}" for name, directory in links.items())
    whole = names / "names"
    if whole.exists() and whole.read_bytes() == os.fsencode(text):
        return names
    shutil.rmtree(names, ignore_errors=True)
    names.mkdir(parents=True)
    for name, directory in links.items():
        os.symlink(directory, names / name)  # noqa: PTH211  # a third of the time, for hundreds of layers
    whole.write_bytes(os.fsencode(text))
    return names


def enter_command(setup: dict[str, Any], path: Path) -> list[str]:
    """Write a set-up down and return the command line that it is read by, but for the place of errors."""
    path.write_text(json.dumps(setup, indent=1), encoding="utf-8")
    return [sys.executable, "-I", "-S", "-X", "utf8", str(_ENTER), str(path)]


def common_setup(spec: SandboxSpec | None, ids: IdRange | None, group: Group | None = None) -> dict[str, Any]:
    """Return what every use of `enter.py` is told.

    Args:
        spec: the sandbox, if there is one.
        ids: ids beside the user's own.
        group: control group that it enters; limits that it does not count are set for each process.
    """
    limits = spec.limits if spec else NO_LIMITS
    hard: dict[str, list[int]] = {}
    if limits.memory and not group:
        room = _EMULATOR_ROOM if spec and spec.emulator else 0
        hard["data"] = [limits.memory + room] * 2
    if limits.processes and not group:
        hard["nproc"] = [limits.processes, limits.processes]
    return {
        "parent": os.getpid(),
        "ids": {**asdict(ids), "count": WANTED} if ids else None,
        "limits": hard,
        "processors": _choose_processors(limits.processors, spec.processors if spec else ()),
        "cgroup": str(group.path) if group else "",
        "owners": [],
        "directories": [],
        "probe": False,
    }


def _choose_processors(count: int, given: tuple[int, ...]) -> list[int]:
    """Return the processors of a sandbox; none in particular where it may use all.

    They are those that it was given: who runs several sandboxes at once hands processors out, and knows which are in
    use. Where nobody does, one sandbox runs, and takes the first that this process may use, up to its limit. Which they
    are does not matter then, but the same ones each time make a build that is run again comparable.
    """
    if given:
        return list(given)
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[:count] if 0 < count < len(allowed) else []


def remove_work(work: Path) -> None:
    """Remove what overlayfs left, so that the same upper directory can be mounted again."""
    # The kernel makes directories with mode 0, one in the other; `incompat/volatile` would keep the overlay from being
    # mounted once more. Source: fs/overlayfs/super.c, ovl_create_volatile_dirty.
    inner = work / "work"
    for directory in (inner, inner / "incompat", inner / "incompat" / "volatile"):
        if directory.is_dir():
            directory.chmod(0o700)
    shutil.rmtree(inner, ignore_errors=True)
