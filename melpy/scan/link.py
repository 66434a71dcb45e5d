"""Symlinks of a tree, followed as they will be where the package is installed: the tree's root is `/`.

Only the list of entries is looked at, never the disk, so no link leads to a file of the machine that scans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.build.model import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from melpy.build.model import OutputTree

_LIMIT = 40  # as many as Linux follows


def find_entry(tree: OutputTree, path: str) -> Entry | None:
    """Return the entry that `path` leads to, links followed; None when it leads nowhere, outside or in a circle."""
    return _follow(tree.by_path.get, path)


def find_holder(trees: Sequence[OutputTree], path: str) -> OutputTree | None:
    """Return the tree with the regular file that `path` leads to where all are installed; the first have precedence."""

    def find(name: str) -> Entry | None:
        return next((tree.by_path[name] for tree in trees if name in tree.by_path), None)

    entry = _follow(find, path)
    if entry is None or entry.kind is not Kind.FILE:
        return None
    return next(tree for tree in trees if entry.path in tree.by_path)


def _follow(find: Callable[[str], Entry | None], path: str) -> Entry | None:
    left = _split(path)
    done: list[str] = []
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            del done[-1:]
            continue
        entry = find("/".join([*done, part]))
        if entry is None:
            return None
        if entry.kind is not Kind.SYMLINK:
            done.append(part)
            continue
        links += 1
        if links > _LIMIT:
            return None
        if entry.target.startswith("/"):
            done = []
        left += _split(entry.target)
    return find("/".join(done))


def _split(path: str) -> list[str]:
    """Return the parts of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
