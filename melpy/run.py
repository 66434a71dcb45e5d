"""The only door to processes.

Commands are argument lists, never shell strings. The child's environment is given whole: nothing of melpy's own
environment passes unless the caller says so.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess  # noqa: TID251  # this is the door
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.errors import ProcessError, ToolMissingError
from melpy.interrupt import start_thread
from melpy.orphan import end_with_melpy
from melpy.terminal import Terminal
from melpy.text import quote_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 20
LINE_LIMIT = 1 << 16
"""Characters of a line that are held at a time; a longer line comes in pieces, all but the last of this length."""
_WATCH_PAUSE = 0.25


class Usage(Noun, frozen=True):
    """What a process and all that it waited for have used.

    Attributes:
        seconds: from start to end.
        cpu: seconds of processors, user and system.
        memory: bytes that the largest of the processes held at most.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0


class Outcome(Noun, frozen=True):
    """How a process ended.

    Attributes:
        status: exit status; negative: the signal that killed it.
        stdout: what it printed there.
        stderr: what it printed there.
        tail: the last lines that it printed, each up to LINE_LIMIT characters.
        usage: what it used, where that is measured.
        stopped: why it was killed by whoever ran it; empty when it was not.
    """

    status: int
    stdout: str = ""
    stderr: str = ""
    tail: tuple[str, ...] = ()
    usage: Usage = Usage()
    stopped: str = ""

    @property
    def quoted(self) -> tuple[str, ...]:
        """The last lines that it printed, marked as another program's."""
        return tuple(map(quote_line, self.tail))


def find_tool(name: str, *, hint: str | None = None) -> str:
    """Return the path of a host program.

    Raises:
        ToolMissingError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise ToolMissingError(f"{name} is not installed", hint=hint or f"install {name}")
    return path


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
    check: bool = True,
    timeout: float | None = None,
    pass_fds: Sequence[int] = (),
    largest_file: int = 0,
    memory: int = 0,
) -> Outcome:
    """Run a program to its end and return what it printed.

    Args:
        argv: program and arguments.
        env: its whole environment; melpy's own without one.
        cwd: where it runs.
        stdin: what it reads.
        check: whether another exit status than 0 is an error.
        timeout: seconds after which it is killed, with all that it started.
        pass_fds: open files that it keeps.
        largest_file: bytes that a file may get that it writes; 0 for any.
        memory: bytes that each of its processes may hold; 0 for any.

    Raises:
        ToolMissingError: the program does not exist.
        ProcessError: it ended with another status than 0, and `check` is set.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  # an argument list made by melpy
            [*_limited(largest_file, memory), *argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=tuple(pass_fds),
            start_new_session=timeout is not None,
        )
    except FileNotFoundError:
        raise ToolMissingError(f"{argv[0]} is not installed", hint=f"install {argv[0]}") from None
    with process, _deadline(process, timeout) as expired:
        try:
            stdout, stderr = process.communicate(stdin)
        except BaseException:
            _kill(process, group=timeout is not None)
            process.wait()  # which Popen leaves out after an interrupt
            raise
    if expired.is_set():
        stderr += f"{argv[0]} was given up after {timeout:.0f} s\n"
    outcome = Outcome(process.returncode, stdout, stderr, tuple(stderr.splitlines()[-TAIL_LINES:]))
    if check and outcome.status:
        raise ProcessError(f"{argv[0]} ended with status {outcome.status}", details=outcome.quoted)
    return outcome


def _limited(largest_file: int, memory: int) -> list[str]:
    """Return what starts a program within limits, which all that it starts have as well; nothing without limits.

    Set from outside once it runs, they would come too late for programs that it has started by then. Source:
    prlimit(1) of util-linux.
    """
    limits = [
        f"--{name}={_within(number, size)}"
        for name, number, size in (
            ("fsize", resource.RLIMIT_FSIZE, largest_file),
            ("data", resource.RLIMIT_DATA, memory),
        )
        if size
    ]
    program = shutil.which("prlimit") if limits else None
    return [program, *limits, "--"] if program else []


def _within(number: int, size: int) -> int:
    """Return a limit that the user's own hard limit allows."""
    hard = resource.getrlimit(number)[1]
    return size if hard == resource.RLIM_INFINITY else min(size, hard)


def _kill(process: subprocess.Popen[str], *, group: bool) -> None:
    """Kill a process; with `group`, which it must be the first of, all that it started too."""
    if group:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


@contextmanager
def _deadline(process: subprocess.Popen[str], seconds: float | None) -> Iterator[threading.Event]:
    """Kill a process and all that it started when it takes too long, or melpy ends; what is yielded is set then.

    subprocess itself would ask again and again whether the process has ended.
    """
    expired = threading.Event()
    if seconds is None:
        yield expired
        return

    def expire() -> None:
        expired.set()
        _kill(process, group=True)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    start_thread(timer)
    try:
        with end_with_melpy(process.pid):
            yield expired
    finally:
        timer.cancel()


def attach(argv: Sequence[str], *, pass_fds: Sequence[int] = ()) -> Outcome:
    """Run a program with melpy's own terminal, standard input and output, in an empty environment.

    It is a job of its own, as a shell's are: what it sends to its process group reaches nobody else, the terminal is
    its own as long as it needs it, and when it is stopped melpy stops with it. It is interrupted when melpy is, and
    killed when melpy is told to end.

    Raises:
        ToolMissingError: the program does not exist.
    """
    terminal = Terminal() if os.isatty(0) else None
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(list(argv), env={}, pass_fds=tuple(pass_fds), process_group=0)  # noqa: S603  # as above
        signal.signal(signal.SIGINT, lambda number, _: _signal_group(process, number))
        try:
            return Outcome(_wait_job(process, terminal))
        except BaseException:
            process.kill()
            process.wait()
            raise
    except FileNotFoundError:
        raise ToolMissingError(f"{argv[0]} is not installed", hint=f"install {argv[0]}") from None
    finally:
        signal.signal(signal.SIGINT, before)
        if terminal:
            terminal.take_back()


def _wait_job(process: subprocess.Popen[bytes], terminal: Terminal | None) -> int:
    """Wait for a job, lending it the terminal, and return how it ended."""
    # In a pipeline another program may be using the terminal: only who asks gets it then.
    is_wanted = os.isatty(1)
    while True:
        if terminal:
            if is_wanted:
                terminal.lend(process.pid)
            _signal_group(process, signal.SIGCONT)  # it may have asked before
        _, status = os.waitpid(process.pid, os.WUNTRACED if terminal else 0)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
        assert terminal
        is_asking = os.WSTOPSIG(status) in {signal.SIGTTIN, signal.SIGTTOU}
        if not (is_asking and terminal.is_ours()):
            terminal.take_back()
            os.kill(0, signal.SIGTSTP)
            time.sleep(0.1)  # the kernel stops nobody whom no shell would continue
        is_wanted = is_wanted or is_asking


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def stream(
    argv: Sequence[str],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    pass_fds: Sequence[int] = (),
    watch: Callable[[int], str] | None = None,
) -> Outcome:
    """Run a program, handing each line that it prints (stdout and stderr as they come) to `on_line`.

    The program sees neither melpy's terminal nor its standard input. It is killed when melpy is interrupted.

    Args:
        argv: program and arguments.
        on_line: receives the lines; a line longer than LINE_LIMIT in pieces.
        env: its whole environment; melpy's own without one.
        stdin: what it reads.
        pass_fds: open files that it keeps.
        watch: is asked several times a second whether the program, whose process id it is told, is to be killed, and
            says why, or nothing.

    Raises:
        ToolMissingError: the program does not exist.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    start = time.monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603  # an argument list made by melpy
            list(argv),
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ToolMissingError(f"{argv[0]} is not installed", hint=f"install {argv[0]}") from None
    with process, _watched(process, watch) as stopped:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # A program that ends without reading its input is no error of ours.
            try:
                process.stdin.write(stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass
            # Whatever a program prints, only so much of it is held at a time.
            is_new = True
            for line in iter(partial(process.stdout.readline, LINE_LIMIT), ""):
                text = line.rstrip("\n")
                if is_new:
                    tail.append(text)
                is_new = len(text) < LINE_LIMIT
                on_line(text)
            usage = _wait(process, start)
        except BaseException:
            process.kill()
            raise
    return Outcome(process.returncode, tail=tuple(tail), usage=usage, stopped="".join(stopped))


def _wait(process: subprocess.Popen[str], start: float) -> Usage:
    """Wait for a process; unlike subprocess, learn what it used."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@contextmanager
def _watched(process: subprocess.Popen[str], watch: Callable[[int], str] | None) -> Iterator[list[str]]:
    """Kill a process as soon as `watch` says why; what is yielded has the reason then."""
    reasons: list[str] = []
    if watch is None:
        yield reasons
        return
    ended = threading.Event()
    handle = os.pidfd_open(process.pid)  # its number may be another's by the time that it is killed

    def look() -> None:
        while not ended.wait(_WATCH_PAUSE):
            reason = watch(process.pid)
            if reason and not ended.is_set():
                reasons.append(reason)
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                return

    thread = threading.Thread(target=look, daemon=True)
    start_thread(thread)
    try:
        yield reasons
    finally:
        ended.set()
        thread.join()
        os.close(handle)
