"""Names become packages: which package of a tree of recipes an environment gets for a constraint.

Where several packages have or provide a name, it is the one that the resolver would choose: the highest version of the
name, then the highest provider priority. Among equals a package of that name comes before one that provides it, then
the first by name.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from melpy.apk.atom import Atom, parse_atom, parse_provide
from melpy.apk.provider import Provider, compare_providers
from melpy.errors import PackageFormatError, RecipeError
from melpy.graph.model import Ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.graph.model import BuildId, Generated, PackageSummary, Summary


class PackageId(NamedTuple):
    """Name of a package for one architecture within a graph."""

    name: str
    arch: str


class Node(NamedTuple):
    """A package of a graph.

    Attributes:
        build: the build that makes it.
        version: its full version.
        priority: its provider priority.
        provides: names that it provides, with versions.
        asks: constraints that it has on other packages, or that its build has on what comes before.
    """

    build: BuildId
    version: str
    priority: int
    provides: tuple[str, ...]
    asks: tuple[Ask, ...]


class Naming:
    """The packages that the recipes of a graph make, and which of them answers a constraint."""

    def __init__(self, summaries: Sequence[Summary], generated: Generated) -> None:
        self.nodes: dict[PackageId, Node] = {}
        self._answers: dict[PackageId, list[Provider]] = {}
        self._chosen: dict[tuple[str, str], PackageId | None] = {}
        self._asks: dict[tuple[tuple[str, ...], str], tuple[Ask, ...]] = {}  # mostly the same for all architectures
        for summary in summaries:
            for package in summary.packages:
                for arch in summary.arches:
                    self._add(summary, package, arch, generated)
        key = functools.cmp_to_key(compare_providers)
        for (name, _), found in self._answers.items():
            if len(found) > 1:
                # Least important first: sorting keeps the order of equals.
                found.sort(key=lambda one: (one.package != name, one.package))
                found.sort(key=key, reverse=True)

    def _add(self, summary: Summary, package: PackageSummary, arch: str, generated: Generated) -> None:
        identity = PackageId(package.name, arch)
        built = generated.get(identity)
        provides = (*package.provides, *(built.provides if built else ()))
        asks = (*package.runtime, *(built.runtime if built else ()))
        key = (asks, package.name)
        if key not in self._asks:
            self._asks[key] = tuple(list_asks(*key))
        own = self._asks[key]
        if arch != summary.environment_arch:
            # Scanning may find that it needs what it was built with, for any architecture: that is to come before.
            own = (*own, *list_asks(summary.world, origin=summary.name))
        self.nodes[identity] = Node(summary.id, summary.version, package.priority, provides, own)
        answers = {package.name: summary.version}
        for text in provides:
            name, version = parse_provide(text)
            answers.setdefault(name, version)
        for name, version in answers.items():
            found = self._answers.setdefault(PackageId(name, arch), [])
            found.append(Provider(package.name, summary.version, version, package.priority))

    def find_all(self, asks: Sequence[Ask], arch: str) -> list[PackageId | None]:
        """Return the packages that answer constraints; None where no recipe makes one.

        Constraints on one name have one answer, which meets all of them: `automake<1.17` and `automake`.
        """
        found = [self.find(ask, arch) for ask in asks]
        if len({ask.name for ask in asks}) == len(asks):
            return found
        atoms: dict[str, list[Atom]] = {}
        for ask in asks:
            atoms.setdefault(ask.name, []).append(parse_atom(ask.text))
        joint = {name: self._find(together, arch) for name, together in atoms.items() if len(together) > 1}
        return [joint.get(ask.name, one) for ask, one in zip(asks, found, strict=True)]

    def find(self, ask: Ask, arch: str) -> PackageId | None:
        """Return the package that answers a constraint; None where no recipe makes one."""
        key = (ask.text, arch)
        if key not in self._chosen:
            self._chosen[key] = self._find([parse_atom(ask.text)], arch)
        return self._chosen[key]

    def _find(self, atoms: Sequence[Atom], arch: str) -> PackageId | None:
        """Return the package that answers constraints on one name."""
        for one in self._answers.get(PackageId(atoms[0].name, arch), ()):
            if all(atom.is_met_by(one.answer) for atom in atoms):
                return PackageId(one.package, arch)
        return None


def list_asks(texts: Iterable[str], package: str = "", origin: str = "") -> Iterator[Ask]:
    """Yield what constraints ask for; a malformed one is reported where the environment is solved."""
    for text in texts:
        try:
            atom = parse_atom(text)
        except PackageFormatError:
            continue
        if not atom.conflict:
            yield Ask(atom.name, str(atom), package, origin)


def check_makers(summaries: Sequence[Summary]) -> None:
    """Check that each package of an architecture has one recipe.

    Raises:
        RecipeError: two recipes make the same package.
    """
    makers: dict[tuple[str, str], Summary] = {}
    for summary in summaries:
        for made in summary.list_made():
            other = makers.setdefault(made, summary)
            if other is not summary:
                raise RecipeError(
                    f"package {made[0]!r} is made by two recipes",
                    where=summary.file,
                    hint=f"the other is {other.file}; a package can have one recipe only",
                )
