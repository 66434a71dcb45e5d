"""A quick search for packages that never goes back: what it finds is right, and when it finds nothing that says little.

Names are decided in the order of `melpy.solve.preference`, each for the best package that satisfies everything that is
known by then.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy.solve.preference import rank_offers, urgency

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from melpy.apk.atom import Atom
    from melpy.solve.model import Offer
    from melpy.solve.universe import Universe


@dataclass(frozen=True)
class Found:
    """Packages that go together, and which of them answers each name that was asked for."""

    offers: tuple[Offer, ...]
    answers: Mapping[str, Offer]


def find_quickly(
    world: Sequence[Atom], universe: Universe, *, strict: bool, start: Iterable[Offer] = ()
) -> Found | None:
    """Return packages that satisfy a world, or None when a choice along the way was in vain.

    Args:
        world: constraints.
        universe: what there is.
        strict: leave out packages that are at odds with themselves.
        start: packages that are chosen already, and go together.
    """
    search = _Search(world, universe, strict=strict)
    for offer in start:
        search.take(offer, {offer.tag} if offer.tag else set())
    return search.run()


class _Search:
    def __init__(self, world: Sequence[Atom], universe: Universe, *, strict: bool) -> None:
        self._universe = universe
        self._strict = strict
        self._pins = {atom.name: atom.tag for atom in world if atom.tag}
        self._wants: defaultdict[str, list[Atom]] = defaultdict(list)
        self._tags: defaultdict[str, set[str]] = defaultdict(set)
        self._conflicts: defaultdict[str, list[tuple[Atom, str]]] = defaultdict(list)
        self._waiting: list[tuple[int, str]] = []
        self._chosen: dict[str, Offer] = {}
        self._holders: dict[str, Offer] = {}  # of names that only one package may have
        self._present: defaultdict[str, list[tuple[Offer, str]]] = defaultdict(list)
        self._answers: dict[str, Offer] = {}
        self._in_vain = False
        for atom in world:
            self._want(atom, {atom.tag} if atom.tag else set(), owner="")

    def run(self) -> Found | None:
        while self._waiting and not self._in_vain:
            _, name = heapq.heappop(self._waiting)
            self._decide(name)
        return None if self._in_vain else Found(tuple(self._chosen.values()), self._answers)

    def _want(self, atom: Atom, tags: set[str], owner: str) -> None:
        """Take note of what a package, or the world, asks for."""
        if atom.conflict:
            self._conflicts[atom.name].append((atom, owner))
            self._in_vain |= any(
                offer.name != owner and offer.meets(atom, version) for offer, version in self._present[atom.name]
            )
            return
        self._wants[atom.name].append(atom)
        self._tags[atom.name] |= tags
        heapq.heappush(self._waiting, (urgency(atom.name, self._universe), atom.name))

    def _decide(self, name: str) -> None:
        wants, tags = self._wants[name], self._tags[name]
        for offer, version in self._present[name]:
            if all(offer.meets(atom, version) for atom in wants):
                self._answers[name] = offer
                return
        for offer, version in rank_offers(name, self._universe, tags, self._pins.get(name, ""), strict=self._strict):
            if all(offer.meets(atom, version) for atom in wants) and self._fits(offer):
                self._answers[name] = offer
                self.take(offer, tags)
                return
        self._in_vain = True

    def _fits(self, offer: Offer) -> bool:
        """Tell whether a package goes together with what is chosen, and with what is asked for so far."""
        for name, version in offer.answers:
            if version and (name in self._holders or not all(offer.meets(atom, version) for atom in self._wants[name])):
                return False
            if any(owner != offer.name and offer.meets(atom, version) for atom, owner in self._conflicts[name]):
                return False
        return all(self._allows(atom) for atom in offer.depends)

    def _allows(self, atom: Atom) -> bool:
        """Tell whether what a package needs is there at all, and what it does not go together with is not chosen."""
        if not atom.conflict:
            return bool(self._universe.providers(atom.name))
        return not any(other.meets(atom, version) for other, version in self._present[atom.name])

    def take(self, offer: Offer, tags: set[str]) -> None:
        """Choose a package."""
        self._chosen[offer.name] = offer
        for name, version in offer.answers:
            self._present[name].append((offer, version))
            if version:
                self._holders[name] = offer
        for atom in offer.depends:
            if atom.conflict or not offer.satisfies(atom):
                self._want(atom, tags, offer.name)
