"""Why a package is part of a solution: the chain from what was asked for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from melpy.solve.model import Offer, Solution


class Reason(Noun, frozen=True):
    """One link of the chain.

    Attributes:
        asker: who asks, a package or `the request`.
        constraint: what it asks for.
        package: the package that answers, as `name-version`.
    """

    asker: str
    constraint: str
    package: str

    def __str__(self) -> str:
        name = self.package.rpartition("-r")[0].rpartition("-")[0]
        answer = "" if self.constraint == name else f", which is {self.package}"
        return f"{self.asker} needs {self.constraint}{answer}"


def explain_package(name: str, world: Sequence[str], solution: Solution) -> tuple[Reason, ...]:
    """Return a shortest chain of needs from a world to a package of its solution; empty when it is no part of it.

    Args:
        name: the package.
        world: what was asked for.
        solution: the packages that answer it.
    """
    chains: dict[str, tuple[Reason, ...]] = {}
    waiting: deque[tuple[str, tuple[Reason, ...], Sequence[str]]] = deque([("the request", (), world)])
    while waiting:
        asker, chain, texts = waiting.popleft()
        for text, offer in _answers(texts, solution):
            if offer.name not in chains:
                reason = Reason(asker, text, str(offer))
                chains[offer.name] = (*chain, reason)
                waiting.append((str(offer), chains[offer.name], offer.entry.info.depends))
        if not waiting:
            waiting.extend(_triggered(solution, chains))
    return chains.get(name, ())


def _answers(texts: Sequence[str], solution: Solution) -> Iterator[tuple[str, Offer]]:
    for text in texts:
        atom = parse_dependency(text)
        for offer in solution.offers if not atom.conflict else ():
            if offer.satisfies(atom):
                yield text, offer


def _triggered(
    solution: Solution, chains: dict[str, tuple[Reason, ...]]
) -> Iterator[tuple[str, tuple[Reason, ...], Sequence[str]]]:
    """Yield what comes by its `install_if`, once all else is explained."""
    for offer in solution.offers:
        if offer.name not in chains and offer.entry.info.install_if:
            conditions = " ".join(offer.entry.info.install_if)
            chains[offer.name] = (Reason(f"the presence of {conditions}", offer.name, str(offer)),)
            yield str(offer), chains[offer.name], offer.entry.info.depends
