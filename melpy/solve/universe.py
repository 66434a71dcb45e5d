"""Everything that repositories offer for an architecture.

Of an index of many thousand packages an environment looks at some hundred: their names and what they provide are found
at once, all else when it is asked for. Environments that see the same indexes share one universe of each of them, and
differ in the small ones above and below.
"""

from __future__ import annotations

import binascii
import re
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

from melpy.apk.stanza import find_identity, find_items, is_understood, parse_stanza
from melpy.errors import PackageFormatError
from melpy.solve.model import Offer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.apk.model import Index

    Answer = tuple[Offer, str]


_AFTER_NAME = re.compile("[@=><~]")
"""What the name in a dependency ends before."""


class IndexSource(NamedTuple):
    """Where a stanza comes from: the repository's root and tag, and what its index is called in messages."""

    root: str
    tag: str
    where: str


class Universe(Protocol):
    """The packages that an environment may consist of."""

    def __len__(self) -> int:
        """Return how many there are; a few too many where some are hidden, and 0 only where nobody has any."""

    @property
    def names(self) -> frozenset[str]:
        """The names of all packages."""

    def providers(self, name: str) -> tuple[Answer, ...]:
        """Return the packages that have or provide a name, with the version they have it at, in the indexes' order."""

    def triggered_by(self, names: Iterable[str]) -> Iterator[Offer]:
        """Yield the packages whose `install_if` may hold where these names are there."""


class IndexUniverse:
    """The packages of indexes; each is read when it is looked at.

    What cannot be installed, since it asks for something that is unknown so far, is not there.
    """

    def __init__(self) -> None:
        # Names with versions and checksums of all packages, those that are passed over included.
        self.seen: set[tuple[object, ...]] = set()
        self._stanzas: list[tuple[str, IndexSource]] = []
        self._offers: dict[int, Offer | None] = {}
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        self._names: list[str] = []
        self._providers: dict[str, tuple[Answer, ...]] = {}
        self._triggers: defaultdict[str, list[int]] = defaultdict(list)
        self._looked_at = 0

    def __len__(self) -> int:
        return len(self._stanzas)

    def add(self, stanza: str, source: IndexSource, name: str) -> int:
        """Take a package in, and return its place; what was found by name before is not found anew."""
        place = len(self._stanzas)
        self._stanzas.append((stanza, source))
        self._names.append(name)
        self._places[name].append(place)
        for text in find_items(stanza, "p"):
            places = self._places[text.partition("=")[0]]
            if not places or places[-1] != place:
                places.append(place)
        return place

    def hides(self, offer: Offer) -> bool:
        """See `Layer`."""
        return not self.seen.isdisjoint(list_keys(offer.name, offer.version, offer.entry.checksum, offer.tag))

    @property
    def stanzas(self) -> Iterator[str]:
        """The lines of each package, in the indexes' order; what is passed over is left out."""
        return (stanza for stanza, _ in self._stanzas)

    def providers(self, name: str) -> tuple[Answer, ...]:
        """See `Universe`."""
        if name not in self._providers:
            self._providers[name] = tuple((offer, version) for _, offer, version in self.find_places(name))
        return self._providers[name]

    def find_places(self, name: str) -> Iterator[tuple[int, Offer, str]]:
        """Yield the places of packages that have or provide a name, and the version they have it at."""
        for place in self._places.get(name, ()):
            offer = self._offer(place)
            if offer is None:
                continue
            if offer.name == name:
                yield place, offer, offer.version
            yield from ((place, offer, version) for provided, version in offer.provides if provided == name)

    def _offer(self, place: int) -> Offer | None:
        if place not in self._offers:
            stanza, source = self._stanzas[place]
            understood = is_understood(stanza)
            entry = parse_stanza(stanza, where=source.where)
            self._offers[place] = Offer(entry, source.root, source.tag) if understood else None
        return self._offers[place]

    @cached_property
    def names(self) -> frozenset[str]:
        """See `Universe`."""
        return frozenset(self._names)

    def name_at(self, place: int) -> str:
        """Return the name of the package at a place."""
        return self._names[place]

    def triggered_by(self, names: Iterable[str]) -> Iterator[Offer]:
        """See `Universe`."""
        return (offer for _, offer in self.find_triggered(names))

    def find_triggered(self, names: Iterable[str]) -> Iterator[tuple[int, Offer]]:
        """Yield the packages whose `install_if` may hold where these names are there, with their places."""
        self._look_for_triggers()
        places = {place for name in ("", *names) for place in self._triggers.get(name, ())}
        for place in sorted(places):
            offer = self._offer(place)
            if offer is not None:
                yield place, offer

    def _look_for_triggers(self) -> None:
        """Find what has an `install_if`, by the name in its last condition, which says most: `docs hello=2.10-r0`."""
        for place in range(self._looked_at, len(self._stanzas)):
            conditions = find_items(self._stanzas[place][0], "i")
            if conditions:
                positive = [_AFTER_NAME.split(text, 1)[0] for text in conditions if not text.startswith("!")]
                self._triggers[positive[-1] if positive else ""].append(place)
        self._looked_at = len(self._stanzas)


class Layer(Universe, Protocol):
    """A universe that others may lie below."""

    def hides(self, offer: Offer) -> bool:
        """Tell whether a package of a later index is passed over, since it is here, or another that is called so."""


class LayeredUniverse:
    """Universes one above the other, which answer like one that is made of all their indexes in this order.

    Attributes:
        layers: the universes, the first preferred.
        near: names that were perhaps meant, of a supply that could make more than is here; None where there is none.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        near: frozenset[str] | None = None,
        origins: frozenset[str] = frozenset(),
        count: int = 0,
    ) -> None:
        """Put universes one above the other.

        Args:
            layers: the universes, the first preferred.
            near: names that were perhaps meant, of a supply that could make more than is here.
            origins: origins of which the layers after the first one offer nothing.
            count: number of layers after the first one for which that holds.
        """
        self.layers = layers
        self.near = near
        self._origins, self._count = origins, count
        self._providers: dict[str, tuple[Answer, ...]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.layers)) + (self.near is not None)

    def providers(self, name: str) -> tuple[Answer, ...]:
        """See `Universe`."""
        if name not in self._providers:
            self._providers[name] = tuple(
                answer
                for number, layer in enumerate(self.layers)
                for answer in layer.providers(name)
                if not self._is_hidden(answer[0], number)
            )
        return self._providers[name]

    @cached_property
    def names(self) -> frozenset[str]:
        """See `Universe`; what is hidden is not left out, as names are for hints alone."""
        return (self.near or frozenset()).union(*(layer.names for layer in self.layers))

    def triggered_by(self, names: Iterable[str]) -> Iterator[Offer]:
        """See `Universe`."""
        wanted = tuple(names)
        for number, layer in enumerate(self.layers):
            yield from (offer for offer in layer.triggered_by(wanted) if not self._is_hidden(offer, number))

    def _is_hidden(self, offer: Offer, number: int) -> bool:
        if self._origins and 0 < number <= self._count and offer.entry.info.origin in self._origins:
            return True
        return any(layer.hides(offer) for layer in self.layers[:number])


def make_universe(repositories: Iterable[tuple[str, str, Index]], arch: str = "") -> IndexUniverse:
    """Return what repositories, given as root, tag and index, offer; the same package again is passed over.

    Args:
        repositories: the repositories.
        arch: architecture that packages must be for; `noarch` is for every one.

    Of packages that are called the same but are not, the first repository's is taken, as apk does; a package is the
    same where its checksum is.

    Raises:
        PackageFormatError: a package of an index lacks its name, version or checksum.
    """
    universe = IndexUniverse()
    suitable = {arch, "noarch", ""}
    seen = universe.seen
    for root, tag, index in repositories:
        source = IndexSource(root, tag, index.where)
        for stanza in index.stanzas:
            checksum, name, version, suits = find_identity(stanza)
            if arch and suits not in suitable:
                continue
            if not (name and version and checksum):
                message = f"a package of the index lacks its name, version or checksum: {stanza.partition('T:')[0]!r}"
                raise PackageFormatError(message, where=index.where)
            called, same = list_keys(name, version, checksum, tag)
            if called not in seen and same not in seen:
                universe.add(stanza, source, name)
            seen.add(called)
            seen.add(same)
    return universe


def list_keys(name: str, version: str, checksum: str, tag: str) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Return the name with the version, and the checksum: another package of the same tag may have neither."""
    return (name, version, tag), (_identity(checksum), tag)


def _identity(checksum: str) -> object:
    """Return what a checksum stands for: base64 has several spellings of the same bytes."""
    try:
        return binascii.a2b_base64(checksum[2:], strict_mode=True)
    except ValueError:
        return checksum
