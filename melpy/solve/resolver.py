"""World and indexes become the packages to install, or a reason why there are none.

A quick search that never goes back comes first and finds most solutions; where it finds none resolvelib searches, which
finds one if there is one. It sees three kinds of questions: who satisfies a name (a package of that name, or one that
provides it), which version of a package is taken, and who holds a name that only one package may hold (its own, and
those it provides with a version). Source of the rules: apk-tools 3, apk-package(5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver

from melpy.apk.atom import Atom, parse_atom
from melpy.errors import PackageFormatError, UnresolvableError
from melpy.solve.greedy import find_quickly
from melpy.solve.model import Offer, Solution
from melpy.solve.preference import is_selectable, rank_offers, urgency
from melpy.solve.refusal import Cause, check_known, explain_impossible, explain_unasked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from melpy.solve.universe import Universe

_MAX_ROUNDS = 200_000
_FEW_ROUNDS = 2_000


@dataclass(frozen=True)
class _Key:
    """What resolvelib decides about: `name`, `package`, `holder` or `absent`, and of what.

    An `absent` key with an owner is a conflict that its owner does not fall under.
    """

    kind: str
    name: str
    owner: str = ""


@dataclass(frozen=True)
class _Need:
    """A requirement: an atom, an exact package, or the holder of a name."""

    key: _Key
    atom: Atom | None = None
    offer: Offer | None = None
    tags: frozenset[str] = frozenset()  # of repositories that the answer may come from, beside those without a tag

    def __str__(self) -> str:
        return str(self.atom or self.offer or self.key.name)


@dataclass(frozen=True)
class _Choice:
    """A possible answer to a key. For `absent` keys, no offer means that it is absent."""

    key: _Key
    offer: Offer | None
    version: str = ""
    tags: frozenset[str] = field(default=frozenset(), compare=False)


def solve(world: Sequence[str], universe: Universe, *, where: str = "", choosy: bool = False) -> Solution:
    """Return the packages that satisfy a world, chosen by highest version, and all they depend on.

    Args:
        world: constraints, as in /etc/apk/world.
        universe: what the repositories offer.
        where: who asks, for messages.
        choosy: leave it to the user, as apk does, to choose among packages that provide a name without a version and
            without a priority. Otherwise one is chosen, as apko does for build environments.

    Raises:
        UnresolvableError: there is no such set.
        PackageFormatError: a constraint does not parse.
    """
    atoms = [_parse(text, where) for text in dict.fromkeys(world)]
    check_known(atoms, universe, where)
    solution = _solve_once(atoms, universe, where, strict=choosy)
    unasked = _find_unasked(atoms, solution) if choosy else {}
    if unasked:
        # Others may bring in what nobody asks for by name; mostly they do not, so not much time is spent on it.
        try:
            solution = _solve_once(atoms, universe, where, strict=True, choosy=True)
        except UnresolvableError:
            raise explain_unasked(unasked, universe, where) from None
    return _add_triggered(atoms, solution, universe, choosy=choosy)


def _add_triggered(atoms: Sequence[Atom], solution: Solution, universe: Universe, *, choosy: bool) -> Solution:
    """Add what comes with others by its `install_if`, where it goes together with what is chosen already."""
    refused: set[str] = set()
    world = list(atoms)
    while triggered := [atom for atom in _find_install_if(solution, universe) if atom.name not in refused]:
        for atom in triggered:
            extended = _extend([*world, atom], solution, universe, choosy=choosy)
            if extended:
                solution = extended
                world.append(atom)
            else:
                refused.add(atom.name)
    return solution


def _extend(world: Sequence[Atom], solution: Solution, universe: Universe, *, choosy: bool) -> Solution | None:
    """Return a solution with what is wanted now: beside what is chosen, or in the place of some of it."""
    found = find_quickly(world, universe, strict=choosy, start=solution.offers)
    found = found or find_quickly(world, universe, strict=choosy)
    if found is None:
        return None
    extended = Solution(tuple(_in_order(found.offers, found.answers)))
    return None if choosy and _find_unasked(world, extended) else extended


def _parse(text: str, where: str) -> Atom:
    try:
        return parse_atom(text)
    except PackageFormatError as error:
        raise UnresolvableError(error.message, where=where, hint=error.hint) from None


def _find_unasked(atoms: Sequence[Atom], solution: Solution) -> dict[str, str]:
    """Return the names that only packages provide which nobody asks for by their own, and who needs them."""
    askers = [("the request", atom) for atom in atoms]
    askers += [(str(offer), atom) for offer in solution.offers for atom in offer.depends]
    asked = {atom.name for _, atom in askers if not atom.conflict}
    held: dict[str, list[tuple[Offer, str]]] = defaultdict(list)
    for offer in solution.offers:
        for name, version in offer.answers:
            held[name].append((offer, version))
    taken: set[str] = set()  # packages that are there for another reason than that somebody had to be chosen
    for name in asked:
        taken |= {offer.name for offer, version in held[name] if is_selectable(name, offer, version)}
    return {
        atom.name: asker
        for asker, atom in askers
        if not atom.conflict and held[atom.name] and not any(offer.name in taken for offer, _ in held[atom.name])
    }


def _solve_once(
    atoms: Sequence[Atom], universe: Universe, where: str, *, strict: bool, choosy: bool = False
) -> Solution:
    if not choosy:
        quick = find_quickly(atoms, universe, strict=strict)
        if quick:
            return Solution(tuple(_in_order(quick.offers, quick.answers)))
    provider = _Provider(universe, atoms, strict=strict, choosy=choosy)
    resolver: Resolver[_Need, _Choice, _Key] = Resolver(provider, _Reporter(provider))
    try:
        result = resolver.resolve([_need(atom) for atom in atoms], max_rounds=_FEW_ROUNDS if choosy else _MAX_ROUNDS)
    except ResolutionImpossible as error:
        raise explain_impossible(atoms, map(_cause, error.causes), universe, where) from None
    except ResolutionTooDeep:
        raise UnresolvableError("the search for packages takes too long", where=where) from None
    chosen = {key: choice for key, choice in result.mapping.items() if choice.offer}
    offers = [choice.offer for key, choice in chosen.items() if key.kind == "package" and choice.offer]
    answers = {key.name: choice.offer for key, choice in chosen.items() if key.kind == "name" and choice.offer}
    return Solution(tuple(_in_order(offers, answers)))


def _need(atom: Atom, tags: frozenset[str] = frozenset(), owner: Offer | None = None) -> _Need:
    tags = tags | {atom.tag} if atom.tag else tags
    if not atom.conflict:
        return _Need(_Key("name", atom.name), atom=atom, tags=tags)
    # What conflicts with a name of its own conflicts with others that have it, not with itself.
    exempt = owner.name if owner and owner.satisfies(atom) else ""
    return _Need(_Key("absent", str(atom), exempt), atom=atom, tags=tags)


def _in_order(offers: Iterable[Offer], answers: Mapping[str, Offer]) -> Iterator[Offer]:
    """Yield packages after what they depend on; circles are cut where they are entered, by name."""
    done: set[str] = set()

    def visit(offer: Offer) -> Iterator[Offer]:
        if offer.name in done:
            return
        done.add(offer.name)
        for atom in offer.depends:
            dependency = answers.get(atom.name)
            if dependency:
                yield from visit(dependency)
        yield offer

    for offer in sorted(offers, key=lambda offer: offer.name):
        yield from visit(offer)


def _find_install_if(solution: Solution, universe: Universe) -> list[Atom]:
    """Return what is to be installed because everything in its `install_if` is."""
    installed = {offer.name: offer.version for offer in solution.offers}
    tags = {"", *(offer.tag for offer in solution.offers)}
    provided = {name: version for offer in solution.offers for name, version in offer.provides} | installed
    found: dict[str, Atom] = {}
    for offer in universe.triggered_by(provided):
        if not offer.install_if or offer.name in installed or offer.tag not in tags:
            continue
        if all(_holds(condition, provided) for condition in offer.install_if):
            found[offer.name] = Atom(offer.name, tag=offer.tag)
    return list(found.values())


def _holds(condition: Atom, installed: Mapping[str, str]) -> bool:
    there = condition.name in installed and condition.is_met_by(installed[condition.name])
    return there != condition.conflict


class _Reporter(BaseReporter[_Need, _Choice, _Key]):
    """Tells the provider after each round what is chosen; resolvelib gives providers no other sure way to know."""

    def __init__(self, provider: _Provider) -> None:
        self._provider = provider

    def ending_round(self, index: int, state: Any) -> None:  # noqa: ARG002  # resolvelib's signature
        self._provider.remember(state.mapping)


class _Provider(AbstractProvider):  # type: ignore[type-arg]  # its parameters are the three classes above
    """Answers resolvelib's questions."""

    def __init__(self, universe: Universe, world: Sequence[Atom], *, strict: bool, choosy: bool) -> None:
        self._universe = universe
        self._strict = strict
        self._choosy = choosy
        self._pins = {atom.name: atom.tag for atom in world if atom.tag}
        self._chosen: Mapping[_Key, _Choice] = {}
        self._conflicts = _world_conflicts(world)

    def identify(self, requirement_or_candidate: _Need | _Choice) -> _Key:
        return requirement_or_candidate.key

    def remember(self, chosen: Mapping[_Key, _Choice]) -> None:
        """Take note of what the search has chosen so far."""
        self._chosen = chosen

    def get_preference(self, identifier: _Key, *_: Any, **__: Any) -> tuple[int, str]:  # the protocol's
        order = {"package": 0, "holder": 1, "absent": 2}.get(identifier.kind)
        if order is not None:
            return order, identifier.name
        return urgency(identifier.name, self._universe), identifier.name

    def find_matches(
        self,
        identifier: _Key,
        requirements: Mapping[_Key, Iterator[_Need]],
        incompatibilities: Mapping[_Key, Iterator[_Choice]],
    ) -> Sequence[_Choice]:
        needs = list(requirements[identifier])
        excluded = set(incompatibilities[identifier])
        found = [choice for choice in self._choices(identifier, needs) if choice not in excluded]
        matches = [choice for choice in found if all(self.is_satisfied_by(need, choice) for need in needs)]
        lazy = identifier.kind == "name" and (len(matches) > 1 or self._choosy)
        return _Matches(matches, self) if lazy else matches

    def is_taken(self, choice: _Choice) -> bool:
        """Tell whether the package of a choice is chosen already."""
        assert choice.offer is not None
        taken = self._chosen.get(_Key("package", choice.offer.name))
        return taken is not None and taken.offer == choice.offer

    def may_choose(self, choice: _Choice) -> bool:
        """Tell whether a package may be taken for a name, as things are."""
        assert choice.offer is not None
        return (
            not self._choosy
            or is_selectable(choice.key.name, choice.offer, choice.version)
            or self.is_taken(choice)
            or _Key("name", choice.offer.name) in self._chosen
        )

    def _choices(self, key: _Key, needs: Sequence[_Need]) -> list[_Choice]:
        tags = frozenset().union(*(need.tags for need in needs))
        if key.kind == "name":
            return self._ranked(key, tags)
        found = {need.offer: _Choice(key, need.offer, tags=tags) for need in needs if need.offer}
        return list(found.values()) or [_Choice(key, None)]

    def _ranked(self, key: _Key, tags: frozenset[str]) -> list[_Choice]:
        pin = self._pins.get(key.name, "")
        ranked = rank_offers(key.name, self._universe, tags, pin, strict=self._strict)
        return [_Choice(key, offer, version, tags) for offer, version in ranked]

    def is_satisfied_by(self, requirement: _Need, candidate: _Choice) -> bool:
        if requirement.key.kind == "name":
            assert requirement.atom is not None
            assert candidate.offer is not None
            return candidate.offer.meets(requirement.atom, candidate.version)
        if requirement.key.kind == "absent":
            return (candidate.offer is None) == (requirement.offer is None)
        return requirement.offer == candidate.offer

    def get_dependencies(self, candidate: _Choice) -> list[_Need]:
        offer = candidate.offer
        if offer is None or candidate.key.kind in {"holder", "absent"}:
            return []
        if candidate.key.kind == "name":
            return [_Need(_Key("package", offer.name), offer=offer, tags=candidate.tags)]
        outer = [atom for atom in offer.depends if atom.conflict or not offer.satisfies(atom)]
        needs = [_need(atom, candidate.tags, offer) for atom in outer]
        needs += [_Need(_Key("holder", name), offer=offer) for name in sorted(offer.held) if self._is_contested(name)]
        needs += [_Need(key, offer=offer) for key in dict.fromkeys(self._forbidding(offer))]
        return needs

    def _is_contested(self, name: str) -> bool:
        """Tell whether different packages hold a name: as their own, or provided with a version."""
        return len({offer.name for offer, version in self._universe.providers(name) if version}) > 1

    def _forbidding(self, offer: Offer) -> Iterator[_Key]:
        """Yield what others, or the world, state against a package."""
        for name in dict.fromkeys(name for name, _ in offer.answers):
            stated = [(atom, _need(atom, owner=owner).key) for atom, owner in self._universe.conflicts.get(name, ())]
            for atom, key in (*stated, *self._conflicts.get(name, ())):
                if key.owner != offer.name and offer.satisfies(atom):
                    yield key


class _Matches(Sequence[_Choice]):
    """The answers to a name, best first. What may be taken, and what is already, is known when it is their turn."""

    def __init__(self, ranked: list[_Choice], provider: _Provider) -> None:
        self._ranked = ranked
        self._provider = provider

    def __iter__(self) -> Iterator[_Choice]:
        chosen = filter(self._provider.may_choose, self._ranked)
        return iter(sorted(chosen, key=self._provider.is_taken, reverse=True))

    def __len__(self) -> int:
        return len(self._ranked)

    def __getitem__(self, index: Any) -> Any:  # an index or a slice
        return list(self)[index]


def _world_conflicts(world: Iterable[Atom]) -> Mapping[str, list[tuple[Atom, _Key]]]:
    found: defaultdict[str, list[tuple[Atom, _Key]]] = defaultdict(list)
    for atom in world:
        if atom.conflict:
            found[atom.name].append((atom, _need(atom).key))
    return found


def _cause(cause: Any) -> Cause:
    """Return what resolvelib says of a requirement that cannot be had, in terms of packages."""
    need, parent = cause.requirement, cause.parent
    asker = parent.offer if parent is not None else None
    name = need.key.name.removeprefix("!")
    if need.key.kind == "name":
        return Cause("needs", asker, atom=need.atom)
    if need.key.kind == "holder":
        return Cause("holds", asker, name=name)
    if need.key.kind == "package":
        return Cause("taken", need.offer, name=parent.key.name if parent else "")
    return Cause("excludes", asker, name=name)
