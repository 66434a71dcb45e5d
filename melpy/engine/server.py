"""The server of workers, and workers themselves: what runs in processes that are forked from melpy.

Neither has the signing key, nor anything else that melpy's caller handed it open. A worker has a session of its own.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket  # noqa: TID251  # of this machine's processes only, which is no network
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from melpy.apk.secret import forget_secret
from melpy.codec import decode, encode
from melpy.engine.message import Broken, Done, Ended, Message, Refused, Request, Told
from melpy.engine.result import Result, describe_failure
from melpy.errors import OutputError, find_limit_hint, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.apk.secret import SecretPlace
    from melpy.engine.job import Job
    from melpy.events import Event, Monitor

_PR_SET_PDEATHSIG = 1
_LONGEST_REQUEST = 4096
_INTERRUPTED = 130
GRACE = 10.0
"""Seconds that a cancelled job has for cleaning up."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Server:
    """Forks a worker for each job, and tells how it ended."""

    def __init__(self, control: socket.socket, parent: int, secrets: Sequence[SecretPlace]) -> None:
        self._control = control
        self._workers: dict[int, tuple[int, socket.socket]] = {}  # by process
        self._due: dict[int, float] = {}  # when processes that were told to end are killed
        self._untold: dict[int, tuple[socket.socket, bytes]] = {}  # what melpy does not read yet, by descriptor
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
            left = max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None
            ready, writable, _ = select.select([self._control.fileno(), woken], list(self._untold), [], left)
            for descriptor in writable:
                self._tell(*self._untold.pop(descriptor))
            self._kill_late()
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
                    self._due.setdefault(process, time.monotonic() + GRACE)
            return
        if not descriptors:
            return  # this process may open no more; melpy's end is closed by that
        ends = socket.socket(fileno=descriptors[0])
        server = os.getpid()
        # A worker that is told to end at once must not lose that to the handlers of the server.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            process = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            with suppress(OSError), ends:
                ends.sendall(encode(Refused(error.errno or 0, reason_of(error))) + b"\n")
            return
        if process == 0:
            status = 1
            try:
                _die_with(server)
                self._control.close()
                for other in (*(end for _, end in self._workers.values()), *(end for end, _ in self._untold.values())):
                    other.close()
                status = _work(ends)
            finally:
                os._exit(status)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._workers[process] = (request.number, ends)

    def _reap(self) -> None:
        while self._workers:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            _, ends = self._workers.pop(process)
            self._due.pop(process, None)
            ends.setblocking(False)  # the worker wrote to the same socket, and had to wait
            # The worker may have been killed within a line.
            self._tell(ends, b"\n" + encode(Ended(os.waitstatus_to_exitcode(status))) + b"\n")

    def _tell(self, ends: socket.socket, text: bytes) -> None:
        """Tell melpy what it has room for, and the rest when it reads; other workers do not wait for that."""
        try:
            sent = ends.send(text)
        except BlockingIOError:
            sent = 0
        except OSError:  # it is not interested any more
            sent = len(text)
        if sent < len(text):
            self._untold[ends.fileno()] = (ends, text[sent:])
        else:
            ends.close()

    def _kill_late(self) -> None:
        """Kill the workers that were told to end and did not."""
        now = time.monotonic()
        for process in [process for process, due in self._due.items() if due <= now]:
            del self._due[process]
            os.kill(process, signal.SIGKILL)


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
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
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
