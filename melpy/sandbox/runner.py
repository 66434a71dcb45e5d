"""Runs a sandbox: writes down the set-up, starts it, and tells a failing set-up from a failing command."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from melpy.codec import replace
from melpy.errors import SandboxError
from melpy.files import scratch_directory
from melpy.run import Outcome, attach, find_tool, run, stream
from melpy.sandbox.bubblewrap import bubblewrap_argv
from melpy.sandbox.cgroup import Group, find_parent, limited
from melpy.sandbox.liveness import Liveness
from melpy.sandbox.model import Mount, Root, SandboxSpec
from melpy.sandbox.probe import PROBE_STATUS, probe_program
from melpy.sandbox.refusal import explain_bubblewrap, explain_refusal
from melpy.sandbox.setup import USAGE, common_setup, enter_command, remove_work, write_setup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from melpy.arch import Arch
    from melpy.sandbox.model import Emulator, IdRange

_OWNERS = "owners"
_INSTALL = "install bubblewrap (apt install bubblewrap)"


def check_tools() -> None:
    """Check that what every sandbox needs is installed.

    Raises:
        ToolMissingError: bubblewrap is not.
    """
    find_tool("bwrap", hint=_INSTALL)


def run_sandbox(
    spec: SandboxSpec, on_line: Callable[[str], None], *, watch: Callable[[], str] | None = None
) -> Outcome:
    """Run the spec's command to its end, handing every line it prints to `on_line`.

    Args:
        spec: the sandbox.
        on_line: receives the lines.
        watch: is asked several times a second whether the sandbox is to be killed, and says why, or nothing.

    Raises:
        ToolMissingError: bubblewrap is not installed.
        SandboxError: the sandbox cannot be set up on this machine.
        EmulationError: QEMU cannot be registered.
    """
    liveness = Liveness()

    def look(pid: int) -> str:
        return (watch() if watch else "") or liveness.look(pid)

    def start(argv: list[str], passed: tuple[int, ...]) -> Outcome:
        return stream(argv, on_line, env={}, pass_fds=passed, watch=look)

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
    setup = {
        **common_setup(None, ids),
        "owners": [str(directory) for directory in directories],
        "restore": restore,
        "record": str(state / _OWNERS),
        "usage": os.devnull,
    }
    command = enter_command(setup, state / "owners.json")
    with _pipe() as errors:
        outcome = run([*command, str(errors.end)], env={}, pass_fds=(errors.end,), check=False)
    if errors.text or outcome.status:
        done = "given back" if restore else "taken over"
        raise SandboxError(f"files of other users cannot be {done}: {errors.text or outcome.stderr}")


@dataclass
class _Pipe:
    """What a program writes to a file that it is handed open: the number of that file, and in the end the text."""

    end: int
    text: str = ""


@contextmanager
def _pipe() -> Iterator[_Pipe]:
    """Make a pipe for programs that run meanwhile; afterwards it has what they wrote."""
    read, write = os.pipe()
    pipe = _Pipe(write)
    try:
        yield pipe
    finally:
        os.close(write)
        with os.fdopen(read, "r") as stream:
            pipe.text = stream.read()


def check_step(
    state: Path, arch: Arch, *, overlay: bool = True, emulator: Emulator | None = None, ids: IdRange | None
) -> None:
    """Run a step in a sandbox such as builds have, on a root that has a single program.

    Args:
        state: an empty directory, on the file system that builds work on.
        arch: the program's architecture.
        overlay: whether the root is mounted; otherwise it is a plain directory.
        emulator: runs the program, if this machine does not.
        ids: ids beside the user's own.

    Raises:
        ToolMissingError: bubblewrap is not installed.
        SandboxError: it cannot be set up, or the program does not run.
        EmulationError: QEMU cannot be registered.
    """
    lower, upper, workspace = state / "lower", state / "upper", state / "workspace"
    for directory in (lower, upper, workspace):
        directory.mkdir()
    program = (lower if overlay else upper) / "probe"
    program.write_bytes(probe_program(arch))
    program.chmod(0o755)
    root = Root((lower,) if overlay else (), upper, state / "work", upper if not overlay else state / "root")
    mounts = (Mount(workspace, PurePosixPath("/home/build"), writable=True),)
    spec = SandboxSpec(root, ("/probe",), PurePosixPath("/home/build"), (), state, mounts, emulator=emulator, ids=ids)
    outcome = run_sandbox(spec, lambda _: None)
    if outcome.status != PROBE_STATUS:
        text = f"a program of {arch} does not run in it: status {outcome.status}"
        raise SandboxError(text, details=outcome.quoted)


def has_own_id(cache: Path, ids: IdRange | None) -> bool:
    """Tell whether the user of a sandbox that root starts is another than the machine's root.

    Args:
        cache: a directory on the file system that builds work on.
        ids: the range of ids; None where there is none.
    """
    if ids is None:
        return False
    with scratch_directory(cache.resolve(), ".probe-") as state, _pipe() as errors:
        setup = {**common_setup(None, ids), "directories": [str(state)], "probe": True}
        command = enter_command(setup, state / "probe.json")
        return run([*command, str(errors.end)], env={}, pass_fds=(errors.end,), check=False).status == 0


def find_bubblewrap_version() -> str:
    """Return bubblewrap's version.

    Raises:
        ToolMissingError: it is not installed.
    """
    return run([find_tool("bwrap", hint=_INSTALL), "--version"]).stdout.split()[-1]


def _outside(number: int, own: int, start: int) -> int:
    return own if number == 0 else start + number - 1


def _run(spec: SandboxSpec, start: Callable[[list[str], tuple[int, ...]], Outcome]) -> Outcome:
    """Set up a sandbox, and run bubblewrap in it."""
    bwrap = find_tool("bwrap", hint=_INSTALL)
    try:
        with _pipe() as errors, _pipe() as status, _limited(spec) as group:
            setup = write_setup(spec, bubblewrap_argv(spec, bwrap, status_fd=status.end), group)
            outcome = _counted(start([*setup, str(errors.end)], (errors.end, status.end)), spec.state, group)
    finally:
        remove_work(spec.root.work)
    if errors.text:
        raise explain_refusal(errors.text, spec.root.upper)
    if not outcome.stopped and not _has_started(outcome, status.text):
        raise explain_bubblewrap(outcome.tail, outcome.quoted)
    return outcome


def _limited(spec: SandboxSpec) -> AbstractContextManager[Group | None]:
    counted = spec.limits.memory or spec.limits.processes
    return limited(spec.limits, find_parent() if counted else None, spec.name)


def _has_started(outcome: Outcome, status: str) -> bool:
    """Tell whether bubblewrap came as far as the command.

    It tells the command's exit status only if it had all set up. That the root has no such command is the recipe's
    matter, not this machine's. Source: report_child_exit_status of bubblewrap.c.
    """
    if '"child-pid"' not in status:
        return False
    last = outcome.tail[-1] if outcome.tail else ""
    is_refused = outcome.status == 1 and last.startswith("bwrap: ") and not last.startswith("bwrap: execvp ")
    return '"exit-code"' in status or not is_refused


def _counted(outcome: Outcome, state: Path, group: Group | None) -> Outcome:
    """Take over what was counted inside: the largest process, or what a control group has of all of them."""
    record = state / USAGE
    text = record.read_text(encoding="ascii") if record.exists() else ""
    memory = int(text) if text.isdecimal() else 0
    if group is None:
        return replace(outcome, usage=replace(outcome.usage, memory=memory))
    usage = replace(outcome.usage, memory=group.peak or memory)
    stopped = outcome.stopped or ("had a process killed, since it used more memory than it may" if group.killed else "")
    return replace(outcome, usage=usage, stopped=stopped)
