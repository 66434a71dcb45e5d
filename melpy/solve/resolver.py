"""World and indexes become the packages to install, or a reason why there are none.

A quick search that never goes back comes first and finds most solutions; where it finds none resolvelib searches, which
finds one if there is one. It sees three kinds of questions: who satisfies a name (a package of that name, or one that
provides it), which version of a package is taken, and who holds a name that only one package may hold (its own, and
those it provides with a version). Source of the rules: apk-tools 3, apk-package(5).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver

from melpy.apk.atom import Atom, parse_atom, parse_dependency
from melpy.errors import PackageFormatError, UnresolvableError, find_near
from melpy.solve.greedy import find_quickly
from melpy.solve.model import Offer, Solution, Universe
from melpy.solve.preference import is_selectable, meets, rank_offers, urgency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MAX_ROUNDS = 200_000
_FEW_ROUNDS = 2_000
_NO_REPOSITORY = 'no repository has any package: name one with -r, or write seed = "trixie" into melpy.toml'


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
    _check_known(atoms, universe, where)
    refused: set[str] = set()
    while True:
        solution = _solve_once(atoms, universe, where, strict=choosy)
        unasked = _find_unasked(atoms, solution) if choosy else {}
        if unasked:
            # Others may bring in what nobody asks for by name; mostly they do not, so not much time is spent on it.
            try:
                solution = _solve_once(atoms, universe, where, strict=True, choosy=True)
            except UnresolvableError:
                raise _explain_unasked(unasked, universe, where) from None
        triggered = [atom for atom in _find_install_if(solution, universe) if atom.name not in refused]
        if not triggered:
            return solution
        atoms, failed = _add_possible(atoms, triggered, universe, strict=choosy)
        refused |= failed


def _add_possible(
    atoms: list[Atom], triggered: list[Atom], universe: Universe, *, strict: bool
) -> tuple[list[Atom], set[str]]:
    """Return a world with what comes with others, where that can be installed; and the names of what cannot."""
    if _is_solvable([*atoms, *triggered], universe, strict=strict):
        return [*atoms, *triggered], set()
    failed: set[str] = set()
    for atom in triggered:
        if _is_solvable([*atoms, atom], universe, strict=strict):
            atoms = [*atoms, atom]
        else:
            failed.add(atom.name)
    return atoms, failed


def _is_solvable(atoms: Sequence[Atom], universe: Universe, *, strict: bool) -> bool:
    try:
        _solve_once(atoms, universe, "", strict=strict)
    except UnresolvableError:
        return False
    return True


def _parse(text: str, where: str) -> Atom:
    try:
        return parse_atom(text)
    except PackageFormatError as error:
        raise UnresolvableError(error.message, where=where, hint=error.hint) from None


def _check_known(atoms: Iterable[Atom], universe: Universe, where: str) -> None:
    """Report every name that nothing has before searching."""
    missing = [atom for atom in atoms if not atom.conflict and not universe.providers.get(atom.name)]
    if not missing:
        return
    hints = []
    for atom in missing:
        near = find_near(atom.name, universe.names)
        hints.append(f"{atom.name}: did you mean {near!r}?" if near else f"{atom.name}: nothing has a similar name")
    names = ", ".join(repr(str(atom)) for atom in missing)
    raise UnresolvableError(
        f"no repository has {names}",
        where=where,
        hint="; ".join(hints) if universe.offers else _NO_REPOSITORY,
    )


def _find_unasked(atoms: Sequence[Atom], solution: Solution) -> dict[str, str]:
    """Return the names that only packages provide which nobody asks for by their own, and who needs them."""
    askers = [("the request", atom) for atom in atoms]
    askers += [(str(offer), parse_dependency(text)) for offer in solution.offers for text in offer.entry.info.depends]
    asked = {atom.name for _, atom in askers if not atom.conflict}
    held: dict[str, list[tuple[Offer, str]]] = defaultdict(list)
    for offer in solution.offers:
        for name, version in ((offer.name, offer.version), *offer.provides):
            held[name].append((offer, version))
    taken: set[str] = set()  # packages that are there for another reason than that somebody had to be chosen
    for name in asked:
        taken |= {offer.name for offer, version in held[name] if is_selectable(name, offer, version)}
    return {
        atom.name: asker
        for asker, atom in askers
        if not atom.conflict and held[atom.name] and not any(offer.name in taken for offer, _ in held[atom.name])
    }


def _explain_unasked(unasked: Mapping[str, str], universe: Universe, where: str) -> UnresolvableError:
    lines = []
    for name, asker in sorted(unasked.items()):
        offers = ", ".join(sorted({offer.name for offer, _ in universe.providers[name]}))
        lines.append(f"{asker} needs {name}, which {offers} may provide")
    hint = "ask for one of these packages by its name; melpy chooses none that gives itself no priority"
    return UnresolvableError("some packages are to be chosen by you", where=where, details=lines, hint=hint)


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
        raise _explain(error.causes, universe, where) from None
    except ResolutionTooDeep:
        raise UnresolvableError("the search for packages takes too long", where=where) from None
    chosen = {key: choice for key, choice in result.mapping.items() if choice.offer}
    offers = [choice.offer for key, choice in chosen.items() if key.kind == "package" and choice.offer]
    answers = {key.name: choice.offer for key, choice in chosen.items() if key.kind == "name" and choice.offer}
    return Solution(tuple(_in_order(offers, answers)))


def _need(atom: Atom, tags: frozenset[str] = frozenset()) -> _Need:
    key = _Key("absent", str(atom)) if atom.conflict else _Key("name", atom.name)
    return _Need(key, atom=atom, tags=tags | {atom.tag} if atom.tag else tags)


def _in_order(offers: Iterable[Offer], answers: Mapping[str, Offer]) -> Iterator[Offer]:
    """Yield packages after what they depend on; circles are cut where they are entered, by name."""
    done: set[str] = set()

    def visit(offer: Offer) -> Iterator[Offer]:
        if offer.name in done:
            return
        done.add(offer.name)
        for text in offer.entry.info.depends:
            dependency = answers.get(parse_dependency(text).name)
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
    for offer in universe.offers:
        conditions = [parse_dependency(text) for text in offer.entry.info.install_if]
        if not conditions or offer.name in installed or offer.tag not in tags:
            continue
        if all(_holds(condition, provided) for condition in conditions):
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
        self._contested = _contested_names(universe)
        self._conflicts = _conflict_keys(universe, world)

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
        # Such a package would let resolvelib go back and forth for ever: its own needs undo that it is taken.
        return [_Choice(key, offer, version, tags) for offer, version in ranked if not _contradiction(offer)]

    def is_satisfied_by(self, requirement: _Need, candidate: _Choice) -> bool:
        if requirement.key.kind == "name":
            assert requirement.atom is not None
            assert candidate.offer is not None
            return meets(requirement.atom, candidate.offer, candidate.version)
        if requirement.key.kind == "absent":
            return (candidate.offer is None) == (requirement.offer is None)
        return requirement.offer == candidate.offer

    def get_dependencies(self, candidate: _Choice) -> list[_Need]:
        offer = candidate.offer
        if offer is None or candidate.key.kind in {"holder", "absent"}:
            return []
        if candidate.key.kind == "name":
            return [_Need(_Key("package", offer.name), offer=offer, tags=candidate.tags)]
        own = {offer.name, *(name for name, _ in offer.provides)}
        atoms = [parse_dependency(text) for text in offer.entry.info.depends]
        outer = [atom for atom in atoms if atom.conflict or atom.name not in own or not _self_met(atom, offer)]
        needs = [_need(atom, candidate.tags) for atom in outer]
        # What conflicts with a name of its own conflicts with others that have it, not with itself.
        needs = [_excluding(need, offer) for need in needs]
        held = [offer.name, *(name for name, version in offer.provides if version)]
        needs += [_Need(_Key("holder", name), offer=offer) for name in held if name in self._contested]
        needs += [_Need(key, offer=offer) for key in self._conflicts if _falls_under(key, offer)]
        return needs


def _excluding(need: _Need, offer: Offer) -> _Need:
    if need.atom and need.atom.conflict and _self_met(replace(need.atom, conflict=False), offer):
        return replace(need, key=replace(need.key, owner=offer.name))
    return need


def _falls_under(conflict: _Key, offer: Offer) -> bool:
    return offer.name != conflict.owner and _self_met(replace(parse_dependency(conflict.name), conflict=False), offer)


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


def _self_met(atom: Atom, offer: Offer) -> bool:
    own = ((offer.name, offer.version), *offer.provides)
    return any(name == atom.name and atom.is_met_by(version) for name, version in own)


def _contradiction(offer: Offer) -> Atom | None:
    """Return what a package needs of a name that it alone may hold, and does not meet; nothing can install it."""
    held = {offer.name, *(name for name, version in offer.provides if version)}
    for atom in map(parse_dependency, offer.entry.info.depends):
        if not atom.conflict and atom.name in held and not _self_met(atom, offer):
            return atom
    return None


def _contested_names(universe: Universe) -> frozenset[str]:
    """Return names that different packages hold: their own name, or one provided with a version."""
    counts = Counter(
        name
        for name, offers in universe.providers.items()
        for _ in {offer.name for offer, version in offers if version}
    )
    return frozenset(name for name, count in counts.items() if count > 1)


def _conflict_keys(universe: Universe, world: Iterable[Atom]) -> tuple[_Key, ...]:
    stated = [
        _excluding(_need(atom), offer).key
        for offer in universe.offers
        for atom in map(parse_dependency, offer.entry.info.depends)
        if atom.conflict
    ]
    return tuple(dict.fromkeys([*stated, *(_need(atom).key for atom in world if atom.conflict)]))


def _explain(causes: Iterable[Any], universe: Universe, where: str) -> UnresolvableError:
    lines = []
    for cause in causes:
        need, parent = cause.requirement, cause.parent
        asker = str(parent.offer) if parent is not None and parent.offer else "the request"
        if need.key.kind == "name":
            lines.append(f"{asker} needs {need}{_availability(need.atom, universe)}")
        elif need.key.kind == "holder":
            lines.append(f"{asker} is the only one that may be {need.key.name}")
        elif need.offer is not None and need.key.kind == "package":
            lines.append(f"{parent.key.name if parent else 'the request'} is taken to be {need.offer}")
        else:
            lines.append(f"{asker} does not go together with {need.key.name.removeprefix('!')}")
    return UnresolvableError(
        "these packages cannot be installed together",
        where=where,
        details=list(dict.fromkeys(lines)),
        hint="loosen one of these constraints, or add a repository with --repository-append",
    )


def _availability(atom: Atom, universe: Universe) -> str:
    offers = universe.providers.get(atom.name, ())
    if not offers:
        near = find_near(atom.name, universe.names)
        return ", which no repository has" + (f" (near: {near})" if near else "")
    fitting = [offer for offer, version in offers if meets(atom, offer, version)]
    if not fitting:
        return f", there is {', '.join(sorted(str(offer) for offer, _ in offers)[:5])}"
    clashes = sorted(f"{offer} needs {_contradiction(offer)}" for offer in fitting if _contradiction(offer))
    return f", but of itself {', '.join(clashes[:5])}" if len(clashes) == len(fitting) else ""
