"""The search for packages that go together.

Names are decided in the order of `melpy.solve.preference`, each for the best package that satisfies everything that is
known by then. Most of the time that leads to the end. Where it does not, the search goes back to the last choice that
has to do with what failed (conflict-directed backjumping; Prosser, "Hybrid algorithms for the constraint satisfaction
problem", 1993): what lies between would fail in the same way. What has failed together is remembered, and not tried
again. So it finds packages if there are any; and if there are none, the facts that it met on the way say why.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from melpy.codec import Noun, replace
from melpy.solve.model import Cause, Offer
from melpy.solve.preference import is_selectable, rank_offers, urgency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.apk.atom import Atom
    from melpy.solve.universe import Universe


_MOST_CAUSES = 50
_MOST_SECONDS = 30.0  # of a processor; environments of Wolfi take a tenth of a second
_POSTPONED = 1_000_000
"""How late a name is decided that others may help."""


class Found(Noun, frozen=True):
    """Packages that go together, and which of them answers each name that was asked for."""

    offers: tuple[Offer, ...]
    answers: Mapping[str, Offer]


class Budget:
    """Processor time that solving one world may take: some contrived indexes take more than all time there is."""

    def __init__(self, seconds: float = _MOST_SECONDS) -> None:
        self._end = time.process_time() + seconds

    def check(self) -> None:
        """Check that there is time left.

        Raises:
            TooLongError: there is none.
        """
        if time.process_time() > self._end:
            raise TooLongError


class Rules(Struct, frozen=True):
    """What holds for a search.

    Attributes:
        universe: what there is.
        strict: leave out packages that are at odds with themselves.
        choosy: take no package for a name that it provides without a version and without a priority, unless somebody
            asks for it by its own name.
        budget: what all searches by these rules may take together.
    """

    universe: Universe
    strict: bool = False
    choosy: bool = False
    budget: Budget = msgspec.field(default_factory=Budget)


class ImpossibleError(Exception):
    """There are no such packages."""

    def __init__(self, causes: Sequence[Cause]) -> None:
        super().__init__()
        self.causes = causes


class TooLongError(Exception):
    """A search has made as many choices as it may."""


def find_quickly(world: Sequence[Atom], rules: Rules, start: Iterable[Offer] = ()) -> Found | None:
    """Return packages that satisfy a world, or None when a choice along the way was in vain.

    Args:
        world: constraints.
        rules: what holds.
        start: packages that are chosen already, and go together.
    """
    state = _begin(world, rules)
    for offer in start:
        state.take(offer, frozenset({offer.tag} if offer.tag else ()))
    while (name := state.next_name()) is not None:
        rules.budget.check()
        best = next((offer for offer, reason in state.candidates(name) if reason is None), None)
        if best is None:
            return None
        state.choose(name, best)
    return state.found()


def find_completely(world: Sequence[Atom], rules: Rules, *, limit: int) -> Found:
    """Return packages that satisfy a world.

    Args:
        world: constraints.
        rules: what holds.
        limit: choices that may be made.

    Raises:
        ImpossibleError: there are none.
        TooLongError: the choices are made, or the time is used, and nothing is certain.
    """
    state = _begin(world, rules)
    path: list[_Decision] = []
    name = state.next_name()
    while name is not None:
        decision = _Decision(state, name)
        path.append(decision)
        while (best := decision.next_offer()) is None:
            rules.budget.check()
            failed = path.pop()
            failed.remember()
            while path and path[-1].taken not in failed.blamed:
                path.pop()
            if not path:
                raise ImpossibleError(list(failed.causes))
            decision = path[-1]
            decision.learn(failed)
        limit -= 1
        rules.budget.check()
        if limit < 0:
            raise TooLongError
        state = decision.state.copy()
        state.choose(decision.name, best)
        name = state.next_name()
    return state.found()


def _begin(world: Sequence[Atom], rules: Rules) -> _State:
    state = _State(rules, {atom.name: atom.tag for atom in world if atom.tag})
    for atom in world:
        state.want(atom, frozenset({atom.tag} if atom.tag else ()), None)
    return state


class _Reason(Struct, frozen=True):
    """Why a package cannot be taken: what is to be told, and the chosen packages that are to blame."""

    causes: tuple[Cause, ...]
    blamed: frozenset[str] = frozenset()


class _Decision:
    """A name that is decided, what it is decided for, and why not for what was tried before."""

    def __init__(self, state: _State, name: str) -> None:
        self.state = state
        self.name = name
        self.taken = ""
        wants = state.wants[name]
        # That one of those who want it is there is enough for it to be decided.
        self.blamed = set(_owner(wants[0][1]))
        there = state.rules.universe.providers(name)
        self.causes = dict.fromkeys([] if there else [Cause("needs", wants[0][1], wants[0][0])])
        self._candidates = state.candidates(name)

    def next_offer(self) -> Offer | None:
        """Return the next package that may be taken, and take note of those that may not."""
        for offer, reason in self._candidates:
            if reason is None:
                self.taken = offer.name
                return offer
            self.blamed |= reason.blamed
            self._note(reason.causes)
        return None

    def _note(self, causes: Iterable[Cause]) -> None:
        # Nobody reads all that there are, and each is handed on to many.
        if len(self.causes) < _MOST_CAUSES:
            self.causes |= dict.fromkeys(causes)

    def remember(self) -> None:
        """Take note, for the whole search, that the packages to blame do not go together."""
        blamed = [self.state.chosen[name] for name in self.blamed]
        for offer in blamed:
            others = tuple(other for other in blamed if other is not offer)
            self.state.learned.setdefault(offer, []).append((others, tuple(self.causes)))

    def learn(self, failed: _Decision) -> None:
        """Take note of a later decision that failed since this one was made as it was."""
        self.blamed |= failed.blamed - {self.taken}
        self._note(failed.causes)


def _needs(offer: Offer) -> list[Atom]:
    """Return what a package needs of others."""
    return [atom for atom in offer.depends if not atom.conflict and not offer.satisfies(atom)]


def _owner(offer: Offer | None) -> frozenset[str]:
    return frozenset({offer.name} if offer else ())


@dataclass
class _State:
    """What is chosen so far, and what is asked for by that.

    The values of its mappings are never changed, so that a copy is cheap. Who asks is None for the world.
    """

    rules: Rules
    pins: Mapping[str, str]
    wants: dict[str, tuple[tuple[Atom, Offer | None], ...]] = field(default_factory=dict)
    tags: dict[str, frozenset[str]] = field(default_factory=dict)
    conflicts: dict[str, tuple[tuple[Atom, Offer | None], ...]] = field(default_factory=dict)
    waiting: list[tuple[int, str]] = field(default_factory=list)
    chosen: dict[str, Offer] = field(default_factory=dict)
    held: dict[str, Offer] = field(default_factory=dict)  # by names that only one package may have
    present: dict[str, tuple[tuple[Offer, str], ...]] = field(default_factory=dict)
    answers: dict[str, Offer] = field(default_factory=dict)
    learned: dict[Offer, list[tuple[tuple[Offer, ...], tuple[Cause, ...]]]] = field(default_factory=dict)  # by all

    def copy(self) -> _State:
        """Return the same, to go on from."""
        return replace(
            self,
            wants=self.wants.copy(),
            tags=self.tags.copy(),
            conflicts=self.conflicts.copy(),
            waiting=self.waiting.copy(),
            chosen=self.chosen.copy(),
            held=self.held.copy(),
            present=self.present.copy(),
            answers=self.answers.copy(),
        )

    def found(self) -> Found:
        """Return what was found, once nothing is left to decide."""
        return Found(tuple(self.chosen.values()), self.answers)

    def want(self, atom: Atom, tags: frozenset[str], owner: Offer | None) -> None:
        """Take note of what a package, or the world, asks for."""
        if atom.conflict:
            self.conflicts[atom.name] = (*self.conflicts.get(atom.name, ()), (atom, owner))
            return
        self.wants[atom.name] = (*self.wants.get(atom.name, ()), (atom, owner))
        self._admit(atom.name, tags)

    def _admit(self, name: str, tags: frozenset[str]) -> None:
        """Have a name, and what its answer needs, come from repositories with these tags, too, and decide it anew."""
        names = [name]
        while names:
            name = names.pop()
            known = self.tags.get(name, frozenset())
            self.tags[name] = known | tags
            heapq.heappush(self.waiting, (urgency(name, self.rules.universe), name))
            answer = self.answers.get(name)
            if answer and not tags <= known:
                names += [atom.name for atom in _needs(answer)]

    def next_name(self) -> str | None:
        """Return the next name that is not answered by what is there."""
        while self.waiting:
            _, name = heapq.heappop(self.waiting)
            answer = next((one for one in self.present.get(name, ()) if self._unmet(*one, name) is None), None)
            if answer is None and self._is_early(name):
                heapq.heappush(self.waiting, (_POSTPONED, name))
            elif answer is None:
                return name
            else:
                self.answers[name] = answer[0]
        return None

    def _is_early(self, name: str) -> bool:
        """Tell whether a name is better decided later: others may still bring in the tag of what has it."""
        if not self.waiting or self.waiting[0][0] >= _POSTPONED:
            return False
        tags = self.tags.get(name, frozenset())
        return any(offer.tag and offer.tag not in tags for offer, _ in self.rules.universe.providers(name))

    def choose(self, name: str, offer: Offer) -> None:
        """Take a package for a name."""
        self.answers[name] = offer
        self.take(offer, self.tags.get(name, frozenset()))

    def take(self, offer: Offer, tags: frozenset[str]) -> None:
        """Take a package; what it needs may come from repositories with these tags."""
        self.chosen[offer.name] = offer
        for name, version in offer.answers:
            self.present[name] = (*self.present.get(name, ()), (offer, version))
            if version:
                self.held[name] = offer
        for atom in offer.depends:
            if atom.conflict:
                self.want(atom, tags, offer)
        for atom in _needs(offer):
            self.want(atom, tags, offer)

    def candidates(self, name: str) -> Iterator[tuple[Offer, _Reason | None]]:
        """Yield what may be taken for a name, best first, and what may not, with the reason."""
        universe = self.rules.universe
        ranked = rank_offers(
            name, universe, self.tags.get(name, frozenset()), self.pins.get(name, ""), strict=self.rules.strict
        )
        for offer, version in ranked:
            yield offer, self._find_reason(offer, name, version)
        taken = {offer for offer, _ in ranked}
        for offer, version in universe.providers(name):
            if offer not in taken:
                yield offer, self._find_exclusion(offer, name, version)

    def _find_exclusion(self, offer: Offer, name: str, version: str) -> _Reason:
        """Return why a package is none of those that may be taken for a name, whatever else is chosen."""
        unmet = self._unmet(offer, version, name)
        if unmet:
            return unmet
        if offer.contradiction:
            return _Reason((Cause("needs", offer, offer.contradiction),))
        if offer.tag and offer.tag not in self.tags.get(name, frozenset()):
            # It might be if others were chosen, who ask for its tag.
            atom, owner = self.wants[name][0]
            return _Reason((Cause("tagged", owner, atom, name=offer.tag, other=offer),), frozenset(self.chosen))
        return _Reason((Cause("doubled", offer),))

    def _find_reason(self, offer: Offer, name: str, version: str) -> _Reason | None:
        """Return why a package cannot be taken for a name that it has at a version."""
        unmet = self._unmet(offer, version, name)
        if unmet:
            return unmet
        asked_for = is_selectable(name, offer, version) or offer.name in self.wants
        if self.rules.choosy and not asked_for:
            return _Reason((), frozenset(self.chosen))
        for others, causes in self.learned.get(offer, ()):
            if all(self.chosen.get(other.name) is other for other in others):
                return _Reason(causes, frozenset(other.name for other in others))
        for own, held_at in offer.answers:
            reason = self._find_clash(offer, own, held_at)
            if reason:
                return reason
        for atom in offer.depends:
            reason = self._find_obstacle(offer, atom)
            if reason:
                return reason
        return None

    def _unmet(self, offer: Offer, version: str, name: str) -> _Reason | None:
        for atom, owner in self.wants.get(name, ()):
            if not offer.meets(atom, version):
                return _Reason((Cause("needs", owner, atom),), _owner(owner))
        return None

    def _find_clash(self, offer: Offer, name: str, version: str) -> _Reason | None:
        """Return why a package cannot have a name at a version, beside what is chosen."""
        if version:
            holder = self.held.get(name)
            if holder:
                return _Reason((Cause("holds", holder, name=name, other=offer),), _owner(holder))
            unmet = self._unmet(offer, version, name)
            if unmet:
                return unmet
        for atom, owner in self.conflicts.get(name, ()):
            if owner is not offer and offer.meets(atom, version):
                return _Reason((Cause("excludes", owner, atom, other=offer),), _owner(owner))
        return None

    def _find_obstacle(self, offer: Offer, atom: Atom) -> _Reason | None:
        """Return why what a package states cannot be: what it needs is not there, what it excludes is chosen."""
        if not atom.conflict:
            return None if self.rules.universe.providers(atom.name) else _Reason((Cause("needs", offer, atom),))
        for other, version in self.present.get(atom.name, ()):
            if other.meets(atom, version):
                return _Reason((Cause("excludes", offer, atom, other=other),), _owner(other))
        return None
