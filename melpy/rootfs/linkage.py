"""What of a tree goes into the dynamic loader's cache: the libraries of the directories that etc/ld.so.conf names.

It does what ldconfig does, from manifests alone. Source: glibc's ldconfig.c.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from melpy.elf.loader_cache import CacheEntry, sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from melpy.rootfs.model import Library
    from melpy.rootfs.tree import Tree

CONFIGURATION = "etc/ld.so.conf"
_SYSTEM = ("/lib", "/usr/lib")
_HWCAPS = "glibc-hwcaps"
_MOST_INCLUDES = 32


def find_libraries(tree: Tree, read: Callable[[str], bytes | None]) -> list[CacheEntry] | None:
    """Return what the loader's cache holds, in the order of directories; None when the tree is not glibc's.

    Args:
        tree: the tree.
        read: returns the content of a file of the tree, None when there is none.
    """
    if read(CONFIGURATION) is None:
        return None
    inside, libraries = _sort_libraries(tree)
    entries: list[CacheEntry] = []
    done: set[str] = set()
    for directory in [*_configured(tree, read, CONFIGURATION, _MOST_INCLUDES), *_SYSTEM]:
        place = tree.resolve(directory)
        if place in done or not tree.is_directory(place):
            continue
        done.add(place)
        named = f"/{directory.strip('/')}"
        prefix = f"{place}/{_HWCAPS}/"
        for below in sorted((path for path in inside if path.startswith(prefix)), reverse=True):
            hwcaps = below.removeprefix(prefix)
            if "/" not in hwcaps:
                entries += _list_directory(tree, f"{named}/{_HWCAPS}/{hwcaps}", inside[below], libraries, hwcaps)
        entries += _list_directory(tree, named, inside.get(place, []), libraries, "")
    return entries


def _sort_libraries(tree: Tree) -> tuple[dict[str, list[str]], dict[str, Library]]:
    """Return the libraries and links to them by directory, and what is known of the libraries."""
    inside: dict[str, list[str]] = {}
    libraries: dict[str, Library] = {}
    for number, package in enumerate(tree.packages):
        places = {path: place for place, path in package.moved.items()} if package.moved else {}
        lost = tree.dropped.get(number, ())
        for library in package.manifest.libraries:
            if library.path in lost:
                continue
            place = places.get(library.path, library.path)
            inside.setdefault(place.rpartition("/")[0], []).append(place)
            if library.flags:
                libraries[place] = library
    return inside, libraries


def _configured(tree: Tree, read: Callable[[str], bytes | None], path: str, depth: int) -> Iterator[str]:
    """Yield the directories that a configuration names, and those that it includes name."""
    for text in (read(path) or b"").decode("utf-8", "surrogateescape").splitlines():
        line = text.partition("#")[0].strip()
        word, _, rest = line.partition(" ")
        if word == "include" and depth:
            for pattern in rest.split():
                for found in _glob(tree, pattern, path):
                    yield from _configured(tree, read, found, depth - 1)
        elif line.startswith("/"):
            yield line.partition("=")[0].rstrip()


def _glob(tree: Tree, pattern: str, path: str) -> list[str]:
    """Return the files of a tree that a pattern means; only the last component may have wildcards."""
    directory, _, name = pattern.rpartition("/")
    place = tree.resolve(directory if pattern.startswith("/") else f"{path.rpartition('/')[0]}/{directory}")
    found = {
        candidate
        for package in tree.packages
        if place in package.directories
        for candidate in package.paths
        if candidate.rpartition("/")[0] == place and fnmatch.fnmatchcase(candidate.rpartition("/")[2], name)
    }
    return sorted(found)


def _list_directory(
    tree: Tree, named: str, paths: list[str], libraries: Mapping[str, Library], hwcaps: str
) -> Iterator[CacheEntry]:
    """Yield each soname of a directory once: a file before a link, and of two files the later version."""
    best: dict[str, tuple[bool, tuple[tuple[int, int, str], ...], str, int]] = {}
    for path in paths:
        library = libraries.get(path) or libraries.get(tree.resolve(path))
        if library is None:
            continue
        name = path.rpartition("/")[2]
        is_link = path in tree.links
        # A link that is neither the soname nor what ld(1) looks for counts as a library of its own.
        if is_link and name != library.soname and not (name.endswith(".so") and library.soname.startswith(name)):
            is_link = False
        soname = name if is_link else library.soname
        rank = (not is_link, sort_key(name), name, library.flags)
        if soname not in best or best[soname][:2] < rank[:2]:
            best[soname] = rank
    present = {path.rpartition("/")[2] for path in paths}
    for soname, (_, _, name, flags) in sorted(best.items()):
        yield CacheEntry(soname, f"{named}/{soname if soname in present else name}", flags, hwcaps)
