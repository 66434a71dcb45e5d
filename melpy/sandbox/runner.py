"""Runs a sandbox: writes down the set-up, starts it, and tells a failing set-up from a failing command."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from melpy.errors import EmulationError, OverlayError, SandboxError
from melpy.run import Outcome, attach, find_tool, run, stream
from melpy.sandbox.bubblewrap import bubblewrap_argv
from melpy.sandbox.cgroup import Group, find_parent, limited
from melpy.sandbox.identity import WANTED
from melpy.sandbox.model import NO_LIMITS, Root, SandboxSpec
from melpy.sandbox.seccomp import seccomp_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from melpy.sandbox.model import Emulator, IdRange

_ENTER = Path(__file__).with_name("enter.py")
_USAGE = "usage"
_OWNERS = "owners"
_EMULATOR_ROOM = 512 << 20  # what QEMU takes for itself in each process
_INSTALL = "install bubblewrap (apt install bubblewrap)"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def check_tools() -> None:
    """Check that what every sandbox needs is installed.

    Raises:
        ToolMissingError: bubblewrap is not.
    """
    find_tool("bwrap", hint=_INSTALL)


def run_sandbox(
    spec: SandboxSpec, on_line: Callable[[str], None], *, watch: Callable[[float], str] | None = None
) -> Outcome:
    """Run the spec's command to its end, handing every line it prints to `on_line`.

    Args:
        spec: the sandbox.
        on_line: receives the lines.
        watch: see `melpy.run.stream`.

    Raises:
        ToolMissingError: bubblewrap is not installed.
        SandboxError: the sandbox cannot be set up on this machine.
        EmulationError: QEMU cannot be registered.
    """

    def start(argv: list[str], passed: tuple[int, ...]) -> Outcome:
        return stream(argv, on_line, env={}, pass_fds=passed, watch=watch)

    return _run(spec, start)


def run_terminal(spec: SandboxSpec) -> int:
    """Run the spec's command with the caller's terminal, and return its exit status.

    Raises:
        ToolMissingError: bubblewrap is not installed.
        SandboxError: the sandbox cannot be set up on this machine.
        EmulationError: QEMU cannot be registered.
    """
    return _run(spec, lambda argv, passed: attach(argv, pass_fds=passed)).status


def reclaim(ids: IdRange, directories: Sequence[Path], state: Path) -> dict[bytes, tuple[int, int]]:
    """Give all files below directories to whoever runs melpy, and return whose they were.

    Args:
        ids: the ids that sandboxes had.
        directories: where steps may have left files of others.
        state: directory for the set-up's own files, and a record for `give_back`.

    Returns:
        User and group id on this machine, by path, of what belonged to others.

    Raises:
        SandboxError: it cannot be done.
    """
    _change_owners(ids, directories, state, restore=False)
    found = {}
    for entry in (state / _OWNERS).read_bytes().split(b"\0")[:-1]:
        uid, gid, path = entry.split(b" ", 2)
        found[path] = (_outside(int(uid), os.geteuid(), ids.uid), _outside(int(gid), os.getegid(), ids.gid))
    return found


def give_back(ids: IdRange, directories: Sequence[Path], state: Path) -> None:
    """Give files back to those whom `reclaim` took them from, so that steps find them as they left them.

    Args:
        ids: the ids that sandboxes have.
        directories: those that were reclaimed; nothing happens if none were.
        state: the same directory.

    Raises:
        SandboxError: it cannot be done.
    """
    if (state / _OWNERS).exists():
        _change_owners(ids, directories, state, restore=True)
        (state / _OWNERS).unlink()


def _change_owners(ids: IdRange, directories: Sequence[Path], state: Path, *, restore: bool) -> None:
    error_read, error_write = os.pipe()
    try:
        setup = {
            **_setup(None, ids),
            "owners": [str(directory) for directory in directories],
            "restore": restore,
            "record": str(state / _OWNERS),
            "usage": os.devnull,
        }
        argv = [*_enter(setup, state / "owners.json"), str(error_write)]
        outcome = run(argv, env={}, pass_fds=(error_write,), check=False)
    finally:
        os.close(error_write)
        with os.fdopen(error_read, "r") as errors:
            error = errors.read()
    if error or outcome.status:
        done = "given back" if restore else "taken over"
        raise SandboxError(f"files of other users cannot be {done}: {error or outcome.stderr}")


def check_setup(state: Path, *, overlay: bool = False, emulator: Emulator | None = None, ids: IdRange | None) -> None:
    """Try to set up a sandbox on this machine, without running anything in it.

    Args:
        state: an empty directory, on the file system that builds work on.
        overlay: whether to mount a root.
        emulator: registers it as well.
        ids: ids beside the user's own.

    Raises:
        SandboxError: it cannot be set up.
        EmulationError: QEMU cannot be registered.
    """
    lower = state / "lower"
    lower.mkdir()
    root = Root((lower,) if overlay else (), state / "upper", state / "work", state / "root")
    spec = SandboxSpec(root, (), PurePosixPath("/"), (), state, emulator=emulator, ids=ids)

    def start(argv: list[str], passed: tuple[int, ...]) -> Outcome:
        return run(argv, env={}, pass_fds=passed, check=False)

    _run(spec, start, program=(sys.executable, "-I", "-S", "-c", ""))


def check_bubblewrap() -> str:
    """Return bubblewrap's version, having tried it.

    Raises:
        ToolMissingError: it is not installed.
        SandboxError: it does not work here.
    """
    bwrap = find_tool("bwrap", hint=_INSTALL)
    outcome = run([bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--", "/bin/true"], check=False)
    if outcome.status:
        raise SandboxError("bubblewrap cannot start", details=outcome.tail, hint=_namespace_hint())
    return run([bwrap, "--version"]).stdout.split()[-1]


def _outside(number: int, own: int, start: int) -> int:
    return own if number == 0 else start + number - 1


def _run(
    spec: SandboxSpec, start: Callable[[list[str], tuple[int, ...]], Outcome], *, program: tuple[str, ...] = ()
) -> Outcome:
    """Set up a sandbox, and run bubblewrap in it, or a program of the host instead."""
    bwrap = "" if program else find_tool("bwrap", hint=_INSTALL)
    error_read, error_write = os.pipe()
    status_read, status_write = os.pipe()
    try:
        argv = list(program) or bubblewrap_argv(spec, bwrap, status_fd=status_write)
        with limited(spec.limits, find_parent() if spec.limits.memory or spec.limits.processes else None) as group:
            setup = _write_setup(spec, argv, group)
            outcome = _counted(start([*setup, str(error_write)], (error_write, status_write)), spec.state, group)
    finally:
        os.close(error_write)
        os.close(status_write)
        with os.fdopen(error_read, "r") as errors, os.fdopen(status_read, "r") as statuses:
            error, status = errors.read(), statuses.read()
        _remove_work(spec.root.work)
    if error:
        raise _setup_error(error)
    if '"child-pid"' not in status and not outcome.stopped and not program:
        raise SandboxError("bubblewrap could not start", details=outcome.tail, hint=_namespace_hint())
    return outcome


def _counted(outcome: Outcome, state: Path, group: Group | None) -> Outcome:
    """Take over what was counted inside: the largest process, or what a control group has of all of them."""
    record = state / _USAGE
    text = record.read_text(encoding="ascii") if record.exists() else ""
    memory = int(text) if text.isdecimal() else 0
    if group is None:
        return replace(outcome, usage=replace(outcome.usage, memory=memory))
    usage = replace(outcome.usage, memory=group.peak or memory)
    stopped = outcome.stopped or ("had a process killed, since it used more memory than it may" if group.killed else "")
    return replace(outcome, usage=usage, stopped=stopped)


def _write_setup(spec: SandboxSpec, argv: list[str], group: Group | None) -> list[str]:
    """Write the file that `enter.py` reads, and the short names of the overlay's directories; return its command."""
    for directory in (spec.root.upper, spec.root.work):
        directory.mkdir(parents=True, exist_ok=True)
    names = _write_names(spec)
    _remove_work(spec.root.work)  # of a melpy that was killed
    spec.root.mountpoint.mkdir(parents=True, exist_ok=True)
    binfmt = spec.state / "binfmt"
    registration = spec.emulator.registration if spec.emulator else b""
    binfmt.mkdir(exist_ok=True)
    (spec.state / _USAGE).unlink(missing_ok=True)
    program = spec.state / "seccomp"
    program.write_bytes(seccomp_filter(may_mount="CAP_SYS_ADMIN" in spec.capabilities))
    setup = {
        **_setup(spec, spec.ids, group),
        "usage": str(spec.state / _USAGE),
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
    return _enter(setup, spec.state / "sandbox.json")


def _protected(program: str, emulator: Emulator | None) -> list[str]:
    """Return files of this machine that steps reach, and may own: programs; where melpy runs as root, devices."""
    found = [os.path.realpath(program), *([emulator.interpreter] if emulator and emulator.interpreter else [])]
    return [*found, *(f"/dev/{name}" for name in _DEVICES if os.geteuid() == 0)]


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


def _enter(setup: dict[str, Any], path: Path) -> list[str]:
    path.write_text(json.dumps(setup, indent=1), encoding="utf-8")
    return [sys.executable, "-I", "-S", str(_ENTER), str(path)]


def _setup(spec: SandboxSpec | None, ids: IdRange | None, group: Group | None = None) -> dict[str, Any]:
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
        "processors": _processors(limits.processors),
        "cgroup": str(group.path) if group else "",
        "owners": [],
    }


def _processors(count: int) -> list[int]:
    """Choose processors; builds that run side by side begin at different ones."""
    allowed = sorted(os.sched_getaffinity(0))
    if not count or count >= len(allowed):
        return []
    start = os.getpid() % len(allowed)
    return sorted((allowed[start:] + allowed[:start])[:count])


def _remove_work(work: Path) -> None:
    """Remove what overlayfs left, so that the same upper directory can be mounted again."""
    # The kernel makes directories with mode 0, one in the other; `incompat/volatile` would keep the overlay from being
    # mounted once more. Source: fs/overlayfs/super.c, ovl_create_volatile_dirty.
    inner = work / "work"
    for directory in (inner, inner / "incompat", inner / "incompat" / "volatile"):
        if directory.is_dir():
            directory.chmod(0o700)
    shutil.rmtree(inner, ignore_errors=True)


def _setup_error(error: str) -> SandboxError | EmulationError:
    what, _, reason = error.partition(": ")
    reason = reason.lower()
    if what == "user-namespace":
        return SandboxError(f"this machine does not let you make user namespaces: {reason}", hint=_namespace_hint())
    if what == "id-range":
        hint = "melpy doctor looks into it"
        return SandboxError(f"the ids that /etc/subuid and /etc/subgid grant cannot be used: {reason}", hint=hint)
    if what == "overlay":
        return OverlayError(
            f"the build root cannot be mounted as an overlay: {reason}",
            hint="put the cache (--cache-dir) on a local ext4, xfs or btrfs file system; Linux 5.11 or newer is needed",
        )
    if what.startswith("binfmt"):
        return EmulationError(
            f"QEMU cannot be registered ({what}): {reason}", hint="Linux 6.7 or newer with binfmt_misc is needed"
        )
    return SandboxError(f"the sandbox cannot be set up: {error}")


def _namespace_hint() -> str:
    switches = (
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap",
        ),
    )
    for path, bad, remedy in switches:
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == bad:
            return f"allow them: {remedy}"
    return "in a container, allow it user namespaces (docker: --security-opt seccomp=unconfined, or run on the host)"
