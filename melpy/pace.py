"""How fast a server must send: connections that send next to nothing are ended.

The time that one wait may take says nothing of how many there are: a byte now and then would keep melpy waiting for
ever. Part of `melpy.net`, the only door to the network.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from melpy.errors import UnreachableError
from melpy.interrupt import start_thread

if TYPE_CHECKING:
    import socket  # noqa: TID251  # part of the door
    from collections.abc import Callable, Iterator

    import urllib3  # noqa: TID251  # likewise

WINDOW = 30.0
"""Seconds that are looked at together."""
SLOWEST = 1000
"""Bytes a second, as git has it by default of melpy's."""

_pace = threading.local()  # of the download that a thread does, for the connections that it uses


class Pace:
    """Ends a connection that sends next to nothing: each wait may be short, and all of them never end.

    Args:
        silence: seconds in which a server may send nothing before it begins; None is for ever.
    """

    def __init__(self, silence: float | None) -> None:
        self._silence = silence
        # Whoever waits longer for each piece is as patient with all of them.
        self._window = max(WINDOW, silence) if silence is not None else 20 * WINDOW
        self._socket: Callable[[], socket.socket | None] = lambda: None
        self._since = time.monotonic()
        self._received = -1  # of the window that runs; nothing at all is another thing than too little
        self.is_slow = False

    def begin(self, find_socket: Callable[[], socket.socket | None]) -> None:
        """Take note that something is asked of a server, and of how it can be ended."""
        self._socket, self._since, self._received = find_socket, time.monotonic(), -1

    def count(self, size: int) -> None:
        """Take note of bytes that came."""
        if self._received < 0:
            self._since, self._received = time.monotonic(), 0
        self._received += size

    def look(self) -> None:
        """End the connection when too little came of late."""
        passed = time.monotonic() - self._since
        if self._received < 0:
            self.is_slow |= self._silence is not None and passed > self._window
        elif passed > self._window:
            self.is_slow |= self._received < self._window * SLOWEST
            self._since, self._received = time.monotonic(), 0
        found = self._socket() if self.is_slow else None
        if found is not None:
            with suppress(OSError):
                found.shutdown(2)  # both ways: whoever reads from it goes on at once

    def check(self, uri: str) -> None:
        """Raise the error of a server that was too slow."""
        if self.is_slow:
            hint = "use a mirror, or fetch it by other means: melpy source list says where the cache is"
            error = UnreachableError(f"sends less than {SLOWEST} bytes a second", where=uri, hint=hint)
            error.passing = True
            raise error


@contextmanager
def watch_pace(silence: float | None) -> Iterator[Pace]:
    """Watch the connections of this thread until the block ends; see `Pace`."""
    pace = Pace(silence)
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(min(1.0, WINDOW / 4)):
            pace.look()

    thread = threading.Thread(target=run, daemon=True)
    start_thread(thread)
    _pace.current = pace
    try:
        yield pace
    finally:
        _pace.current = None
        ended.set()
        thread.join()


def watch_pools(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    """Have the connections of a manager tell the pace of their thread what they do."""
    from urllib3 import connectionpool  # noqa: PLC0415, TID251  # as late as melpy.net does

    pools: dict[str, Any] = {}
    for scheme, pool in (("http", connectionpool.HTTPConnectionPool), ("https", connectionpool.HTTPSConnectionPool)):
        base: Any = pool.ConnectionCls
        watched = type(f"Paced{base.__name__}", (_PacedRequest, base), {})
        pools[scheme] = type(f"Paced{pool.__name__}", (pool,), {"ConnectionCls": watched})
    manager.pool_classes_by_scheme = pools
    return manager


class _PacedRequest:
    """What a connection does when something is asked of it."""

    sock: socket.socket | None

    def request(self, *arguments: Any, **named: Any) -> None:  # urllib3's own
        pace = getattr(_pace, "current", None)
        if pace:
            pace.begin(lambda: self.sock)
        super().request(*arguments, **named)  # type: ignore[misc]  # of the class that it is mixed into
        # An answer without a length takes the socket over, and the connection knows it no more.
        taken = self.sock
        if pace:
            pace.begin(lambda: taken)
