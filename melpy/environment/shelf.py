"""Packages of this machine's own making, for one architecture, of which each environment sees some.

They are read once, however many environments see another part of them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.apk.stanza import find_identity, find_items
from melpy.environment.model import VisiblePackage
from melpy.errors import PackageFormatError, RepositoryError
from melpy.solve.universe import IndexSource, IndexUniverse, list_keys, make_universe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from melpy.apk.model import Index
    from melpy.solve.model import Offer
    from melpy.solve.universe import Answer

Key = tuple[object, ...]
Stamp = tuple[int, int, int]
"""Inode, time and size of an index, which is replaced as a whole."""


class Shelf:
    """All packages that were ever seen here, and which of them the index had when it was read last.

    Attributes:
        listed: packages of the index, in its order.
        stamp: which index that was; None for none.
    """

    def __init__(self) -> None:
        self.stamp: Stamp | None = None
        self.listed: tuple[VisiblePackage, ...] = ()
        self._all = IndexUniverse()
        self._known: dict[tuple[str, str, str], VisiblePackage] = {}
        self._stanzas: dict[VisiblePackage, str] = {}
        self._places: dict[tuple[VisiblePackage, str], int] = {}
        self._newest: dict[VisiblePackage, int] = {}
        self._by_checksum: dict[str, tuple[VisiblePackage, int]] = {}
        self._keyed: defaultdict[Key, list[int]] = defaultdict(list)
        self._last: tuple[tuple[VisiblePackage, ...], PartialUniverse] | None = None
        self._depends: dict[VisiblePackage, tuple[str, ...]] = {}

    def add(self, root: str, index: Index, arch: str) -> tuple[VisiblePackage, ...]:
        """Take in the packages of an index, and return them; the files are below `root`.

        Raises:
            PackageFormatError: a package lacks its name, version or checksum.
        """
        packages = []
        for stanza in make_universe([(root, "", index)], arch).stanzas:
            checksum, name, version, _ = find_identity(stanza)
            package = self._known.setdefault((name, version, checksum), VisiblePackage(name, version, checksum))
            if (package, root) not in self._places:
                place = self._places[package, root] = self._all.add(stanza, IndexSource(root, "", index.where), name)
                self._stanzas[package] = stanza
                for key in list_keys(name, version, checksum, ""):
                    self._keyed[key].append(place)
            if self._newest.get(package) != self._places[package, root]:
                self._newest[package] = self._places[package, root]
                self._by_checksum[checksum] = package, self._places[package, root]
                self._last = None
            packages.append(package)
        return tuple(packages)

    def find_universe(self, packages: tuple[VisiblePackage, ...]) -> PartialUniverse:
        """Return these packages and no others; the same ones again are not looked at again.

        Raises:
            RepositoryError: one was never seen here.
        """
        if self._last is None or self._last[0] != packages:
            places = [self._find_place(package) for package in packages]
            self._last = (packages, PartialUniverse(self._all, self._keyed, places))
        return self._last[1]

    def _find_place(self, package: VisiblePackage) -> int:
        # Of thousands of packages, to find each by its checksum alone takes a fifth of the time.
        known, place = self._by_checksum.get(package.checksum, (None, 0))
        if known is package:
            return place
        found = self._newest.get(package)
        if found is None:
            message = f"has no {package.name}-{package.version} with the checksum {package.checksum}"
            raise RepositoryError(message, hint="build it again")
        return found

    def close(self, names: Iterable[str]) -> tuple[VisiblePackage, ...]:
        """Return the listed packages of these names and of all that they depend on by name, in the index's order."""
        by_name = {package.name: package for package in self.listed}
        closed: set[str] = set()
        pending = [name for name in names if name in by_name]
        while pending:
            name = pending.pop()
            if name not in closed:
                closed.add(name)
                pending += [other for other in self._needs(by_name[name]) if other in by_name]
        return tuple(package for package in self.listed if package.name in closed)

    def _needs(self, package: VisiblePackage) -> tuple[str, ...]:
        if package not in self._depends:
            self._depends[package] = tuple(_read_names(find_items(self._stanzas[package], "D")))
        return self._depends[package]


class PartialUniverse:
    """Some packages of a universe, which answers like one that is made of an index of these in this order."""

    def __init__(self, whole: IndexUniverse, keyed: Mapping[Key, Sequence[int]], places: Iterable[int]) -> None:
        self._whole = whole
        self._keyed = keyed
        self._ranks = {place: rank for rank, place in enumerate(places)}
        self._providers: dict[str, tuple[Answer, ...]] = {}

    def __len__(self) -> int:
        return len(self._ranks)

    @property
    def names(self) -> frozenset[str]:
        """See `Universe`; what is passed over is not left out, as names are for hints alone."""
        return frozenset(self._whole.name_at(place) for place in self._ranks)

    def hides(self, offer: Offer) -> bool:
        """See `Layer`."""
        return any(place in self._ranks for place in self._find_twins(offer))

    def providers(self, name: str) -> tuple[Answer, ...]:
        """See `Universe`."""
        if name not in self._providers:
            found = [
                (rank, (offer, version))
                for place, offer, version in self._whole.find_places(name)
                if (rank := self._find_rank(place, offer)) is not None
            ]
            found.sort(key=lambda item: item[0])
            self._providers[name] = tuple(answer for _, answer in found)
        return self._providers[name]

    def triggered_by(self, names: Iterable[str]) -> Iterator[Offer]:
        """See `Universe`."""
        found = [
            (rank, offer)
            for place, offer in self._whole.find_triggered(names)
            if (rank := self._find_rank(place, offer)) is not None
        ]
        return (offer for _, offer in sorted(found, key=lambda item: item[0]))

    def _find_rank(self, place: int, offer: Offer) -> int | None:
        """Return where a package stands; None where it is not seen, or one before it is the same or is called so."""
        rank = self._ranks.get(place)
        if rank is None or any(self._ranks.get(twin, rank) < rank for twin in self._find_twins(offer)):
            return None
        return rank

    def _find_twins(self, offer: Offer) -> Iterator[int]:
        for key in list_keys(offer.name, offer.version, offer.entry.checksum, offer.tag):
            yield from self._keyed.get(key, ())


def _read_names(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        try:
            atom = parse_dependency(text)
        except PackageFormatError:
            continue  # the package cannot be installed, and the resolver leaves it out
        if not atom.conflict:
            yield atom.name
