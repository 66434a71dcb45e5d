"""Runs that have nothing to do: known at once, without a graph and without a stamp for each of their builds.

A run stamp follows from all that a run looks at before it says that each of its builds is up to date: the summaries of
the recipes, the files beside them, the indexes, the package files of its own repository, and what was asked for. The
journal remembers the run stamps after which there was nothing to do, each with the builds that the run was about.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from melpy.codec import encode
from melpy.digest import canonical_json, file_digest, identity
from melpy.engine.treecache import find_code
from melpy.repo.layout import index_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from melpy.engine.freshness import Freshness
    from melpy.engine.journal import Journal
    from melpy.graph.model import BuildId, Summary

_FORM = "melpy-run-stamp-1"


class RunStamps:
    """The run stamps that a journal remembers.

    Args:
        journal: the journal.
        summaries: all recipes that the run knows, in any order.
        asked: digest of what the user asked for; empty where the answer follows from more than a run stamp tells, such
            as the commits of a repository.
    """

    def __init__(self, journal: Journal, summaries: Sequence[Summary], asked: str) -> None:
        self._journal = journal
        self._summaries = sorted(summaries, key=lambda summary: summary.id)
        # A recipe with repositories of its own has no stamp, since these have to be looked at.
        self._asked = "" if any(summary.locations for summary in summaries) else asked

    def find(self, fresh: Freshness, root: Path) -> tuple[Summary, ...] | None:
        """Return the builds of a run that has nothing to do; None where that is not known.

        Args:
            fresh: the state of the repository.
            root: the repository.

        Raises:
            MelpyError: an index cannot be read.
        """
        stamp = self._find_stamp(fresh, root)
        found = self._journal.find_keys([stamp]).get(stamp) if stamp else None
        if found is None:
            return None
        mask, _, tips = found.partition(" ")
        bits = int(mask, 16)
        chosen = tuple(summary for number, summary in enumerate(self._summaries) if bits >> number & 1)
        return chosen if _digest_tips(fresh, chosen) == tips else None

    def add(self, fresh: Freshness, root: Path, chosen: Collection[BuildId]) -> None:
        """Remember that the same run would have nothing to do now.

        Args:
            fresh: the state of the repository.
            root: the repository.
            chosen: the builds of the run.

        Raises:
            MelpyError: an index cannot be read.
        """
        stamp = self._find_stamp(fresh, root)
        if stamp:
            bits = sum(1 << number for number, summary in enumerate(self._summaries) if summary.id in chosen)
            tips = _digest_tips(fresh, [summary for summary in self._summaries if summary.id in chosen])
            self._journal.add_keys({stamp: f"{bits:x} {tips}"})

    def _find_stamp(self, fresh: Freshness, root: Path) -> str:
        if not self._asked:
            return ""
        arches = sorted({arch for summary in self._summaries for arch in summary.arches})
        digest = hashlib.sha256(canonical_json([_FORM, self._asked, find_code()]))
        try:
            for arch in arches:
                own = [file_digest(index_path(root, arch)), _list_packages(root / arch)]
                digest.update(canonical_json([arch, fresh.find_base(arch), own]))
            if any(summary.noarch for summary in self._summaries):  # they may come from other architectures
                others = [arch for arch in fresh.indexed if arch not in arches]
                for arch in others:
                    own = [file_digest(index_path(root, arch)), _list_packages(root / arch)]
                    digest.update(canonical_json([arch, own]))
            for summary in self._summaries:
                digest.update(encode(summary) + canonical_json(fresh.list_files(summary)))
        except OSError:  # there is no index yet, or a file has vanished meanwhile
            return ""
        return digest.hexdigest()


def _digest_tips(fresh: Freshness, summaries: Iterable[Summary]) -> str:
    """Return the digest of the commits that sources are at which state none: repositories of others have no stamp."""
    return identity(fresh.find_tips(*summaries))


def _list_packages(directory: Path) -> list[tuple[str, int]]:
    """Return names and sizes of package files."""
    with os.scandir(directory) as found:
        return sorted((entry.name, entry.stat().st_size) for entry in found if entry.name.endswith(".apk"))
