"""Post from threads to the main thread, which waits for it and for signals at the same time."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from melpy.interrupt import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


class Post:
    """A queue of calls that threads leave for the main thread.

    The kernel may hand a signal to any thread; Python handles it in the main one, which therefore waits for a
    descriptor that signals are written to as well.
    """

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def call(
        self, work: Callable[[], Value], done: Callable[[Value | BaseException], None], *, starts_programs: bool
    ) -> None:
        """Do work in a thread of its own, and have the main thread take its value, or what it raised.

        Args:
            work: the work.
            done: is called by the main thread.
            starts_programs: whether programs are started, which get the signals of a terminal as melpy does; a thread
                that starts none gets no signals, so that the main one gets all.
        """
        deliver = self.wrap(done)

        def carry() -> None:
            try:
                value: Value | BaseException = work()
            except BaseException as error:  # the main thread decides what becomes of it
                value = error
            deliver(value)

        thread = threading.Thread(target=carry, daemon=True)
        if starts_programs:
            thread.start()
        else:
            start_thread(thread)

    def wrap(self, done: Callable[[Value | BaseException], None]) -> Callable[[Value | BaseException], None]:
        """Return a function that any thread may call, by which the main thread calls another with the same value."""

        def deliver(value: Value | BaseException) -> None:
            self._calls.append(lambda: done(value))
            # Full, so that the main thread wakes anyway. Once it is closed, its number may be that of another file.
            with self._lock, suppress(OSError):
                if self._write >= 0:
                    os.write(self._write, b"\0")

        return deliver

    def take(self, seconds: float | None = None) -> list[Callable[[], None]]:
        """Wait for calls, and return them; nothing when only a signal or the end of the time woke the thread.

        Raises:
            KeyboardInterrupt: as the handler of a signal has it.
        """
        if not self._calls:
            select.select([self._read], [], [], seconds)
        with suppress(BlockingIOError):
            while os.read(self._read, 512):
                pass
        calls = []
        while self._calls:
            calls.append(self._calls.popleft())
        return calls

    def close(self) -> None:
        """Leave signals as they were; threads that still work tell nobody."""
        signal.set_wakeup_fd(self._before)
        with self._lock:
            read, write, self._write = self._read, self._write, -1
            os.close(read)
            os.close(write)
