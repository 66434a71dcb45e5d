"""The nouns of resolution."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from melpy.apk.atom import parse_dependency, parse_provide
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from melpy.apk.atom import Atom
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

    @cached_property
    def answers(self) -> tuple[tuple[str, str], ...]:
        """Every name that it has, with the version it has it at."""
        return ((self.name, self.version), *self.provides)

    @cached_property
    def held(self) -> frozenset[str]:
        """The names that no other package may have beside it: its own, and those that it provides with a version."""
        return frozenset((self.name, *(name for name, version in self.provides if version)))

    @cached_property
    def depends(self) -> tuple[Atom, ...]:
        """What it needs, and what it does not go together with."""
        return tuple(map(parse_dependency, self.entry.info.depends))

    @cached_property
    def install_if(self) -> tuple[Atom, ...]:
        """What it comes with; nothing where that does not parse, as apk has it."""
        try:
            return tuple(map(parse_dependency, self.entry.info.install_if))
        except PackageFormatError:
            return ()

    def satisfies(self, atom: Atom) -> bool:
        """Tell whether it satisfies a constraint by one of its names; for `!name`, whether it is what is not wanted."""
        return any(name == atom.name and self.meets(atom, version) for name, version in self.answers)

    def meets(self, atom: Atom, version: str) -> bool:
        """Tell whether it satisfies a constraint on a name that it has at this version."""
        return self.entry.checksum == atom.version if atom.operator == "><" else atom.is_met_by(version)

    @cached_property
    def is_at_odds(self) -> bool:
        """Whether it holds a name twice: apk cannot install it."""
        if not self.provides:
            return False
        held = Counter([self.name, *(name for name, version in self.provides if version or name == self.name)])
        return max(held.values()) > 1

    @cached_property
    def contradiction(self) -> Atom | None:
        """What it needs of a name that it alone may hold, and is not itself; nothing can install it then."""
        for atom in self.depends:
            if not atom.conflict and atom.name in self.held and not self.satisfies(atom):
                return atom
        return None

    def __hash__(self) -> int:
        return hash(self.entry.checksum)

    def __str__(self) -> str:
        return self.entry.info.full_name


@dataclass(frozen=True)
class Cause:
    """One of the facts that together leave no choice.

    Attributes:
        kind: the offer `needs` the atom, `holds` a name that the other has, too, `excludes` the other by the atom,
            needs what only a `tagged` repository has, or is at odds with itself, since it has a name `doubled`.
        offer: the package; None for the request itself.
        atom: what is needed or excluded.
        name: the name that only one may have, or the tag.
        other: the package that it does not go together with.
    """

    kind: Literal["needs", "holds", "excludes", "tagged", "doubled"]
    offer: Offer | None
    atom: Atom | None = None
    name: str = ""
    other: Offer | None = None


@dataclass(frozen=True)
class Solution:
    """The exact packages of an environment, dependencies before what depends on them."""

    offers: tuple[Offer, ...]

    @property
    def locked(self) -> tuple[str, ...]:
        """The packages as `name=version`, sorted."""
        return tuple(sorted(f"{offer.name}={offer.version}" for offer in self.offers))
