"""Files that two packages of one build both have, and of which a client that installs both keeps one.

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
    """Yield a message for each two packages that have other files at the same path, and may be installed together."""
    for (tree, info), (other, rival) in itertools.combinations(packages, 2):
        shared = [path for path in tree.by_path if path in other.by_path]
        if not shared or _is_settled(info, rival):
            continue
        differing = [escape(path) for path in shared if _differ(tree, other, path)]
        if differing:
            text = shorten_list(differing)
            yield f"{info.name} and {rival.name} differ in {text}; where both are installed, those of the last one stay"


def _is_settled(info: PackageInfo, rival: PackageInfo) -> bool:
    """Tell whether one replaces the other's files, or apk never installs both."""
    if any(_name_of(item) == rival.name for item in info.replaces):
        return True
    if any(_name_of(item) == info.name for item in rival.replaces):
        return True
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


def _differ(tree: OutputTree, other: OutputTree, path: str) -> bool:
    one, two = tree.by_path[path], other.by_path[path]
    kinds = {one.kind, two.kind}
    if Kind.DIRECTORY in kinds:
        # apk follows a symlink that stands for a directory.
        return not kinds <= {Kind.DIRECTORY, Kind.SYMLINK}
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
