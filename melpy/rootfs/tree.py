"""The tree that packages make one after the other: whose each path is, and what their layers alone get wrong.

Packages are given as manifests in install order; layers stacked in that order show the right tree nearly always.
Looked at closely is only the rest: a path that several packages have, and a directory of one that is a symlink of
another. Nothing is read from disk, and symlinks lead around in this tree only: `..` ends at its top.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from melpy.codec import Noun, replace
from melpy.errors import FileConflictError
from melpy.rootfs.manifest import DIRECTORY_MODE, list_entries
from melpy.rootfs.model import Manifest
from melpy.rootfs.replacement import Verdict, judge_directory, judge_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.rootfs.model import Entry

_MOST_LINKS = 40  # as the kernel has it
_SHOWN = 9  # further conflicts that an error names


class Place(NamedTuple):
    """Where a file comes from: number of the package, and the path that it has there."""

    package: int
    path: str


class Package(Noun, frozen=True, dict=True):
    """A package at its place in a tree.

    Attributes:
        manifest: what it holds.
        directories: its directories, as the tree has them.
        paths: its files and symlinks, likewise.
        moved: files that have another path in the package, since a directory there is a symlink here.
        bent: those directories, likewise.
    """

    manifest: Manifest
    directories: AbstractSet[str]
    paths: AbstractSet[str]
    moved: Mapping[str, str] = field(default_factory=dict)
    bent: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def targets(self) -> dict[str, str]:
        """Where its symlinks point to, by the path that they have there."""
        return dict(zip(self.manifest.links, self.manifest.targets, strict=True))

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """What it holds, by the path that it has there."""
        return list_entries(self.manifest)

    def find(self, path: str) -> Entry:
        """Return what it has at a path of the tree."""
        return self.entries[self.moved.get(path, path)]


class Tree(Struct, frozen=True):
    """An installed tree.

    Attributes:
        packages: the packages in install order.
        links: where every symlink points to, by path.
        lifted: paths where layers alone would show something else, and what belongs there.
        dropped: files of each package that are another's now, by their paths in the package.
        modes: mode and owner of directories that layers alone would get wrong.
    """

    packages: tuple[Package, ...]
    links: Mapping[str, str]
    lifted: Mapping[str, Place]
    dropped: Mapping[int, set[str]]
    modes: Mapping[str, tuple[int, int, int]]

    def holder(self, path: str) -> Place | None:
        """Return whose file or symlink a path is; None when no package has it."""
        if path in self.lifted:
            return self.lifted[path]
        for number in range(len(self.packages) - 1, -1, -1):
            if path in self.packages[number].paths:
                return Place(number, path)
        return None

    def is_directory(self, path: str) -> bool:
        """Tell whether a path, its symlinks resolved, is a directory of some package."""
        return not path or any(path in package.directories for package in self.packages)

    def resolve(self, path: str, *, last: bool = True) -> str:
        """Return a path without symlinks: the last component may be one still, unless `last`.

        Raises:
            FileConflictError: symlinks lead round in a circle.
        """
        if last:
            return follow(path, self.links)
        directory, _, name = path.strip("/").rpartition("/")
        inside = follow(directory, self.links)
        return f"{inside}/{name}" if inside else name

    def directory_mode(self, path: str) -> tuple[int, int, int]:
        """Return mode and owner that a directory has in the end."""
        owner: Manifest | None = None
        found = DIRECTORY_MODE
        for package in self.packages:
            if path in package.directories:
                manifest = package.manifest
                if owner is None or judge_directory(owner, manifest):
                    owner, found = manifest, manifest.modes.get(package.bent.get(path, path), DIRECTORY_MODE)
        return found


def follow(path: str, links: Mapping[str, str]) -> str:
    """Return a path without symlinks, relative to the top.

    Raises:
        FileConflictError: symlinks lead round in a circle.
    """
    pending = path.split("/")[::-1]
    done: list[str] = []
    count = 0
    while pending:
        part = pending.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            del done[-1:]
            continue
        target = links.get("/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        count += 1
        if count > _MOST_LINKS:
            raise FileConflictError("leads through symlinks that never end", where=f"/{path}")
        if target.startswith("/"):
            done = []
        pending += target.split("/")[::-1]
    return "/".join(done)


def make_tree(manifests: Sequence[Manifest]) -> Tree:
    """Return the tree that packages make when they are installed in this order.

    Raises:
        FileConflictError: two packages have the same path, and neither may have it instead of the other.
    """
    packages = tuple(Package(one, frozenset(one.directories), frozenset([*one.links, *one.files])) for one in manifests)
    bends: dict[str, str] = {}
    placed = packages
    while True:
        if bends:
            # Where a link leads may depend on links that are in nobody's way.
            links = {**_find_links(placed, {}), **bends}
            placed = tuple(_bend(package, bends, links) for package in packages)
        twice, clashes = _find_troubles(placed)
        clashes -= bends.keys()
        if not clashes:
            break
        for path in sorted(clashes):
            bends[path] = _find_bend(path, placed)
    lifted, dropped = _settle(placed, twice)
    for path in bends:
        # The link must hide the directories below it, whichever layer they are in.
        holder = max(number for number, one in enumerate(placed) if path in one.paths)
        lifted.setdefault(path, Place(holder, placed[holder].moved.get(path, path)))
    tree = Tree(placed, _find_links(placed, lifted), lifted, dropped, {})
    return replace(tree, modes=_find_modes(tree))


def _find_links(packages: Sequence[Package], lifted: Mapping[str, Place]) -> dict[str, str]:
    links: dict[str, str] = {}
    for package in packages:
        links.update(package.targets)
        links.update((place, package.targets[path]) for place, path in package.moved.items() if path in package.targets)
    for path, (number, source) in lifted.items():
        target = packages[number].targets.get(source)
        if target is not None:
            links[path] = target
        else:
            links.pop(path, None)
    return links


def _find_troubles(packages: Iterable[Package]) -> tuple[set[str], set[str]]:
    """Return what several packages have, and what is a directory of one and something else of another."""
    seen: set[str] = set()
    twice: set[str] = set()
    directories: set[str] = set()
    for package in packages:
        twice |= package.paths & seen
        seen |= package.paths
        directories |= package.directories
    return twice, seen & directories


def _find_bend(path: str, packages: Sequence[Package]) -> str:
    """Return where a symlink points to that other packages have as a directory.

    Raises:
        FileConflictError: it is none.
    """
    owner = next(one for one in packages if path in one.directories)
    for package in packages:
        if path in package.paths and package.find(path).kind != "l":
            names = f"{package.manifest.full_name} and a directory in {owner.manifest.full_name}"
            raise FileConflictError(f"is a file in {names}", where=f"/{path}", hint="leave one of them out")
    number = _find_owner(path, packages, {}, [])
    return packages[number].find(path).target


def _bend(package: Package, bends: Iterable[str], links: Mapping[str, str]) -> Package:
    """Return a package with what is in a directory that is a symlink elsewhere at the place where that leads to."""
    manifest = package.manifest
    prefixes = tuple(f"{path}/" for path in bends)
    bent = {path for path in manifest.directories if path in bends or path.startswith(prefixes)}
    if not bent:
        return Package(manifest, frozenset(manifest.directories), frozenset([*manifest.links, *manifest.files]))
    targets = {path: follow(path, links) for path in sorted(bent)}
    places: dict[str, str] = {}
    directories = set(manifest.directories) - bent
    for path, target in targets.items():
        places.setdefault(target, path)
        while target and target not in directories:
            directories.add(target)
            target = target.rpartition("/")[0]  # noqa: PLW2901  # the way up
    moved: dict[str, str] = {}
    straight: set[str] = set()
    for path in (*manifest.links, *manifest.files):
        directory, _, name = path.rpartition("/")
        if directory in targets:
            place = f"{targets[directory]}/{name}" if targets[directory] else name
            if moved.setdefault(place, path) != path:
                _check_same(package, place, moved[place], path)
        else:
            straight.add(path)
    for place in straight & moved.keys():
        _check_same(package, place, moved.pop(place), place)
    return Package(manifest, frozenset(directories), straight | moved.keys(), moved, places)


def _check_same(package: Package, place: str, one: str, other: str) -> None:
    if not _is_same(package.entries[one], package.entries[other]):
        message = f"is in {package.manifest.full_name} twice, as /{one} and /{other}"
        raise FileConflictError(message, where=f"/{place}")


def _settle(packages: Sequence[Package], twice: Iterable[str]) -> tuple[dict[str, Place], dict[int, set[str]]]:
    """Return what is not where layers alone would show it, and what packages lose to others."""
    lifted = {
        place: Place(number, path) for number, package in enumerate(packages) for place, path in package.moved.items()
    }
    dropped: dict[int, set[str]] = {}
    conflicts: list[FileConflictError] = []
    for path in sorted(twice):
        number = _find_owner(path, packages, dropped, conflicts)
        own = packages[number].moved.get(path, path)
        top = max(one for one, package in enumerate(packages) if path in package.paths)
        if own != path or number != top or any(path in package.moved for package in packages):
            lifted[path] = Place(number, own)
    if conflicts:
        first, *others = conflicts
        details = [f"  {other.where}: {other.message}" for other in others[:_SHOWN]]
        if len(others) > _SHOWN:
            details.append(f"  … {len(others) - _SHOWN} more")
        raise FileConflictError(first.message, where=first.where, hint=first.hint, details=details)
    return lifted, dropped


def _find_owner(
    path: str, packages: Sequence[Package], dropped: dict[int, set[str]], conflicts: list[FileConflictError]
) -> int:
    """Return whose file a path is in the end, telling what the others lose."""
    holders = [number for number, package in enumerate(packages) if path in package.paths]
    owner = holders[0]
    for number in holders[1:]:
        old, new = packages[owner], packages[number]
        verdict = judge_file(old.manifest, new.manifest)
        if verdict is Verdict.CONFLICT and not _is_same(old.find(path), new.find(path)):
            names = f"{old.manifest.full_name} and {new.manifest.full_name}"
            hint = f"one of them must name the other in replaces, or stay out: !{new.manifest.name}"
            conflicts.append(FileConflictError(f"is in {names}", where=f"/{path}", hint=hint))
        loser = owner if verdict is Verdict.OVERWRITE else number
        dropped.setdefault(loser, set()).add(packages[loser].moved.get(path, path))
        owner = number if verdict is Verdict.OVERWRITE else owner
    return owner


def _is_same(one: Entry, other: Entry) -> bool:
    return (one.kind, one.checksum) == (other.kind, other.checksum)


def _find_modes(tree: Tree) -> dict[str, tuple[int, int, int]]:
    """Return modes of directories that are not those of the topmost layer that has the directory."""
    special = {path for package in tree.packages for path in package.manifest.modes}
    special |= {place for package in tree.packages for place in package.bent}
    found: dict[str, tuple[int, int, int]] = {}
    for path in special:
        raw = [one.manifest for one in tree.packages if path in one.directories and path not in one.bent]
        shown = raw[-1].modes.get(path, DIRECTORY_MODE) if raw else None
        if tree.is_directory(path) and (mode := tree.directory_mode(path)) != shown:
            found[path] = mode
    return found
