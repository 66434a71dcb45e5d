"""Why there are no packages that satisfy a world, as a person can read it.

Which package asks for what, through which chain of needs it came in, what there is instead, and what is called nearly
so.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from melpy.errors import UnresolvableError, find_near

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from melpy.apk.atom import Atom
    from melpy.solve.model import Cause, Offer
    from melpy.solve.universe import Universe

_NO_REPOSITORY = 'no repository has any package: name one with -r, or write seed = "trixie" into melpy.toml'
_HINT = "loosen one of these constraints, or add a repository with --repository-append"
_NOTHING_NEAR = "nothing has a similar name"
_ELSEWHERE = "correct it, or add a repository that has it with --repository-append"
_TOLD = 30  # lines; nobody reads more
_LONG_CHAIN = 10  # links; of more, those at both ends are told
_LOOKED_AT = 20_000
"""Packages that are looked at for a chain of needs; an error without a chain is better than a late one."""


def explain_impossible(
    world: Sequence[Atom], causes: Iterable[Cause], universe: Universe, where: str
) -> UnresolvableError:
    """Return the error for a world that no packages satisfy together."""
    lines: list[str] = []
    causes = tuple(causes)
    chains = _Chains(world, universe)
    for cause in _folded(causes):
        lines += [*chains.to(cause.offer), *chains.to(cause.other), _describe(cause, universe)]
    told = list(dict.fromkeys(lines))
    asked = [str(atom) for atom in world if any(_is_about(line, atom) for line in told)]
    more = [f"and {len(told) - _TOLD} more facts"] if len(told) > _TOLD else []
    error = UnresolvableError(
        "these packages cannot be installed together", where=where, details=told[:_TOLD] + more, hint=_HINT
    )
    error.wanted = tuple(asked)
    atoms = [cause.atom for cause in causes if cause.atom and not cause.atom.conflict]
    error.missing = tuple(dict.fromkeys(atom.name for atom in atoms if not universe.providers(atom.name)))
    return error


def _is_about(line: str, atom: Atom) -> bool:
    asks = f"the request needs {atom}"
    return line == asks or line.startswith((f"{asks},", f"{asks} "))


def _folded(causes: Iterable[Cause]) -> Iterator[Cause]:
    """Yield causes, each once for all versions of a package: the newest comes first, and says enough."""
    seen = set()
    for cause in causes:
        names = cause.offer.name if cause.offer else "", cause.other.name if cause.other else ""
        key = (cause.kind, *names, cause.atom, cause.name)
        if key not in seen:
            seen.add(key)
            yield cause


def _describe(cause: Cause, universe: Universe) -> str:
    who = str(cause.offer) if cause.offer else "the request"
    if cause.kind == "holds":
        return f"{who} is the only one that may be {cause.name}, and so is {cause.other}"
    if cause.kind == "doubled":
        return f"{who} has a name twice, so that it cannot be installed"
    assert cause.atom is not None
    if cause.kind == "tagged":
        return (
            f"{who} needs {cause.atom}, and only @{cause.name} has {cause.other}, which nobody asks for with that tag"
        )
    if cause.kind == "excludes":
        what = str(cause.atom).removeprefix("!")
        return (
            f"{who} does not go together with {what}{'' if what == str(cause.other) else f', which {cause.other} is'}"
        )
    return f"{who} needs {cause.atom}{_availability(cause.atom, universe)}"


def _availability(atom: Atom, universe: Universe) -> str:
    offers = universe.providers(atom.name)
    if not offers:
        near = find_near(atom.name, universe.names)
        return ", which no repository has" + (f" (near: {near})" if near else "")
    fitting = [offer for offer, version in offers if offer.meets(atom, version)]
    if not fitting:
        return f", there is {', '.join(sorted(str(offer) for offer, _ in offers)[:5])}"
    clashes = sorted(f"{offer} needs {offer.contradiction}" for offer in fitting if offer.contradiction)
    return f", but of itself {', '.join(clashes[:5])}" if len(clashes) == len(fitting) else ""


class _Chains:
    """The shortest chains of needs that lead from a world to packages, found when they are asked for."""

    def __init__(self, world: Sequence[Atom], universe: Universe) -> None:
        self._world = world
        self._universe = universe
        self._links: dict[Offer, tuple[str, Offer | None]] | None = None

    def to(self, offer: Offer | None) -> list[str]:
        """Return a line for each link that leads to a package; none where the request asks for it itself."""
        if offer is None:
            return []
        self._links = self._links if self._links is not None else self._find_links()
        lines: list[str] = []
        wanted: Offer | None = offer
        while wanted is not None and wanted in self._links:
            text, wanted = self._links[wanted]
            lines.insert(0, text)
        if len(lines) > _LONG_CHAIN:
            lines[3:-4] = [f"and so on, over {len(lines) - 7} packages"]
        return lines if len(lines) > 1 else []

    def _find_links(self) -> dict[Offer, tuple[str, Offer | None]]:
        """Return who asks for each package, and the line that says so."""
        links: dict[Offer, tuple[str, Offer | None]] = {}
        waiting: deque[tuple[Offer | None, Sequence[Atom]]] = deque([(None, self._world)])
        while waiting and len(links) < _LOOKED_AT:
            asker, atoms = waiting.popleft()
            for atom, offer in self._answers(atoms):
                if offer not in links:
                    answer = "" if atom.name == offer.name else f", which may be {offer}"
                    links[offer] = (f"{asker or 'the request'} needs {atom}{answer}", asker)
                    waiting.append((offer, offer.depends))
        return links

    def _answers(self, atoms: Iterable[Atom]) -> Iterator[tuple[Atom, Offer]]:
        for atom in atoms:
            for offer, version in self._universe.providers(atom.name) if not atom.conflict else ():
                if offer.meets(atom, version):
                    yield atom, offer


def check_known(atoms: Iterable[Atom], universe: Universe, where: str) -> None:
    """Report everything that no package alone satisfies, before searching.

    Raises:
        UnresolvableError: there is such a thing.
    """
    atoms = tuple(atoms)
    tags = {"", *(atom.tag for atom in atoms)}
    missing = [atom for atom in atoms if not atom.conflict and not _is_there(atom, universe, tags)]
    if missing:
        names = ", ".join(repr(str(atom)) for atom in missing)
        instead = {atom.name: _instead(atom, universe) for atom in missing}
        hint = render_instead(instead.values()) if universe else _NO_REPOSITORY
        error = UnresolvableError(f"no repository has {names}", where=where, hint=hint)
        error.wanted = tuple(map(str, missing))
        error.missing = tuple(instead)
        error.instead = instead if universe else {}
        raise error


def render_instead(texts: Iterable[str]) -> str:
    """Return the hint that what is said instead of several names makes together."""
    texts = list(texts)
    return "; ".join([*texts, *([_ELSEWHERE] if texts and texts[-1].endswith(_NOTHING_NEAR) else [])])


def _is_there(atom: Atom, universe: Universe, tags: AbstractSet[str]) -> bool:
    answers = universe.providers(atom.name)
    return any(offer.tag in tags and offer.meets(atom, version) for offer, version in answers)


def _instead(atom: Atom, universe: Universe) -> str:
    """Return what there is instead of something that is not there."""
    offers = [offer for offer, _ in universe.providers(atom.name)]
    tags = sorted({offer.tag for offer, version in universe.providers(atom.name) if offer.meets(atom, version)})
    if tags:
        return f"{atom.name}: only @{tags[0]} has it, so ask for {atom.name}{atom.operator}{atom.version}@{tags[0]}"
    if offers:
        return f"{atom.name}: there is {', '.join(sorted(map(str, offers))[:5])}"
    near = find_near(atom.name, universe.names)
    return f"{atom.name}: did you mean {near!r}?" if near else f"{atom.name}: {_NOTHING_NEAR}"


def explain_unasked(unasked: Mapping[str, str], universe: Universe, where: str) -> UnresolvableError:
    """Return the error for names that somebody has to choose a package for."""
    lines = []
    for name, asker in sorted(unasked.items()):
        offers = ", ".join(sorted({offer.name for offer, _ in universe.providers(name)}))
        lines.append(f"{asker} needs {name}, which {offers} may provide")
    hint = "ask for one of these packages by its name; melpy chooses none that gives itself no priority"
    return UnresolvableError("some packages are to be chosen by you", where=where, details=lines, hint=hint)
