"""The nouns of resolution."""

from __future__ import annotations

import base64
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_provide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.apk.model import IndexEntry


@dataclass(frozen=True)
class Offer:
    """A package that a repository offers.

    Attributes:
        entry: what its index says.
        repository: the repository's root, a directory or a URL.
        tag: tag of the repository; tagged offers are taken only where the tag is asked for.
    """

    entry: IndexEntry
    repository: str
    tag: str = ""

    @property
    def name(self) -> str:
        """Name of the package."""
        return self.entry.info.name

    @property
    def version(self) -> str:
        """Full version of the package."""
        return self.entry.info.version

    @property
    def location(self) -> str:
        """Where the package file is, a path or a URL."""
        return f"{self.repository}/{self.entry.info.arch}/{self.entry.info.file_name}"

    @cached_property
    def provides(self) -> tuple[tuple[str, str], ...]:
        """Name and version of everything it provides, itself not included."""
        return tuple(parse_provide(text) for text in self.entry.info.provides)

    def __str__(self) -> str:
        return self.entry.info.full_name


@dataclass(frozen=True)
class Universe:
    """Everything that repositories offer for one architecture."""

    offers: tuple[Offer, ...]

    @cached_property
    def providers(self) -> Mapping[str, tuple[tuple[Offer, str], ...]]:
        """Offers by each name that they have or provide, with the version they provide it at."""
        found: defaultdict[str, list[tuple[Offer, str]]] = defaultdict(list)
        for offer in self.offers:
            found[offer.name].append((offer, offer.version))
            for name, version in offer.provides:
                found[name].append((offer, version))
        return {name: tuple(offers) for name, offers in found.items()}

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all packages."""
        return frozenset(offer.name for offer in self.offers)


def make_universe(repositories: Iterable[tuple[str, str, Iterable[IndexEntry]]], arch: str = "") -> Universe:
    """Return what repositories, given as root, tag and entries, offer; the same package again is passed over.

    Args:
        repositories: the repositories.
        arch: architecture that packages must be for; `noarch` is for every one.

    Of packages that are called the same but are not, the first repository's is taken, as apk does; a package is the
    same where its checksum is.
    """
    offers: list[Offer] = []
    seen: set[tuple[object, str]] = set()
    for root, tag, entries in repositories:
        for entry in entries:
            if arch and entry.info.arch not in {arch, "noarch", ""}:
                continue
            keys = {((entry.info.name, entry.info.version), tag), (_identity(entry.checksum), tag)}
            if not keys & seen:
                offers.append(Offer(entry, root, tag))
            seen |= keys
    return Universe(tuple(offers))


def _identity(checksum: str) -> object:
    """Return what a checksum stands for: base64 has several spellings of the same bytes."""
    try:
        return base64.b64decode(checksum[2:])
    except ValueError:
        return checksum


@dataclass(frozen=True)
class Solution:
    """The exact packages of an environment, dependencies before what depends on them."""

    offers: tuple[Offer, ...]

    @property
    def locked(self) -> tuple[str, ...]:
        """The packages as `name=version`, sorted."""
        return tuple(sorted(f"{offer.name}={offer.version}" for offer in self.offers))

    def to_json(self) -> list[dict[str, object]]:
        """Return the packages as JSON-able values: what names each of them exactly, and nothing of this machine."""
        return [
            {"name": offer.name, "version": offer.version, "checksum": offer.entry.checksum}
            for offer in sorted(self.offers, key=lambda offer: offer.name)
        ]
