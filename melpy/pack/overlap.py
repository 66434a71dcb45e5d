"""Files that two packages of one build both have, and of which a client that installs both keeps one.

Where one has a directory and the other a file or a symlink, a client cannot install both: apk 3.0.6 fails with "Is a
directory", or below the file with "Not a directory", and `replaces` changes nothing of it. Only a symlink that is there
first is followed, which a dependency on its package ensures.

apk takes packages of the same origin for friends: the one that is installed last overwrites the other's file without
a word, and the order is apk's. Source: `apk_pkg_replaces_file` of apk-tools 3, and apko's tarfs, which does the same.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_atom, parse_provide
from melpy.build.model import Kind
from melpy.errors import PackageFormatError
from melpy.text import escape, shorten_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from melpy.apk.model import PackageInfo
    from melpy.build.model import Entry, OutputTree

    Package = tuple[OutputTree, PackageInfo]


def lint_overlap(packages: Sequence[Package]) -> Iterator[str]:
    """Yield messages for each two packages that have other files at the same path, and may be installed together."""
    for (tree, info), (other, rival) in itertools.combinations(packages, 2):
        shared = [path for path in tree.by_path if path in other.by_path]
        if not shared or _excludes(info, rival):
            continue
        names = f"{info.name} and {rival.name}"
        clashing = {path for path in shared if _clash(tree.by_path[path], other.by_path[path])}
        failing = [
            escape(path) for path in shared if path in clashing and not _is_followed((tree, info), (other, rival), path)
        ]
        if failing:
            text = shorten_list(failing)
            yield f"{names} differ in {text}: a directory in one of them only; apk cannot install both"
        if _replaces(info, rival) or _replaces(rival, info):
            continue
        differing = [escape(path) for path in shared if path not in clashing and _differ(tree, other, path)]
        if differing:
            text = shorten_list(differing)
            yield f"{names} differ in {text}; where both are installed, those of the last one stay"


def _replaces(info: PackageInfo, rival: PackageInfo) -> bool:
    return any(_name_of(item) == rival.name for item in info.replaces)


def _excludes(info: PackageInfo, rival: PackageInfo) -> bool:
    """Tell whether apk never installs both."""
    if {f"!{rival.name}"} & {*info.depends} or {f"!{info.name}"} & {*rival.depends}:
        return True
    return bool(_held(info) & _held(rival))


def _held(info: PackageInfo) -> set[str]:
    """Return the names that only one installed package may have: its own, and those it provides with a version."""
    return {info.name, *(name for name, version in map(parse_provide, info.provides) if version)}


def _name_of(item: str) -> str:
    try:
        return parse_atom(item).name
    except PackageFormatError:
        return item


def _is_followed(one: Package, two: Package, path: str) -> bool:
    """Tell whether a symlink of one is always there before the directory of the other, which depends on it."""
    (link, held), (_, needing) = (one, two) if one[0].by_path[path].kind is Kind.SYMLINK else (two, one)
    return link.by_path[path].kind is Kind.SYMLINK and held.name in map(_name_of, needing.depends)


def _clash(one: Entry, two: Entry) -> bool:
    """Tell whether one is a directory, and the other none."""
    return (one.kind is Kind.DIRECTORY) is not (two.kind is Kind.DIRECTORY)


def _differ(tree: OutputTree, other: OutputTree, path: str) -> bool:
    one, two = tree.by_path[path], other.by_path[path]
    if one.kind is Kind.DIRECTORY:
        return False
    if _identity(one) != _identity(two):
        return True
    return one.kind is Kind.FILE and _digest(tree, one) != _digest(other, two)


def _identity(entry: Entry) -> tuple[object, ...]:
    mode = 0 if entry.kind is Kind.SYMLINK else entry.mode
    return entry.kind, mode, entry.size, entry.target, entry.device, entry.uid, entry.gid, entry.xattrs


def _digest(tree: OutputTree, entry: Entry) -> bytes:
    try:
        with tree.open(entry) as stream:
            return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]  # any binary stream
    except OSError:
        return b""  # packing tells of it
