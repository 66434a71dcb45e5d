"""What a sandbox needs of the machine, tried out one by one, with the switch to turn where something is wrong.

Nothing is guessed from version numbers that can be tried: a sandbox is made of a few files, and what it says counts.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from melpy.arch import host_arch
from melpy.errors import MelpyError, OverlayError
from melpy.files import check_writable, scratch_directory
from melpy.run import find_tool, run
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.identity import (
    WANTED,
    explain_no_mapping,
    find_free_start,
    find_id_range,
    find_starts,
    has_system_rights,
    user_name,
)
from melpy.sandbox.probe import try_step
from melpy.sandbox.runner import check_bubblewrap, has_own_id
from melpy.sandbox.seccomp import seccomp_filter
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.arch import Arch
    from melpy.sandbox.model import Emulator

_ENOUGH = 5_000_000_000

State = Literal["good", "poor", "bad"]


@dataclass(frozen=True)
class Check:
    """What was found out about one thing.

    Attributes:
        name: what was looked at.
        state: `good`; `poor`, where builds work but something is amiss; `bad`, where none works.
        text: what was found.
        hint: what to do about it.
    """

    name: str
    state: State
    text: str
    hint: str = ""


def check_machine(cache: Path, arches: tuple[Arch, ...]) -> Iterator[Check]:
    """Try everything that builds need, and yield what was found out about each.

    Args:
        cache: melpy's cache, where builds work.
        arches: architectures that are to be built for.
    """
    yield _check_kernel()
    yield _attempt("bubblewrap", lambda: f"version {check_bubblewrap()}")
    yield _attempt("seccomp", lambda: f"{len(seccomp_filter()) // 8} instructions")
    space = _attempt("disk", lambda: _measure_space(cache))
    if space.state == "bad":
        yield from (space, _check_git())
        return
    yield from _check_steps(cache)
    yield _check_ids(cache)
    for arch in arches:
        if arch != host_arch():
            yield _attempt(f"steps for {arch}", partial(_try_emulator, cache, arch))
    yield space if _has_enough(cache) else replace(space, state="poor", hint="name another --cache-dir")
    yield _check_git()


def _check_steps(cache: Path) -> Iterator[Check]:
    """Run a step as builds do: its root an overlay, or, where the kernel mounts none, a copy."""
    name = f"steps for {host_arch()}"
    try:
        _try(cache, host_arch())
    except OverlayError as error:
        copied = _attempt(name, lambda: _try(cache, host_arch(), "one ran, in a root that is copied", overlay=False))
        yield copied
        slower = f"{error}; roots are copied instead, which takes longer"
        yield Check("overlay", "poor", slower, error.hint or "")
    except MelpyError as error:
        yield Check(name, "bad", _describe(error), error.hint or "")
    else:
        yield Check(name, "good", "one ran")
        yield Check("overlay", "good", f"{cache} holds the layers")


def _attempt(name: str, attempt: Callable[[], str], *, state: State = "bad") -> Check:
    try:
        return Check(name, "good", attempt())
    except MelpyError as error:
        return Check(name, state, _describe(error), error.hint or "")


def _describe(error: MelpyError) -> str:
    """Return what is wrong, with the first line that another program said of it."""
    return f"{error}{f' ({error.details[0].lstrip(chr(124)).strip()})' if error.details else ''}"


def _try(
    cache: Path, arch: Arch, text: str = "one ran", *, overlay: bool = True, emulator: Emulator | None = None
) -> str:
    with scratch_directory(cache.resolve(), ".doctor-") as state:
        try_step(state, arch, overlay=overlay, emulator=emulator, ids=find_id_range())
    return text


def _try_emulator(cache: Path, arch: Arch) -> str:
    emulator = find_emulator(arch)
    by = (emulator.interpreter or "by the host's registration") if emulator else "this machine runs them itself"
    text = f"one ran: {by}"
    try:
        return _try(cache, arch, text, emulator=emulator)
    except OverlayError:  # which is told already
        return _try(cache, arch, text, overlay=False, emulator=emulator)


def _check_kernel() -> Check:
    release, machine = os.uname().release, host_arch()
    return Check("kernel", "good", f"Linux {release}, {machine}, {len(os.sched_getaffinity(0))} processors")


def _check_ids(cache: Path) -> Check:
    ids = find_id_range()
    user = user_name()
    if ids is None:
        hint = _ids_hint(user) if os.geteuid() else "give the container a range of ids"
        return Check("ids", "poor", "this user's alone: files cannot be given to other users", hint)
    if os.geteuid():
        return Check("ids", "good", f"65,536: {user}, and from {ids.uid} on")
    if has_own_id(cache, ids):
        return Check("ids", "good", f"65,536 from {ids.uid} on, none of them root's")
    hint = "build as an ordinary user, or name a --cache-dir on a file system with id-mapped mounts: ext4, xfs, btrfs"
    if not has_system_rights():
        hint = "build as an ordinary user: the root of this container may not mount (CAP_SYS_ADMIN)"
    return Check("ids", "poor", "the user of steps is the machine's root, within its namespaces", hint)


def _ids_hint(user: str) -> str:
    """Return how this user gets ids: programs that are missing or in vain, and ranges that are not granted."""
    programs = "" if shutil.which("newuidmap") else "install uidmap"
    if problem := explain_no_mapping():
        give = "setcap cap_setuid=ep $(which newuidmap) && setcap cap_setgid=ep $(which newgidmap)"
        programs = f"{problem}; as root: chmod u-s $(which newuidmap newgidmap) && {give}"
    if None not in find_starts():
        return programs
    start = find_free_start([Path("/etc/subuid"), Path("/etc/subgid")])
    ids = f"{start}-{start + WANTED}"
    kinds = [
        f"--add-sub{kind}s {ids}" for kind, found in zip(("uid", "gid"), find_starts(), strict=True) if found is None
    ]
    grant = f"usermod {' '.join(kinds)} {user}"
    return f"{programs}, and as root: {grant}" if programs else f"as root: {grant}"


def _measure_space(cache: Path) -> str:
    check_writable(cache)
    return f"{size_text(shutil.disk_usage(cache).free)} free below {cache}"


def _has_enough(cache: Path) -> bool:
    return shutil.disk_usage(cache).free > _ENOUGH


def _check_git() -> Check:
    return _attempt("git", lambda: run([find_tool("git"), "--version"]).stdout.split()[-1], state="poor")
