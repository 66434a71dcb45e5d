"""Processes that execute jobs: each is told a job as JSON and tells events and a result as JSON, over a socket.

They are forked from a server, which is forked from melpy itself before melpy has threads or has read a key. A fork
takes some milliseconds, where a new interpreter with its imports takes half a second. Only what a job says passes to a
worker; it has a session of its own, so that a terminal's interrupt reaches melpy alone, which then cancels its jobs.

The server ends with melpy and workers end with the server, however that comes about; sandboxes end with their worker.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket  # noqa: TID251  # of this machine's processes only, which is no network
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from melpy.apk.secret import forget_secret
from melpy.codec import Noun, decode, encode, replace
from melpy.engine.result import Result, describe_failure
from melpy.errors import MelpyError, OutputError, ProcessError, ValueFormatError, find_limit_hint, reason_of
from melpy.events import AnyEvent, Null
from melpy.sandbox.cgroup import find_parent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from melpy.engine.job import Job
    from melpy.events import Event, Monitor

_PR_SET_PDEATHSIG = 1
_LONGEST_REQUEST = 4096
_INTERRUPTED = 130
_GRACE = 10.0  # seconds that a cancelled job has for cleaning up
_PIECE = 1 << 16  # bytes that are read at once
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MEMORY_HINT = "the machine may have run out of memory: see the kernel's log (dmesg)"


class Told(Noun, frozen=True, tag=True):
    """An event of a job; events are numbered from 1."""

    number: int
    event: AnyEvent


class Done(Noun, frozen=True, tag=True):
    """The result of a job, its worker's last word."""

    result: Result


class Broken(Noun, frozen=True, tag=True):
    """A fault of melpy in a worker: the traceback."""

    text: str


class Ended(Noun, frozen=True, tag=True):
    """The end of a worker, told by the server: its exit status, or the negative number of the signal that killed it."""

    status: int


class Refused(Noun, frozen=True, tag=True):
    """The server cannot start a worker: number and text of the system's error."""

    number: int
    reason: str


Message = Told | Done | Broken | Ended | Refused


class Request(Noun, frozen=True):
    """What the server is asked: to start a worker for the socket that comes along, or to signal one."""

    number: int
    signal: int = 0


class Workers:
    """The worker processes of a run. Several threads may have jobs executed at the same time."""

    def __init__(self, control: socket.socket, server: int) -> None:
        self._control = control
        self._server = server
        self._lock = threading.Lock()
        self._last = 0
        self._uses = dict.fromkeys(sorted(os.sched_getaffinity(0)), 0)

    def execute(self, job: Job, monitor: Monitor) -> Result:
        """Have a worker execute a job; an interrupt cancels it and is raised when the worker has cleaned up.

        Raises:
            ProcessError: the worker was killed, or none can be started.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs, self._hold_processors(job.run.options.limits.processors) as processors:
            options = replace(job.run.options, processors=processors)
            job = replace(job, run=replace(job.run, options=options))
            number = self._start(theirs, job.name)
            theirs.close()
            try:
                # A worker that has ended already does not read it; what is read next says how it ended.
                with suppress(BrokenPipeError, ConnectionResetError):
                    ours.sendall(encode(job) + b"\n")
                return _follow(ours, job.name, monitor)
            except MelpyError:
                raise
            except BaseException:  # an interrupt, or nobody reads what the monitor prints
                self._signal(number, signal.SIGINT)
                ours.settimeout(_GRACE)
                with suppress(OSError, MelpyError, AssertionError, KeyboardInterrupt):
                    _follow(ours, job.name, Null())
                self._signal(number, signal.SIGKILL)
                raise

    def _start(self, ends: socket.socket, name: str) -> int:
        """Have the server start a worker with one end of a connection; return the worker's number."""
        with self._lock:
            self._last += 1
            try:
                socket.send_fds(self._control, [encode(Request(self._last))], [ends.fileno()])
            except OSError:
                raise _explain_loss(name) from None
            return self._last

    @contextmanager
    def _hold_processors(self, count: int) -> Iterator[tuple[int, ...]]:
        """Give the processors that the fewest jobs use; none in particular where a job may use all."""
        if not count or count >= len(self._uses):
            yield ()
            return
        with self._lock:
            chosen = sorted(self._uses, key=lambda processor: self._uses[processor])[:count]
            for processor in chosen:
                self._uses[processor] += 1
        try:
            yield tuple(sorted(chosen))
        finally:
            with self._lock:
                for processor in chosen:
                    self._uses[processor] -= 1

    def _signal(self, number: int, kind: signal.Signals) -> None:
        with suppress(OSError), self._lock:  # a server that is gone took its workers with it
            self._control.send(encode(Request(number, kind)))

    def close(self) -> None:
        """End the server, and with it the workers that are left."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._server, 0)


def _follow(ours: socket.socket, name: str, monitor: Monitor) -> Result:
    """Hand on the events of a worker up to its end, and return the result."""
    result: Result | None = None
    damaged = b""
    for line in _read_lines(ours):
        try:
            message = decode(line, Message, where=name)
        except ValueFormatError:
            message, damaged = None, damaged or line
        # A worker that is killed may leave half a line, its last one.
        if damaged and message and not (isinstance(message, Ended) and message.status):
            raise AssertionError(f"the process that built {name} said what is no message: {damaged!r}")
        if isinstance(message, Told):
            monitor.emit(message.event)
        elif isinstance(message, Done):
            result = message.result
        elif isinstance(message, Broken):
            raise AssertionError(f"the process that built {name} broke down:\n{message.text}")  # noqa: TRY004  # it is no matter of types
        elif isinstance(message, Refused):
            text = f"no process can be started for it: {message.reason}"
            raise ProcessError(text, where=name, hint=find_limit_hint(message.number) or None)
        elif isinstance(message, Ended):
            if result is None:
                raise _explain_end(message.status, name)
            return result
    raise _explain_loss(name)


def _read_lines(ours: socket.socket) -> Iterator[bytes]:
    """Yield the lines that come, but for empty ones; an interrupt loses none of what came before it."""
    # A file of Python's loses the beginning of a line in which it is interrupted.
    data = bytearray()
    while True:
        try:
            piece = ours.recv(_PIECE)
        except ConnectionResetError:  # a worker ended before it had read all
            return
        if not piece:
            return
        *lines, rest = piece.split(b"\n")
        for line in lines:
            data += line
            whole = bytes(data)
            data.clear()
            if whole:
                yield whole
        data += rest


def _explain_end(status: int, name: str) -> ProcessError:
    ended = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    hint = _MEMORY_HINT if status == -signal.SIGKILL else None
    return ProcessError(f"the process that built it {ended}", where=name, hint=hint)


def _explain_loss(name: str) -> ProcessError:
    return ProcessError("the connection to the processes that build was lost", where=name, hint=_MEMORY_HINT)


@contextmanager
def start_workers(secrets: Sequence[str] = (), *, counted: bool = False) -> Iterator[Workers]:
    """Start the server of workers; it ends at the end of the block.

    This must come before the process has threads, and before it reads any of the secrets.

    Args:
        secrets: where secrets are kept, as `apk.secret` has it, that workers are not to see.
        counted: whether jobs have limits that control groups count.
    """
    if counted:
        # Groups with limits in them can be made once no process is beside them, so the server is forked below. It and
        # its workers could move themselves alone.
        find_parent()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    server = os.fork()
    if server == 0:
        status = 1
        try:
            ours.close()
            _Server(theirs, parent, secrets).serve()
            status = 0
        except Exception:  # a fault of melpy, which nobody else would tell of
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)  # nothing of melpy's own end is the server's
    theirs.close()
    workers = Workers(ours, server)
    try:
        yield workers
    finally:
        workers.close()


class _Server:
    """Forks a worker for each job, and tells how it ended."""

    def __init__(self, control: socket.socket, parent: int, secrets: Sequence[str]) -> None:
        self._control = control
        self._workers: dict[int, tuple[int, socket.socket]] = {}  # by process
        _die_with(parent)
        for number in _ENDING:  # which terminals and timeout(1) send to all; melpy says what is to end
            signal.signal(number, lambda *_: None)  # unlike SIG_IGN, no program that is started inherits that
        for secret in secrets:
            forget_secret(secret)
        _close_all_but(control.fileno())

    def serve(self) -> None:
        """Start workers until melpy closes its end; those that are left end with the server."""
        from melpy.engine import execute  # noqa: F401, PLC0415  # while melpy reads recipes, for all workers

        gc.freeze()  # so that collections do not touch the pages that are shared
        woken, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._control.fileno(), woken], [], [])
            if woken in ready:
                with suppress(BlockingIOError):
                    os.read(woken, 512)
                self._reap()
            if self._control.fileno() in ready:
                data, descriptors, _, _ = socket.recv_fds(self._control, _LONGEST_REQUEST, 1)
                if not data:
                    return
                self._answer(decode(data, Request), descriptors)

    def _answer(self, request: Request, descriptors: Sequence[int]) -> None:
        if request.signal:
            for process, (number, _) in self._workers.items():
                if number == request.number:
                    os.kill(process, request.signal)
            return
        if not descriptors:
            return  # this process may open no more; melpy's end is closed by that
        ends = socket.socket(fileno=descriptors[0])
        server = os.getpid()
        try:
            process = os.fork()
        except OSError as error:
            with suppress(OSError), ends:
                ends.sendall(encode(Refused(error.errno or 0, reason_of(error))) + b"\n")
            return
        if process == 0:
            status = 1
            try:
                _die_with(server)
                self._control.close()
                for _, other in self._workers.values():
                    other.close()
                status = _work(ends)
            finally:
                os._exit(status)
        self._workers[process] = (request.number, ends)

    def _reap(self) -> None:
        while self._workers:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            _, ends = self._workers.pop(process)
            with suppress(OSError), ends:
                # The worker may have been killed within a line.
                ends.sendall(b"\n" + encode(Ended(os.waitstatus_to_exitcode(status))) + b"\n")


def _work(ends: socket.socket) -> int:
    """Execute the job that a socket tells, and return the exit status of the worker."""
    from melpy.engine.execute import execute  # noqa: PLC0415  # the server has imported it
    from melpy.engine.job import Job  # noqa: PLC0415  # likewise
    from melpy.interrupt import handle_interrupts  # noqa: PLC0415  # likewise

    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    handle_interrupts(*_ENDING, once=True)
    stream = ends.makefile("rwb")
    said = _Said(stream)
    try:
        job = decode(stream.readline().rstrip(b"\n"), Job, where="the job")
        said.send(Done(_execute(execute, job, said)))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BaseException:  # melpy is told, and shows it
        said.send(Broken(traceback.format_exc()))
        return 1
    return 0


def _execute(execute: Any, job: Job, monitor: Monitor) -> Result:  # `execute` is imported late
    try:
        result = execute(job, monitor)
    except OSError as error:
        where = str(error.filename) if error.filename else None
        known = OutputError(reason_of(error), where=where, hint=find_limit_hint(error.errno) or None)
        result = Result(job.name, failure=describe_failure(known))
    assert isinstance(result, Result)
    return result


class _Said:
    """A monitor that sends events to melpy."""

    def __init__(self, stream: Any) -> None:  # a socket's file
        self._stream = stream
        self._lock = threading.Lock()
        self._number = 0

    def emit(self, event: Event) -> None:
        """Send an event."""
        with self._lock:
            self._number += 1
            self._write(Told(self._number, event))  # type: ignore[arg-type]  # every event is one of them

    def send(self, message: Message) -> None:
        """Send the last message."""
        with self._lock:
            self._write(message)

    def _write(self, message: Message) -> None:
        self._stream.write(encode(message) + b"\n")
        self._stream.flush()


def _die_with(parent: int) -> None:
    """Be killed when the parent ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _close_all_but(kept: int) -> None:
    """Close all that melpy's caller handed it open, but for the standard streams; nothing is read from a terminal."""
    try:
        # SC_OPEN_MAX may be a milliard in containers, and less than the number of a file that was opened before.
        numbers = sorted(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208  # no paths are needed
    except OSError:  # it may not be opened where the user was changed, or where no more files may be
        numbers = list(range(min(os.sysconf("SC_OPEN_MAX"), 1 << 16)))
    for number in numbers:
        if number > 2 and number != kept:
            with suppress(OSError):  # that of the directory itself
                os.close(number)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
