"""Recipes that need one another: the circle is named with the line of each need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import point_at
from melpy.graph.order import cycle_error
from melpy.plan.position import find_needs, find_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.errors import CycleError
    from melpy.graph.model import Edge
    from melpy.plan.model import Evaluation
    from melpy.plan.position import Position


def explain_cycle(edges: Sequence[Edge], recipes: Mapping[str, Evaluation]) -> CycleError:
    """Return the error for recipes that need one another, which points at the first need.

    Args:
        edges: the needs that close the circle.
        recipes: the recipes, by the name of their main package.
    """
    chains = [_find(edge, recipes.get(edge.dependent)) for edge in edges]
    error = cycle_error(edges, [str(chain[-1].place) if chain else "" for chain in chains])
    if chains[0]:
        point_at(error, chains[0][0].place)
    return error


def _find(edge: Edge, found: Evaluation | None) -> tuple[Position, ...]:
    if found is None:
        return ()
    if edge.ask.package:
        return find_runtime(found, edge.ask.package, edge.ask.text)
    return find_needs(found, edge.ask.text)
