"""How much of a download has come: counted where bytes arrive, told to a monitor now and then.

Programs that download by themselves, apt and git, are watched by the files that they write.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from melpy.events import Note, Transfer
from melpy.interrupt import start_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from melpy.events import Monitor

_PAUSE = 0.2  # seconds between two events: more often, nobody sees it


class Meter:
    """Counts the bytes of a download, of one file or of several at once; threads may share it.

    Args:
        monitor: is told.
        job: what it is downloaded for.
        what: what is downloaded, such as `fetching packages`.
        total: bytes that there are; 0 where a server is to say it.
    """

    def __init__(self, monitor: Monitor, job: str, what: str, total: int = 0) -> None:
        self._monitor, self._job, self._what = monitor, job, what
        self._total = self._stated = total
        self._done = 0
        self._told = 0.0
        self._lock = threading.Lock()

    def expect(self, total: int) -> None:
        """Take note of what a server says of the size, where it was not known before."""
        if not self._stated:
            self._total = total

    def count(self, size: int) -> None:
        """Take note of bytes that came, or, below 0, of those that come once more."""
        self.reach(self._done + size, added=size)

    def reach(self, done: int, *, added: int | None = None) -> None:
        """Take note of how many bytes have come by now."""
        with self._lock:
            self._done = done if added is None else self._done + added
            now = time.monotonic()
            if now - self._told < _PAUSE:
                return
            self._told = now
            event = Transfer(self._job, self._what, self._done, self._total)
        self._monitor.emit(event)

    def note(self, text: str) -> None:
        """Tell a line about it."""
        self._monitor.emit(Note(self._job, text))

    def end(self) -> None:
        """Tell that nothing more comes."""
        self._monitor.emit(Transfer(self._job, self._what, self._done, self._total, ended=True))


@contextmanager
def open_meter(monitor: Monitor, job: str, what: str, total: int = 0) -> Iterator[Meter]:
    """Give a meter for a download, and tell of its end, however it ends."""
    meter = Meter(monitor, job, what, total)
    try:
        yield meter
    finally:
        meter.end()


@contextmanager
def watch_files(meter: Meter, directory: Path, patterns: Sequence[str]) -> Iterator[None]:
    """Count the bytes of the files that another program writes, while it does.

    Args:
        meter: counts them.
        directory: where the files are.
        patterns: globs of their names, relative to the directory.
    """
    stop = threading.Event()
    base = _sizes(directory, patterns)

    def watch() -> None:
        while not stop.wait(_PAUSE):
            sizes = _sizes(directory, patterns)
            meter.reach(sum(size for path, size in sizes.items() if base.get(path) != size))

    thread = threading.Thread(target=watch, daemon=True)
    start_thread(thread)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _sizes(directory: Path, patterns: Sequence[str]) -> dict[Path, int]:
    sizes = {}
    for pattern in patterns:
        for path in directory.glob(pattern):
            try:
                sizes[path] = path.stat().st_size
            except OSError:  # it was renamed just now
                continue
    return sizes
