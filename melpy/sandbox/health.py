"""What a sandbox needs of the machine, tried out one by one, with the switch to turn where something is wrong.

Nothing is guessed from version numbers that can be tried: a sandbox is made of a few files, and what it says counts.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from melpy.arch import host_arch
from melpy.codec import Noun, replace
from melpy.errors import MelpyError
from melpy.files import check_writable, scratch_directory
from melpy.run import find_tool, run
from melpy.sandbox.container import SYS_ADMIN, find_status, has_capability
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.identity import (
    WANTED,
    find_free_start,
    find_id_range,
    find_programs,
    granted_starts,
    may_gain,
    may_map,
    user_name,
)
from melpy.sandbox.runner import check_step, find_bubblewrap_version, has_own_id
from melpy.sandbox.seccomp import seccomp_filter
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.arch import Arch
    from melpy.sandbox.model import Emulator, IdRange

_ENOUGH = 5_000_000_000

State = Literal["good", "poor", "bad"]


class Check(Noun, frozen=True):
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
    yield _attempt("bubblewrap", lambda: f"version {find_bubblewrap_version()}")
    yield _attempt("seccomp", lambda: f"{len(seccomp_filter()) // 8} instructions")
    space = _attempt("disk", lambda: _measure_space(cache))
    if space.state == "bad":
        yield from (space, _check_git())
        return
    yield from _check_sandbox(cache, arches)
    yield space if _has_enough(cache) else replace(space, state="poor", hint="name another --cache-dir")
    yield _check_git()


def _check_sandbox(cache: Path, arches: tuple[Arch, ...]) -> Iterator[Check]:
    """Try a sandbox, first with the least, then with all that builds use; later ones tell nothing where one is bad."""
    least = _attempt("sandbox", lambda: _try(cache, "a program runs in namespaces of its own", host_arch(), ids=None))
    yield least
    if least.state == "bad":
        return
    overlay = _attempt(
        "overlay",
        lambda: _try(cache, f"{cache} holds the layers", host_arch(), ids=None, overlay=True),
        state="poor",
    )
    yield overlay
    ids = _check_ids(cache)
    yield ids
    if ids.state == "bad":
        return
    for arch in arches:
        yield _attempt(f"steps of {arch}", partial(_try_arch, cache, arch, overlay=overlay.state == "good"))


def _attempt(name: str, attempt: Callable[[], str], *, state: State = "bad") -> Check:
    try:
        return Check(name, "good", attempt())
    except MelpyError as error:
        return Check(name, state, "; ".join([error.message, *error.details]), error.hint or "")


def _try(
    cache: Path,
    text: str,
    arch: Arch,
    *,
    ids: IdRange | None,
    overlay: bool = False,
    emulator: Emulator | None = None,
) -> str:
    with scratch_directory(cache.resolve(), ".doctor-") as state:
        check_step(state, arch, overlay=overlay, emulator=emulator, ids=ids)
    return text


def _try_arch(cache: Path, arch: Arch, *, overlay: bool) -> str:
    emulator = find_emulator(arch)
    if emulator is None:
        text = "run on this machine itself"
    else:
        text = f"run by {emulator.interpreter or 'the registration of this machine'}"
    return _try(cache, text, arch, ids=find_id_range(), overlay=overlay, emulator=emulator)


def _check_kernel() -> Check:
    release, machine = os.uname().release, host_arch()
    return Check("kernel", "good", f"Linux {release}, {machine}, {len(os.sched_getaffinity(0))} processors")


def _check_ids(cache: Path) -> Check:
    ids = find_id_range()
    if ids is None:
        return Check("ids", "poor", *(_explain_root_ids() if os.geteuid() == 0 else _explain_ids()))
    if os.geteuid():
        text = f"65,536: {user_name()}, and from {ids.uid} on"
        return _attempt("ids", lambda: _try(cache, text, host_arch(), ids=ids))
    if has_own_id(cache, ids):
        text = f"65,536 from {ids.uid} on, none of them root's"
        return _attempt("ids", lambda: _try(cache, text, host_arch(), ids=ids))
    hint = "build as an ordinary user"
    if has_capability(SYS_ADMIN):
        hint += ", or name a --cache-dir on a file system with id-mapped mounts: ext4, xfs, btrfs"
    return Check("ids", "poor", "the user of steps is the machine's root, within its namespaces", hint)


_ALONE = "this user's alone: files cannot be given to other users"


def _explain_root_ids() -> tuple[str, str]:
    """Return why root has no ids to give, and what to do about it."""
    if not may_map():
        return _ALONE, "start the container with --cap-add SETUID --cap-add SETGID --cap-add SETFCAP"
    hint = (
        "only recipes that give files to others need more: they take 131,072 ids in the container "
        "(rootless: that many in the user's lines of /etc/subuid and /etc/subgid on the machine)"
    )
    return f"{_ALONE}; this container has too few ids", hint


def _explain_ids() -> tuple[str, str]:
    """Return why this user has no range of ids, and what to do about it: only what is missing."""
    files, starts = ["/etc/subuid", "/etc/subgid"], granted_starts()
    programs = find_programs()
    install = "" if programs else "install uidmap (apt install uidmap)"
    missing = [path for path, start in zip(files, starts, strict=True) if start is None]
    if missing:
        first = find_free_start(list(map(Path, files)))
        ids = f"{first}-{first + WANTED}"
        options = [f"--add-{Path(path).name}s {ids}" for path in missing]
        command = f"as root: usermod {' '.join(options)} {user_name()}"
        return _ALONE, f"{install}, and {command}" if install else command
    if install:
        return f"{_ALONE}; {' and '.join(files)} grant a range, but newuidmap is missing", install
    if not all(map(may_gain, programs)):
        text = f"{_ALONE}; newuidmap, which grants them, lacks the privileges here"
        if find_status("NoNewPrivs") == "1":
            return text, "start the container, or the service, without no-new-privileges"
        capabilities = "; ".join(
            f"chmod u-s {path} && setcap cap_set{kind}id+ep {path}" for path, kind in zip(programs, "ug", strict=True)
        )
        return text, f"as root of the container, with libcap2-bin: {capabilities}"
    text = f"{_ALONE}; the range from {starts[0]} on in {files[0]} does not exist in this container"
    return (
        text,
        "only recipes that give files to others need it: give the container more ids, and the user some of them",
    )


def _measure_space(cache: Path) -> str:
    check_writable(cache)
    return f"{size_text(shutil.disk_usage(cache).free)} free below {cache}"


def _has_enough(cache: Path) -> bool:
    return shutil.disk_usage(cache).free > _ENOUGH


def _check_git() -> Check:
    return _attempt("git", lambda: run([find_tool("git"), "--version"]).stdout.split()[-1], state="poor")
