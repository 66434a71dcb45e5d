"""Packages that do not go together in the first round of a cycle, told before anything of it is built.

There, a member sees packages that are built here and, of the members that come later, packages from outside. What is
not built yet stands for itself as it was built last. Only packages whose files are at hand are looked at: those in the
store, and files on this machine. An environment is resolved only for packages that have the same path.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from melpy.apk.stanza import find_field, find_identity
from melpy.apk.version import compare_versions
from melpy.environment.model import EnvironmentSpec, VisiblePackage
from melpy.errors import MelpyError
from melpy.net import is_remote
from melpy.repo.repository import load_index
from melpy.rootfs.listing import find_clashes, find_listing
from melpy.rootfs.model import RootSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from melpy.engine.means import Means
    from melpy.engine.stage import BuiltPackages
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId
    from melpy.rootfs.listing import Listing
    from melpy.solve.model import Solution

_LARGEST = 8 << 20  # bytes of a package that is read for its files
_READ = 128 << 20  # bytes that are read of all packages


class _Outside(NamedTuple):
    """A package of a repository or the supply."""

    package: VisiblePackage
    origin: str
    root: str


class _Suspect(NamedTuple):
    """Packages that do not go together, if an environment has both sides.

    Attributes:
        build: the build whose packages are built here.
        own: checksums of its packages, of which the environment would have one.
        outside: checksum of the package from outside.
        name: its name.
        text: what is wrong with it.
    """

    build: BuildId
    own: frozenset[str]
    outside: str
    name: str
    text: str


class ConflictFinder:
    """Finds packages that do not go together where a cycle begins.

    Args:
        graph: the graph.
        means: what the run would work with.
        resolve: resolves the environment of a member in the first round.

    Attributes:
        unread: names of the packages of cycles whose files are not at hand.
    """

    def __init__(self, graph: Graph, means: Means, resolve: Callable[[BuildId], Solution]) -> None:
        self._graph, self._means, self._resolve = graph, means, resolve
        self._left = _READ
        self._stanzas: dict[str, list[tuple[str, Sequence[str]]]] = {}  # of repositories, by architecture
        self.unread: set[str] = set()

    def find(
        self, members: Sequence[BuildId], made: Mapping[BuildId, BuiltPackages]
    ) -> Mapping[BuildId, tuple[str, ...]]:
        """Return what does not go together in the first round of a cycle, for each member that has it.

        Args:
            members: the members, whose environments are all of one architecture.
            made: their packages, as far as they were built.
        """
        summaries = self._graph.summaries
        arch = summaries[members[0]].environment_arch
        makers = {package.name: build for build in members for package in summaries[build].packages}
        outside = list(self._list_outside(arch, makers, members))
        suspects = [*self._find_clashes(arch, makers, made, outside), *_find_mixed(members, makers, made, outside)]
        found = {}
        for member in members if suspects else ():
            seen = self._graph.ancestors(member)
            likely = [one for one in suspects if one.build in seen and makers.get(one.name) not in seen]
            if told := self._confirm(member, likely):
                found[member] = told
        self.unread |= makers.keys() - {package.name for one in made.values() for package in one.packages}
        return found

    def _confirm(self, member: BuildId, likely: Sequence[_Suspect]) -> tuple[str, ...]:
        """Return what the environment of a member has of all that would not go together."""
        if not likely:
            return ()
        try:
            there = {offer.entry.checksum for offer in self._resolve(member).offers}
        except MelpyError:
            return ()  # the run tells what it lacks
        return tuple(one.text for one in likely if one.outside in there and not there.isdisjoint(one.own))

    def _find_clashes(
        self,
        arch: str,
        makers: Mapping[str, BuildId],
        made: Mapping[BuildId, BuiltPackages],
        outside: Sequence[_Outside],
    ) -> Iterator[_Suspect]:
        """Yield pairs of a package that is built here and one from outside that have the same path."""
        own = [
            (build, listing)
            for build, packages in made.items()
            for package in packages.packages
            if (listing := self._list_files(package, str(packages.root), arch))
        ]
        if not own:
            return
        by_path: defaultdict[str, list[Listing]] = defaultdict(list)
        for package, _, root in outside:
            listing = self._list_files(package, root, arch) if package.name in makers else None
            if listing:
                for path in listing.files:
                    by_path[path].append(listing)
        for build, listing in own:
            others = {id(other): other for path in listing.files for other in by_path.get(path, ())}
            for other in others.values():
                paths = sorted(find_clashes(listing, other))
                if paths and other.manifest.name != listing.manifest.name:
                    yield _make_clash(build, listing, other, paths)

    def _list_files(self, package: VisiblePackage, root: str, arch: str) -> Listing | None:
        path = None if is_remote(root) else Path(root, arch, f"{package.name}-{package.version}.apk")
        listing = find_listing(self._means.spec.store.store, package.checksum, path, min(self._left, _LARGEST))
        if listing is None:
            self.unread.add(package.name)
        elif path and not listing.manifest.installed:  # it was read
            self._left -= path.stat().st_size
        return listing

    def _list_outside(self, arch: str, makers: Mapping[str, BuildId], members: Sequence[BuildId]) -> Iterator[_Outside]:
        """Yield the newest package of each name that each repository has of members."""
        recipes = {build.recipe for build in members}
        for root, stanzas in self._indexes(arch):
            newest: dict[str, _Outside] = {}
            for stanza in stanzas:
                checksum, name, version, _ = find_identity(stanza)
                origin = find_field(stanza, "o")
                if name not in makers and origin not in recipes:
                    continue
                if name not in newest or compare_versions(newest[name].package.version, version) < 0:
                    newest[name] = _Outside(VisiblePackage(name, version, checksum), origin, root)
            yield from newest.values()

    def _indexes(self, arch: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield root and packages of each repository outside: those of every environment, and the supply."""
        if arch not in self._stanzas:
            repositories = self._means.stage.repositories
            snapshot = repositories.take_snapshot(EnvironmentSpec(RootSpec(arch)), ())
            found: list[tuple[str, Sequence[str]]]
            found = [(index.location.address, repositories.list_stanzas(index, arch)) for index in snapshot.indexes]
            supply = repositories.spec.supply
            if supply:
                found.append((str(supply.root), load_index(supply.root, arch, keyring=None).stanzas))
            self._stanzas[arch] = found
        yield from self._stanzas[arch]


def _make_clash(build: BuildId, own: Listing, other: Listing, paths: Sequence[str]) -> _Suspect:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    verb = "are" if more else "is"
    text = f"/{paths[0]}{more} {verb} in {own.manifest.full_name} of its cycle, built here"
    return _Suspect(
        build,
        frozenset((own.manifest.checksum,)),
        other.manifest.checksum,
        other.manifest.name,
        f"{text}, and in {other.manifest.full_name} from outside",
    )


def _find_mixed(
    members: Sequence[BuildId],
    makers: Mapping[str, BuildId],
    made: Mapping[BuildId, BuiltPackages],
    outside: Sequence[_Outside],
) -> Iterator[_Suspect]:
    """Yield packages from outside that a recipe made once and makes no more, with those that it makes here."""
    builds = {build.recipe: build for build in members}
    for package, origin, _ in outside:
        build = builds.get(origin)
        if build and package.name not in makers and (own := made.get(build)) and own.packages:
            text = (
                f"{package.name}-{package.version} of {origin} is from outside, and other packages of it are built here"
            )
            checksums = frozenset(one.checksum for one in own.packages)
            yield _Suspect(build, checksums, package.checksum, package.name, text)
