"""Cycles of recipes, explained: the file and the line of each need that closes the circle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import point_at
from melpy.graph.chain import refuse_cycle
from melpy.plan.position import find_needs, find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from melpy.errors import CycleError, Place
    from melpy.graph.model import Ask, BuildId, Edge, Summary
    from melpy.plan.model import Evaluation

    Evaluate = Callable[[Summary], Evaluation | None]


def explain_cycle(
    edges: Sequence[Edge], missing: Mapping[str, tuple[str, ...]], summaries: Iterable[Summary], evaluate: Evaluate
) -> CycleError:
    """Return the error for recipes that need one another, with the position of each need; it points at the first.

    Args:
        edges: the needs that close the circle.
        missing: of recipes, the names that nothing outside offers; see `refuse_cycle`.
        summaries: the recipes.
        evaluate: returns the recipe of a summary; None where it is not known.
    """
    found = locate_edges(edges, summaries, evaluate)
    error = refuse_cycle(edges, missing, [text for text, _ in found])
    first = found[0][1]
    if first:
        point_at(error, first)
    return error


def locate_edges(
    edges: Sequence[Edge], summaries: Iterable[Summary], evaluate: Evaluate
) -> list[tuple[str, Place | None]]:
    """Return the constraints of each edge with their positions, and the position of the first.

    Args:
        edges: edges of a graph.
        summaries: its recipes.
        evaluate: returns the recipe of a summary; None where it is not known.
    """
    builds = {one.id: one for one in summaries}
    makers = {made: one for one in builds.values() for made in one.list_made()}
    known: dict[Summary, Evaluation | None] = {}

    def find(ask: Ask, dependent: BuildId) -> Place | None:
        asker = builds[dependent]
        maker = makers[ask.package or ask.origin, asker.environment_arch] if ask.package or ask.origin else asker
        if maker not in known:
            known[maker] = evaluate(maker)
        found = known[maker]
        if found is None:
            return None
        chain = find_runtime(found, ask.package, ask.text) if ask.package else find_needs(found, ask.text)
        return chain[-1].place if chain else None  # of a pipeline's needs, where the pipeline states them

    located = []
    for edge in edges:
        places = [find(ask, edge.dependent) for ask in edge.asks]
        texts = [f"{ask.reason}{f', {at}' if at else ''}" for ask, at in zip(edge.asks, places, strict=True)]
        located.append(("; ".join(texts), places[0]))
    return located
