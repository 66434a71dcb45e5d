"""The order in which recipes are built, from what they ask of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx

from melpy.errors import CycleError, RecipeError
from melpy.graph.model import Edge
from melpy.graph.needs import find_needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.graph.model import Needs
    from melpy.plan.model import Plan


def build_graph(plans: Sequence[Plan]) -> nx.DiGraph[str]:
    """Return the graph of recipes; an edge goes from what is built first to what needs it and carries an `Edge`.

    A recipe needs another when its environment (needs of steps included) or a runtime dependency of one of its
    packages names a package, subpackage or provide of it.

    Raises:
        RecipeError: two recipes make the same package.
    """
    _check_owners(plans)
    return connect([find_needs(plan) for plan in plans])


def connect(recipes: Sequence[Needs]) -> nx.DiGraph[str]:
    """Return the graph of recipes, from what each makes and asks for; see `build_graph`."""
    providers: dict[str, dict[str, None]] = {}
    for needs in recipes:
        for name in needs.makes:
            providers.setdefault(name, {})[needs.recipe] = None
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(needs.recipe for needs in recipes)
    for needs in recipes:
        for ask in needs.asks:
            if ask.package and ask.name in needs.makes:
                continue  # its own packages go together
            for provider in providers.get(ask.name, ()):
                if provider != needs.recipe and not graph.has_edge(provider, needs.recipe):
                    graph.add_edge(provider, needs.recipe, edge=Edge(needs.recipe, provider, ask))
    return graph


def order_plans(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """Return plans so that each comes after those it needs; otherwise by name.

    Raises:
        CycleError: some need one another; the message names the chain.
        RecipeError: two recipes make the same package.
    """
    graph = build_graph(plans)
    by_name = {plan.name: plan for plan in plans}
    try:
        return tuple(by_name[name] for name in nx.lexicographical_topological_sort(graph))
    except nx.NetworkXUnfeasible:
        raise cycle_error(find_cycles(graph)[0]) from None


def find_cycles(graph: nx.DiGraph[str]) -> list[tuple[Edge, ...]]:
    """Return a shortest circle of each group of recipes that need one another, as the needs that close it."""
    cycles = []
    for group in nx.strongly_connected_components(graph):
        if len(group) > 1:
            first = min(group)
            inside = graph.subgraph(group)
            ways = [nx.shortest_path(inside, after, first) for after in sorted(inside.successors(first))]
            way = [first, *min(ways, key=len)]
            # From what needs to what is needed, against the direction of the edges.
            chain = list(reversed(way))
            pairs = zip(chain[1:], chain, strict=False)
            cycles.append(tuple(graph.edges[before, after]["edge"] for before, after in pairs))
    return sorted(cycles, key=lambda edges: edges[0].dependent)


def cycle_error(edges: Sequence[Edge], places: Sequence[str] = ()) -> CycleError:
    """Return the error for recipes that need one another.

    Args:
        edges: the needs that close the circle.
        places: where each of them stands; empty where that is not known.
    """
    names = [edges[0].dependent, *(edge.dependency for edge in edges)]
    shown = places or [""] * len(edges)
    error = CycleError(
        f"these recipes need one another: {' -> '.join(names)}",
        details=[
            f"  {edge.dependent} needs {edge.dependency}: {edge.reason}{f', {place}' if place else ''}"
            for edge, place in zip(edges, shown, strict=True)
        ],
        hint="build one of them against a package from a repository, or take one of these dependencies away",
    )
    error.edges = tuple(edges)
    return error


def _check_owners(plans: Iterable[Plan]) -> None:
    owners: dict[str, Plan] = {}
    for plan in plans:
        for package in plan.packages:
            other = owners.setdefault(package.name, plan)
            if other is not plan:
                raise RecipeError(
                    f"package {package.name!r} is made by two recipes",
                    where=plan.recipe,
                    hint=f"the other is {other.recipe}; a package can have one recipe only",
                )
