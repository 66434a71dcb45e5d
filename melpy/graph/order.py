"""The order in which recipes are built, from what they ask of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx

from melpy.apk.atom import parse_atom, parse_provide
from melpy.errors import CycleError, PackageFormatError, RecipeError
from melpy.graph.model import Edge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.plan.model import Plan


def build_graph(plans: Sequence[Plan]) -> nx.DiGraph[str]:
    """Return the graph of recipes; an edge goes from what is built first to what needs it and carries an `Edge`.

    A recipe needs another when its environment (needs of steps included) or a runtime dependency of one of its
    packages names a package, subpackage or provide of it.

    Raises:
        RecipeError: two recipes make the same package.
    """
    providers = _providers(plans)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(plan.name for plan in plans)
    for plan in plans:
        for reason, name in _asks(plan):
            for provider in providers.get(name, ()):
                if provider != plan.name and not graph.has_edge(provider, plan.name):
                    graph.add_edge(provider, plan.name, edge=Edge(plan.name, provider, reason))
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
        raise _cycle_error(graph) from None


def _cycle_error(graph: nx.DiGraph[str]) -> CycleError:
    pairs = nx.find_cycle(graph)
    edges = [graph.edges[pair[0], pair[1]]["edge"] for pair in reversed(pairs)]
    names = [edges[0].dependent, *(edge.dependency for edge in edges)]
    return CycleError(
        f"these recipes need one another: {' -> '.join(names)}",
        details=[f"  {edge.dependent} needs {edge.dependency}: {edge.reason}" for edge in edges],
        hint="build one of them against a package from a repository, or take one of these dependencies away",
    )


def _providers(plans: Iterable[Plan]) -> dict[str, list[str]]:
    """Return the recipes that have or provide each name."""
    owners: dict[str, Plan] = {}
    providers: dict[str, list[str]] = {}
    for plan in plans:
        for package in plan.packages:
            other = owners.setdefault(package.name, plan)
            if other is not plan:
                raise RecipeError(
                    f"package {package.name!r} is made by two recipes",
                    where=plan.recipe,
                    hint=f"the other is {other.recipe}; a package can have one recipe only",
                )
            for name in (package.name, *(parse_provide(text)[0] for text in package.provides)):
                providers.setdefault(name, [])
                if plan.name not in providers[name]:
                    providers[name].append(plan.name)
    return providers


def _asks(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield each name that a recipe asks for, with the reason."""
    for text in plan.environment.packages:
        yield from _ask("environment", text)
    for package in plan.packages:
        for text in package.runtime:
            yield from _ask(f"runtime of {package.name}", text)


def _ask(reason: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        atom = parse_atom(text)
    except PackageFormatError:
        return  # it is reported where the environment is solved
    if not atom.conflict:
        yield f"{reason} {atom}", atom.name
