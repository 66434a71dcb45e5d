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
from melpy.errors import MelpyError
from melpy.files import check_writable, scratch_directory
from melpy.run import find_tool, run
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.identity import WANTED, find_free_start, find_id_range, user_name
from melpy.sandbox.runner import check_bubblewrap, check_setup, has_own_id
from melpy.sandbox.seccomp import seccomp_filter
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.arch import Arch
    from melpy.sandbox.model import Emulator, IdRange

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
    yield _attempt("user namespaces", lambda: _try(cache, "this user can make them"))
    yield _attempt("overlay", lambda: _try(cache, f"{cache} holds the layers", overlay=True), state="poor")
    yield _check_ids(cache)
    for arch in arches:
        if arch != host_arch():
            yield _attempt(f"programs of {arch}", partial(_try_emulator, cache, arch))
    yield space if _has_enough(cache) else replace(space, state="poor", hint="name another --cache-dir")
    yield _check_git()


def _attempt(name: str, attempt: Callable[[], str], *, state: State = "bad") -> Check:
    try:
        return Check(name, "good", attempt())
    except MelpyError as error:
        return Check(name, state, str(error), error.hint or "")


def _try(
    cache: Path, text: str, *, overlay: bool = False, emulator: Emulator | None = None, ids: IdRange | None = None
) -> str:
    with scratch_directory(cache, ".doctor-") as state:
        check_setup(state, overlay=overlay, emulator=emulator, ids=ids)
    return text


def _try_emulator(cache: Path, arch: Arch) -> str:
    emulator = find_emulator(arch)
    if emulator is None:
        return "this machine runs them itself"
    return _try(cache, emulator.interpreter or "by the host's registration", emulator=emulator)


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
        return _attempt("ids", lambda: _try(cache, f"65,536: {user}, and from {ids.uid} on", ids=ids))
    if has_own_id(cache, ids):
        return _attempt("ids", lambda: _try(cache, f"65,536 from {ids.uid} on, none of them root's", ids=ids))
    hint = "build as an ordinary user, or name a --cache-dir on a file system with id-mapped mounts: ext4, xfs, btrfs"
    return Check("ids", "poor", "the user of steps is the machine's root, within its namespaces", hint)


def _ids_hint(user: str) -> str:
    start = find_free_start([Path("/etc/subuid"), Path("/etc/subgid")])
    ids = f"{start}-{start + WANTED}"
    install = "" if shutil.which("newuidmap") else "install uidmap, and "
    return f"{install}as root: usermod --add-subuids {ids} --add-subgids {ids} {user}"


def _measure_space(cache: Path) -> str:
    check_writable(cache)
    return f"{size_text(shutil.disk_usage(cache).free)} free below {cache}"


def _has_enough(cache: Path) -> bool:
    return shutil.disk_usage(cache).free > _ENOUGH


def _check_git() -> Check:
    return _attempt("git", lambda: run([find_tool("git"), "--version"]).stdout.split()[-1], state="poor")
