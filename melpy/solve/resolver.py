"""World and indexes become the packages to install, or a reason why there are none.

Source of the rules: apk-tools 3, apk-package(5), and its solver's test cases.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from melpy.apk.atom import Atom, parse_atom
from melpy.apk.version import compare_versions, version_key
from melpy.codec import replace
from melpy.errors import PackageFormatError, UnresolvableError
from melpy.solve.model import Offer, Solution
from melpy.solve.preference import is_selectable
from melpy.solve.refusal import check_known, explain_impossible, explain_unasked
from melpy.solve.search import Found, ImpossibleError, Rules, TooLongError, find_completely, find_quickly

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from melpy.solve.universe import Universe

_MOST_CHOICES = 20_000
_FEW_CHOICES = 2_000


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
    rules = Rules(universe, strict=choosy)
    try:
        return _solve(atoms, rules, where, choosy=choosy)
    except TooLongError:
        raise UnresolvableError("the search for packages takes too long", where=where) from None


def _solve(atoms: Sequence[Atom], rules: Rules, where: str, *, choosy: bool) -> Solution:
    solution = _solve_once(atoms, rules, where)
    unasked = _find_unasked(atoms, solution) if choosy else {}
    if unasked:
        # Others may bring in what nobody asks for by name; mostly they do not, so not much time is spent on it.
        try:
            solution = _solve_once(atoms, replace(rules, choosy=True), where)
        except (UnresolvableError, TooLongError):
            raise explain_unasked(unasked, rules.universe, where) from None
    return _add_triggered(atoms, solution, rules, choosy=choosy)


def _add_triggered(atoms: Sequence[Atom], solution: Solution, rules: Rules, *, choosy: bool) -> Solution:
    """Add what comes with others by its `install_if`, where it goes together with what is chosen already."""
    tried: set[Atom] = set()
    world = list(atoms)
    while triggered := [atom for atom in _find_install_if(solution, rules.universe) if atom not in tried]:
        for atom in triggered:
            tried.add(atom)
            here = {offer.name for offer in solution.offers}
            extended = (
                None if atom.name in here else _extend([*world, atom], len(atoms), solution, rules, choosy=choosy)
            )
            if extended:
                solution = extended
                world.append(atom)
    return solution


def _extend(world: Sequence[Atom], asked: int, solution: Solution, rules: Rules, *, choosy: bool) -> Solution | None:
    """Return a solution with what is wanted now: beside what is chosen, or in the place of some of it.

    Nothing that is asked for becomes older by that, and what was triggered before must still have its reason.
    """
    for start in (solution.offers, ()):
        found = find_quickly(world, rules, start)
        if found is None:
            continue
        extended = _make_solution(found)
        if choosy and _find_unasked(world, extended):
            continue
        if not start and not (_keeps(world, solution, extended) and _are_triggered(world[asked:], extended)):
            continue
        return extended
    return None


def _keeps(world: Sequence[Atom], before: Solution, after: Solution) -> bool:
    """Tell whether nothing that the world, or what stays, asks for is older than it was."""
    stays = [offer for offer in before.offers if offer in after.offers]
    asked = {atom.name for atom in world} | {atom.name for offer in stays for atom in offer.depends}
    was, now = _newest(before, asked), _newest(after, asked)
    return all(compare_versions(now.get(name, ""), version) >= 0 for name, version in was.items())


def _newest(solution: Solution, names: Collection[str]) -> dict[str, str]:
    """Return the newest version of each of these names that a solution has at a version."""
    found: dict[str, str] = {}
    for offer in solution.offers:
        for name, version in offer.answers:
            if name in names and version and (name not in found or compare_versions(version, found[name]) > 0):
                found[name] = version
    return found


def _are_triggered(wishes: Sequence[Atom], solution: Solution) -> bool:
    """Tell whether what came by its `install_if` would come now."""
    names = {atom.name for atom in wishes}
    provided = _find_provided(solution)
    return all(
        _holds(condition, provided)
        for offer in solution.offers
        if offer.name in names
        for condition in offer.install_if
    )


def _find_provided(solution: Solution) -> dict[str, str]:
    """Return every name that a solution has, with a version."""
    provided = {name: version for offer in solution.offers for name, version in offer.provides}
    return provided | {offer.name: offer.version for offer in solution.offers}


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


def _solve_once(atoms: Sequence[Atom], rules: Rules, where: str) -> Solution:
    quick = None if rules.choosy else find_quickly(atoms, rules)
    try:
        found = quick or find_completely(atoms, rules, limit=_FEW_CHOICES if rules.choosy else _MOST_CHOICES)
    except ImpossibleError as error:
        raise explain_impossible(atoms, error.causes, rules.universe, where) from None
    return _make_solution(found)


def _make_solution(found: Found) -> Solution:
    return Solution(tuple(_in_order(found.offers, found.answers)))


def _in_order(offers: Iterable[Offer], answers: Mapping[str, Offer]) -> Iterator[Offer]:
    """Yield packages after what they depend on; circles are cut where they are entered, by name."""
    entered: set[str] = set()
    for first in sorted(offers, key=lambda offer: offer.name):
        path = [(first, iter(first.depends))] if first.name not in entered else []
        entered.add(first.name)
        while path:
            offer, depends = path[-1]
            atom = next(depends, None)
            if atom is None:
                path.pop()
                yield offer
                continue
            following = answers.get(atom.name)
            if following and following.name not in entered:
                entered.add(following.name)
                path.append((following, iter(following.depends)))


def _find_install_if(solution: Solution, universe: Universe) -> list[Atom]:
    """Return what is to be installed because everything in its `install_if` is; of each name the newest first."""
    installed = {offer.name: offer.version for offer in solution.offers}
    tags = {"", *(offer.tag for offer in solution.offers)}
    provided = _find_provided(solution)
    found = [
        offer
        for offer in universe.triggered_by(provided)
        if offer.install_if and offer.name not in installed and offer.tag in tags
        if all(_holds(condition, provided) for condition in offer.install_if)
    ]
    found.sort(key=lambda offer: version_key(offer.version), reverse=True)
    return [Atom(offer.name, "=", offer.version, tag=offer.tag) for offer in found]


def _holds(condition: Atom, installed: Mapping[str, str]) -> bool:
    there = condition.name in installed and condition.is_met_by(installed[condition.name])
    return there != condition.conflict
