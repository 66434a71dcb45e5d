"""What a recipe asks for, and what it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.atom import parse_atom, parse_provide
from melpy.errors import PackageFormatError
from melpy.graph.model import Ask, Needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from melpy.plan.model import Evaluation, Plan


def find_needs(plan: Plan | Evaluation) -> Needs:
    """Return what a recipe asks for, and what it makes."""
    name = plan.packages[0].name
    makes = [name for package in plan.packages for name in (package.name, *_provided(package.provides))]
    asks = list(_asks(plan.environment.packages))
    asks += [ask for package in plan.packages for ask in _asks(package.runtime, package.name)]
    return Needs(name, tuple(dict.fromkeys(makes)), tuple(asks))


def _provided(provides: Iterable[str]) -> list[str]:
    return [parse_provide(text)[0] for text in provides]


def _asks(texts: Iterable[str], package: str = "") -> Iterator[Ask]:
    """Yield what constraints ask for; one that is malformed is reported where the environment is solved."""
    for text in texts:
        try:
            atom = parse_atom(text)
        except PackageFormatError:
            continue
        if not atom.conflict:
            yield Ask(atom.name, str(atom), package)
