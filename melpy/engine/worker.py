"""Processes that execute jobs: each is told a job as JSON and tells events and a result as JSON, over a socket.

They are forked from a server, which is forked from melpy itself before melpy has threads or has read a key. A fork
takes some milliseconds, where a new interpreter with its imports takes half a second. Only what a job says passes to a
worker; it has a session of its own, so that a terminal's interrupt reaches melpy alone, which then cancels its jobs.

The server ends with melpy and workers end with the server, however that comes about; sandboxes end with their worker.
"""

from __future__ import annotations

import os
import signal
import socket  # noqa: TID251  # of this machine's processes only, which is no network
import sys
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from melpy.codec import decode, encode, replace
from melpy.engine.message import Broken, Done, Ended, Message, Refused, Request, Told
from melpy.engine.server import GRACE, Server
from melpy.engine.share import Portion, Shares, find_processors
from melpy.errors import CancelledError, MelpyError, ProcessError, ValueFormatError, find_limit_hint
from melpy.sandbox.cgroup import find_parent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.apk.secret import SecretPlace
    from melpy.engine.admission import Capacity
    from melpy.engine.job import Job
    from melpy.engine.result import Result
    from melpy.events import Monitor

_PIECE = 1 << 16  # bytes that are read at once
_MEMORY_HINT = "the machine may have run out of memory: see the kernel's log (dmesg)"


THIS_MACHINE = "this machine"


class Workers:
    """The worker processes of a run. Several threads may have jobs executed at the same time, or cancelled."""

    def __init__(self, control: socket.socket, server: int) -> None:
        self._control = control
        self._server = server
        self._lock = threading.Lock()
        self._last = 0
        self._numbers: dict[tuple[str, int], int] = {}  # of workers, by job and attempt
        self._cancelled: set[tuple[str, int]] = set()
        self._shares = Shares(find_processors())

    def execute(self, job: Job, monitor: Monitor) -> Result:
        """Have a worker execute a job; an interrupt cancels it and is raised when the worker has cleaned up.

        A job that ended before the worker heard of being cancelled returns its result.

        Raises:
            CancelledError: another thread cancelled it, and the worker has cleaned up.
            ProcessError: the worker was killed, or none can be started.
        """
        key = (job.name, job.run.attempt)
        try:
            return self._execute(job, key, monitor)
        except ProcessError:
            with self._lock:
                if key not in self._cancelled:
                    raise
            raise CancelledError("was cancelled", where=job.name) from None
        finally:
            with self._lock:
                self._numbers.pop(key, None)
                self._cancelled.discard(key)

    def find_machine(self, arch: str) -> str:  # noqa: ARG002  # see `melpy.engine.model.Executor`
        """Return the name of this machine, which executes the jobs of every architecture."""
        return THIS_MACHINE

    def find_capacities(self, work: Path, builds: int) -> Mapping[str, Capacity]:
        """See `melpy.engine.model.Executor`."""
        from melpy.engine.capacity import find_capacity  # noqa: PLC0415  # the server of workers needs it not

        return {THIS_MACHINE: find_capacity(work, builds)}

    def cancel(self, job: Job) -> None:
        """Have the worker of a job clean up and end, and `execute` raise CancelledError in the thread that waits.

        It returns at once. A worker that does not end in time is killed. A job that is not executed yet will not be.
        """
        key = (job.name, job.run.attempt)
        with self._lock:
            self._cancelled.add(key)
            number = self._numbers.get(key, 0)
        if number:
            self._signal(number, signal.SIGINT)

    def _execute(self, job: Job, key: tuple[str, int], monitor: Monitor) -> Result:
        ours, theirs = socket.socketpair()
        portion = Portion(job.run.weight or job.run.requests.processors, job.run.options.limits.processors)
        share = job.run.locations.results.with_name(f".{job.run.locations.results.name}.{key[1]}.processors")
        with ours, theirs, self._shares.hold(f"{key[0]}.{key[1]}", portion, share) as processors:
            options = replace(job.run.options, processors=processors, share=share)
            job = replace(job, run=replace(job.run, options=options))
            number = self._start(theirs, job.name, key)
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
                with suppress(OSError, KeyboardInterrupt):
                    _await_end(ours)
                self._signal(number, signal.SIGKILL)
                raise

    def _start(self, ends: socket.socket, name: str, key: tuple[str, int]) -> int:
        """Have the server start a worker with one end of a connection; return the worker's number."""
        with self._lock:
            if key in self._cancelled:
                raise CancelledError("was cancelled", where=name)
            assert key not in self._numbers, f"attempt {key[1]} at {name} is executed twice at once"
            self._last += 1
            self._numbers[key] = self._last
            try:
                socket.send_fds(self._control, [encode(Request(self._last))], [ends.fileno()])
            except OSError:
                raise _explain_loss(name) from None
            return self._last

    def _signal(self, number: int, kind: signal.Signals) -> None:
        with suppress(OSError), self._lock:  # a server that is gone took its workers with it
            self._control.send(encode(Request(number, kind)))

    def close(self) -> None:
        """End the server, and with it the workers that are left."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._server, 0)


def _follow(ours: socket.socket, name: str, monitor: Monitor) -> Result:
    """Hand on the events of a worker up to its result, and return that; what is left of the worker ends by itself."""
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
            return message.result
        elif isinstance(message, Broken):
            raise AssertionError(f"the process that built {name} broke down:\n{message.text}")  # noqa: TRY004  # it is no matter of types
        elif isinstance(message, Refused):
            text = f"no process can be started for it: {message.reason}"
            raise ProcessError(text, where=name, hint=find_limit_hint(message.number) or None)
        elif isinstance(message, Ended):
            raise _explain_end(message.status, name)
    raise _explain_loss(name)


def _await_end(ours: socket.socket) -> None:
    """Wait for the end of a worker that was told to end; what it says until then is of no use any more.

    Raises:
        TimeoutError: it takes too long.
    """
    end = time.monotonic() + GRACE
    while (left := end - time.monotonic()) > 0:
        ours.settimeout(left)
        if not ours.recv(_PIECE):
            return


def _read_lines(ours: socket.socket) -> Iterator[bytes]:
    """Yield the lines that come, but for empty ones."""
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
def start_workers(secrets: Sequence[SecretPlace] = (), *, counted: bool = False) -> Iterator[Workers]:
    """Start the server of workers; it ends at the end of the block.

    This must come before the process has threads, and before it reads any of the secrets.

    Args:
        secrets: where secrets are kept that workers are not to see.
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
            Server(theirs, parent, secrets).serve()
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
