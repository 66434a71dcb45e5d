"""Names that packages provide and no recipe states, `so:`, `cmd:` and `pc:` ones: known once packages are built.

A build whose environment asks for such a name that nobody has yet waits until the builds are made that do not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.stanza import find_identity, find_items
from melpy.errors import MelpyError
from melpy.graph.model import GENERATED, PackageSummary
from melpy.repo.repository import load_index

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from melpy.engine.known import Work
    from melpy.engine.publish import Staged
    from melpy.graph.model import BuildId, Generated


def is_generated(name: str) -> bool:
    """Tell whether a name, or a constraint on it, is of a kind that scanning finds."""
    return name.startswith(GENERATED)


def load_generated(root: Path, arches: Iterable[str]) -> Generated:
    """Return what the packages of a repository provide and need, as its indexes say; nothing of broken ones."""
    found: dict[tuple[str, str], PackageSummary] = {}
    for arch in arches:
        try:
            stanzas = load_index(root, arch, keyring=None).stanzas
        except MelpyError:
            continue  # the run tells what is wrong with it
        for stanza in stanzas:
            _, name, _, _ = find_identity(stanza)
            found[name, arch] = PackageSummary(name, tuple(find_items(stanza, "p")), tuple(find_items(stanza, "D")))
    return found


def find_generated(builds: Iterable[Staged]) -> Generated:
    """Return what packages provide and need that were built just now."""
    return {
        (info.name, arch): PackageSummary(info.name, info.provides, info.depends)
        for build in builds
        for arch in build.arches
        for info in (package.entry.info for package in build.packages)
    }


def find_late(work: Work) -> frozenset[BuildId]:
    """Return the chosen builds that ask for a generated name which nobody has, and all that need their packages."""
    late: set[BuildId] = set()
    for build in work.graph.order:
        if build not in work.chosen:
            continue
        asks = any(map(is_generated, work.graph.summaries[build].world))
        if not late.isdisjoint(work.graph.needs(build)) or (asks and _lacks(work, build)):
            late.add(build)
    return frozenset(late | _find_fellows(work, late))


def _lacks(work: Work, build: BuildId) -> bool:
    return any(map(is_generated, work.graph.lacking(build)))


def _find_fellows(work: Work, late: Collection[BuildId]) -> set[BuildId]:
    """Return the members of cycles of which one is late."""
    return {build for cycle in work.graph.cycles if not set(late).isdisjoint(cycle.members) for build in cycle.members}
