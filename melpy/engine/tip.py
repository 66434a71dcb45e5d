"""Commits of git sources that no recipe pins: looked for once in a run, since keys follow from them.

Where a repository cannot be reached, or is not to be, the commit of the last look counts: that a server is away makes
nothing out of date. A build that has to be made asks the repository again, and fails where it has no answer.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from melpy import events
from melpy.codec import decode
from melpy.digest import sha256_hex
from melpy.engine.inputs import render_unpinned
from melpy.errors import UnreachableError
from melpy.plan.git import GitSource
from melpy.source.git import find_tip

if TYPE_CHECKING:
    from collections.abc import Iterable

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
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = pool.map(lambda text: self._ask(text, known.get(_stamp(text), "")), new)
                self._commits.update(zip(new, found, strict=True))
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

    def _ask(self, text: str, last: str) -> str:
        if not self._look:
            return last
        source = decode(text.encode(), GitSource)
        try:
            return find_tip(source, self._spec.repositories, self._monitor, self._spec.places)
        except UnreachableError as error:
            if last and not self._spec.places.offline:
                told = f"{error}; {source.version} counts as it was seen last, at commit {last[:12]}"
                self._monitor.emit(events.Warning("", told))
            return last


def _stamp(text: str) -> str:
    return f"tip-{sha256_hex(text.encode())}"
