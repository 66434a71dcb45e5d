"""Commits of git sources that no recipe pins: looked for once in a run, since keys follow from them.

Where a repository cannot be reached, or is not to be, the commit of the last look counts: that a server is away makes
nothing out of date. A build that has to be made asks the repository again, and fails where it has no answer.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING

from melpy import events
from melpy.codec import decode
from melpy.digest import sha256_hex
from melpy.engine.inputs import render_unpinned
from melpy.engine.post import Post
from melpy.errors import UnreachableError
from melpy.plan.git import GitSource
from melpy.source.git import find_tip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from melpy.engine.journal import Journal
    from melpy.engine.model import SourceSpec

_AT_ONCE = 8  # repositories that are asked at the same time


class Tips:
    """What sources without a commit are at.

    Args:
        spec: where sources are kept and looked for.
        journal: remembers the last look.
        monitor: is told of repositories that cannot be reached.
        look: whether repositories are asked; else the last look counts.
    """

    def __init__(self, spec: SourceSpec, journal: Journal, monitor: events.Monitor, *, look: bool = True) -> None:
        self._spec, self._journal, self._monitor, self._look = spec, journal, monitor, look
        self._commits: dict[str, str] = {}

    def find(self, sources: Iterable[str]) -> tuple[str, ...]:
        """Return the commits of sources, which `render_unpinned` names; empty for one that nobody has seen.

        Raises:
            MelpyError: git is missing, or the cache cannot be written.
        """
        wanted = tuple(sources)
        new = [text for text in dict.fromkeys(wanted) if text not in self._commits]
        if new:
            known = self._journal.find_keys([_stamp(text) for text in new])
            last = {text: known.get(_stamp(text), "") for text in new}
            self._commits |= self._ask_all(last) if self._look else last
            seen = {_stamp(text): commit for text in new if (commit := self._commits[text])}
            if seen != known:
                self._journal.add_keys(seen)
        return tuple(self._commits[text] for text in wanted)

    def find_one(self, source: GitSource) -> str:
        """Return the commit of a source; empty where nobody has seen one.

        Raises:
            MelpyError: git is missing, or the cache cannot be written.
        """
        return self.find([render_unpinned(source)])[0]

    def _ask_all(self, last: Mapping[str, str]) -> dict[str, str]:
        """Return what sources are at now; the main thread stays open for an interrupt.

        Args:
            last: the sources, each with the commit of the last look.
        """
        by_repository: defaultdict[str, list[tuple[str, GitSource]]] = defaultdict(list)
        for text in last:
            source = decode(text.encode(), GitSource)
            by_repository[source.repository].append((text, source))
        waiting = list(by_repository.values())
        found: dict[str, str] = {}
        lock = threading.Lock()

        def take() -> list[tuple[str, GitSource]]:
            with lock:
                return waiting.pop() if waiting else []

        def work() -> None:
            while sources := take():
                found.update(self._ask(sources, last))

        try:
            _run_in_threads(work, min(_AT_ONCE, len(waiting)))
        finally:
            waiting.clear()
        return found

    def _ask(self, sources: Iterable[tuple[str, GitSource]], last: Mapping[str, str]) -> dict[str, str]:
        """Return what sources of one repository are at; where it does not answer, it is asked once."""
        found: dict[str, str] = {}
        away: UnreachableError | None = None
        for text, source in sources:
            try:
                if away:
                    raise away
                found[text] = find_tip(source, self._spec.repositories, self._monitor, self._spec.places)
            except UnreachableError as error:
                away = error if error.passing else None
                found[text] = last[text]
                if last[text] and not self._spec.places.offline:
                    told = f"{error}; {source.version} counts as it was seen last, at commit {last[text][:12]}"
                    self._monitor.emit(events.Warning("", told))
        return found


def _run_in_threads(work: Callable[[], None], count: int) -> None:
    """Do the same work in some threads, and raise what the first one raised that did."""
    if threading.current_thread() is not threading.main_thread():
        work()
        return
    with closing(Post()) as post:
        ended: list[BaseException | None] = []
        for _ in range(count):
            post.call(work, ended.append, starts_programs=True)
        while len(ended) < count:
            for act in post.take():
                act()
            for error in filter(None, ended):
                raise error


def _stamp(text: str) -> str:
    return f"tip-{sha256_hex(text.encode())}"
