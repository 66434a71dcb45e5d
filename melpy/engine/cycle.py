"""Cycles of recipes, explained: the file and the line of each need that closes the circle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import point_at
from melpy.graph.chain import refuse_cycle
from melpy.plan.position import find_needs, find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from melpy.errors import CycleError
    from melpy.graph.model import Ask, Edge, Summary
    from melpy.plan.model import Evaluation
    from melpy.plan.position import Position

    Evaluate = Callable[[Summary], Evaluation | None]


def explain_cycle(
    edges: Sequence[Edge], missing: Mapping[str, tuple[str, ...]], summaries: Sequence[Summary], evaluate: Evaluate
) -> CycleError:
    """Return the error for recipes that need one another, with the position of each need; it points at the first.

    Args:
        edges: the needs that close the circle.
        missing: of recipes, the names that nothing outside offers; see `refuse_cycle`.
        summaries: the recipes.
        evaluate: returns the recipe of a summary; None where it is not known.
    """
    arch = edges[0].dependent.arch
    makers = {package.name: one for one in summaries if one.arch == arch for package in one.packages}
    known: dict[str, Evaluation | None] = {}

    def find(ask: Ask, dependent: str) -> Position | None:
        maker = makers[ask.package or dependent]
        if maker.name not in known:
            known[maker.name] = evaluate(maker)
        found = known[maker.name]
        if found is None:
            return None
        chain = find_runtime(found, ask.package, ask.text) if ask.package else find_needs(found, ask.text)
        return chain[0 if not ask.package and ask is edges[0].asks[0] else -1] if chain else None

    places = [[find(ask, edge.dependent.recipe) for ask in edge.asks] for edge in edges]
    texts = [
        "; ".join(f"{ask.reason}{f', {at.place}' if at else ''}" for ask, at in zip(edge.asks, found, strict=True))
        for edge, found in zip(edges, places, strict=True)
    ]
    error = refuse_cycle(edges, missing, texts)
    first = places[0][0]
    if first:
        point_at(error, first.place)
    return error
