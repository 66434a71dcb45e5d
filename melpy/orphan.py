"""Programs in sessions of their own: a terminal's signals do not reach them, so they are killed when melpy ends.

A thread that waits for one does not hinder melpy from ending, and is no more there to end it.
"""

from __future__ import annotations

import atexit
import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_leaders: set[int] = set()  # first processes of sessions
_owner = os.getpid()  # a forked process has the leaders of the one that it comes from
_is_over = False


@contextmanager
def end_with_melpy(leader: int) -> Iterator[None]:
    """Have all processes of a session killed if melpy ends before this context does.

    Args:
        leader: process id of the session's first process, which must have been waited for when the context ends.
    """
    global _owner  # noqa: PLW0603  # a process of melpy has one
    if _owner != os.getpid():
        _owner = os.getpid()
        _leaders.clear()
    _leaders.add(leader)
    if _is_over:  # a thread has gone on meanwhile
        _kill(leader)
    try:
        yield
    finally:
        _leaders.discard(leader)


@atexit.register
def end_sessions() -> None:
    """Kill them, since melpy ends; what threads start from now on is killed, too."""
    global _is_over  # noqa: PLW0603  # likewise
    _is_over = True
    for leader in list(_leaders) if _owner == os.getpid() else ():
        _kill(leader)


def _kill(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
