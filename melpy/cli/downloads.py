"""The downloads that go on now, in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy import events

Key = tuple[str, str]
"""Job and name of a download."""


class Downloads:
    """The downloads that go on now, and what is said of them."""

    def __init__(self) -> None:
        self._running: dict[Key, events.Transfer] = {}
        self._since: dict[Key, float] = {}

    def note(self, event: events.Transfer) -> float:
        """Take note of an event; return the seconds since the first one of its download."""
        key = event.job, event.what
        now = time.monotonic()
        since = self._since.setdefault(key, now)
        self._running[key] = event
        if event.ended:
            del self._running[key], self._since[key]
        return now - since

    def describe(self) -> str:
        """Return a line for all that go on; empty where none does."""
        running = list(self._running.values())
        if not running:
            return ""
        job = running[0].job if len({event.job for event in running}) == 1 else ""
        return f"{job} {self._describe(running)}".lstrip()

    def describe_job(self, job: str) -> str:
        """Return a text for those of a job; empty where none goes on."""
        running = [event for event in self._running.values() if event.job == job]
        return self._describe(running) if running else ""

    def _describe(self, running: Sequence[events.Transfer]) -> str:
        whole = all(event.total for event in running)
        done, total = sum(event.done for event in running), sum(event.total for event in running) if whole else 0
        seconds = time.monotonic() - min(self._since[event.job, event.what] for event in running)
        what = running[0].what if len(running) == 1 else f"{len(running)} downloads"
        rate = f", {size_text(int(done / seconds))}/s" if seconds > 1 else ""
        return f"{what} {amount_text(done, total)}{rate}"


def amount_text(done: int, total: int) -> str:
    """Return how much of a download has come; a server may send more than it said."""
    if not total or done > total:
        return size_text(done)
    return f"{size_text(done)} of {size_text(total)} ({100 * done // total} %)"
