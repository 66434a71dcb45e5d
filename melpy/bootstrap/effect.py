"""What a Debian package's scripts do to files is done: alternatives become links, diversions are remembered."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from melpy.bootstrap.deb import make_parents, merge_path, read_scripts
from melpy.bootstrap.script import parse_alternatives, parse_diversions
from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from melpy.bootstrap.deb import Filter
    from melpy.bootstrap.script import Alternative


class Effect(Noun, frozen=True):
    """What the scripts of a package did.

    Attributes:
        links: paths of the links that were made.
        priority: the highest priority of one.
        diverted: paths of files in it that take the place of another package's.
    """

    links: frozenset[str] = frozenset()
    priority: int = 0
    diverted: frozenset[str] = frozenset()

    def settle_provides(self, provides: Iterable[str]) -> Iterator[str]:
        """Yield what the package provides beside others that have the same commands.

        Two packages that provide a name at versions exclude one another. So an alternative is provided without a
        version, and what takes another's place is left to the other.
        """
        for text in provides:
            name = text.partition("=")[0]
            path = f"usr/bin/{name.removeprefix('cmd:')}" if name.startswith("cmd:") else ""
            if path not in self.diverted:
                yield name if path in self.links else text


def apply_scripts(deb: Path, root: Path, keep: Filter, variables: Mapping[str, str]) -> Effect:
    """Do to an unpacked package what its scripts would have done.

    Args:
        deb: the package.
        root: where its files are.
        keep: which files it is to have.
        variables: what its scripts may name.

    Raises:
        ExtractError: it is broken, or would have a link outside.
    """
    script = read_scripts(deb)
    alternatives = parse_alternatives(script, variables)
    made = {path: item.priority for item in alternatives if (path := _link(item, root, keep))}
    diverted = frozenset(merge_path(path) for path in parse_diversions(script, variables))
    return Effect(frozenset(made), max(made.values(), default=0), diverted)


def _link(item: Alternative, root: Path, keep: Filter) -> str:
    """Make the link of an alternative whose file is in the package, and return its path; nothing where there is one."""
    path, target = merge_path(item.link), merge_path(item.target)
    place = root / path
    if not keep.has(path) or os.path.lexists(place) or not os.path.lexists(root / target):
        return ""
    make_parents(root, place)
    place.symlink_to(posixpath.relpath(target, posixpath.dirname(path)))
    return path
