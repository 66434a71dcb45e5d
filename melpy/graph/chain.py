"""Chains of needs, for people: why a build needs another, and how a circle closes."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING

from melpy.errors import CycleError
from melpy.graph.model import Ask, Edge
from melpy.graph.network import list_bits
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from melpy.graph.network import Network

    Needs = Mapping[int, int] | Sequence[int]  # of each build those that it needs, as bits


_SHOWN = 8  # recipes that an error names beside those of the circle


def find_circle(builds: Collection[int], needs: Needs, network: Network) -> list[int]:
    """Return a shortest circle among builds that need one another, of direct needs where one is as short."""
    inside = sum(1 << build for build in builds)
    every = {build: needs[build] & inside for build in builds}
    direct = {build: find_direct(build, network) & inside for build in builds}
    best: list[int] = []
    for build in sorted(builds):
        best = find_way(build, build, every, most=len(best) - 1 if best else 0) or best
    for build in sorted(builds):
        if way := find_way(build, build, direct, most=len(best)):
            return way
    return best


def find_direct(build: int, network: Network) -> int:
    """Return the builds of the packages that a build's environment names, as bits."""
    bits = 0
    for package in network.needs[build]:
        bits |= 1 << network.makers[package - network.size]
    return bits & ~(1 << build)  # a build may need itself


def find_way(start: int, end: int, needs: Needs, most: int = 0) -> list[int]:
    """Return a shortest way from need to need; nothing where there is none.

    Args:
        start: the first build.
        end: the last build; where it is the first, the way is a circle.
        needs: the builds that each needs.
        most: how many builds it may have, both ends counted; 0 for any number.
    """
    levels = [1 << start]
    seen = 0
    while levels[-1] and not (most and len(levels) >= most):
        found = 0
        for build in list_bits(levels[-1]):
            found |= needs[build]
        if found >> end & 1:
            break
        levels.append(found & ~seen)
        seen |= found
    else:
        return []
    way = [end]
    for level in reversed(levels):
        way.append(next(build for build in list_bits(level) if needs[build] >> way[-1] & 1))
    return way[::-1]


def explain_way(way: Sequence[int], network: Network) -> tuple[Edge, ...]:
    """Return the edges of a way from need to need, each with the shortest chain of constraints."""
    edges = []
    for dependent, dependency in pairwise(way):
        wanted = frozenset(network.packages[dependency])
        ways = find_constraints(dependent, network, wanted)
        path = min((len(ways[node]), ways[node]) for node in wanted if node in ways)[1]
        edges.append(Edge(network.builds[dependent], network.builds[dependency], path))
    return tuple(edges)


def find_constraints(
    build: int, network: Network, until: Collection[int] = (), *, installed: bool = False
) -> dict[int, tuple[Ask, ...]]:
    """Return the packages of a build's environment, each with the shortest chain of constraints that leads to it.

    Args:
        build: the build.
        network: the builds and packages.
        until: packages at the first of which the search ends.
        installed: leave out what only comes before since `noarch` packages were built with it.
    """
    ways: dict[int, tuple[Ask, ...]] = {}
    todo: deque[tuple[int, tuple[Ask, ...]]] = deque([(build, ())])
    while todo:
        node, way = todo.popleft()
        for ask, answer in network.answers[node]:
            if answer is not None and answer not in ways and not (installed and ask.origin):
                ways[answer] = (*way, ask)
                if answer in until:
                    return ways
                todo.append((answer, ways[answer]))
    return ways


def follow_constraints(build: int, path: Sequence[Ask], network: Network) -> tuple[Edge, ...]:
    """Return a chain of constraints as edges, each from the maker of what asks to that of what answers."""
    node, edges = build, []
    for ask in path:
        answer = dict(network.answers[node])[ask]
        assert answer is not None
        maker = node if node < network.size else network.makers[node - network.size]
        edges.append(Edge(network.builds[maker], network.builds[network.makers[answer - network.size]], (ask,)))
        node = answer
    return tuple(edge for edge in edges if edge.dependent != edge.dependency)


def refuse_cycle(
    edges: Sequence[Edge], missing: Mapping[str, tuple[str, ...]], places: Sequence[str] = ()
) -> CycleError:
    """Return the error for recipes that need one another while nothing outside offers what would do.

    Args:
        edges: the needs that close the circle.
        missing: of recipes, the names that others ask of it and that outside lacks.
        places: where the constraints of each edge stand; empty where that is not known.
    """
    chain = [edges[0].dependent.recipe, *(edge.dependency.recipe for edge in edges)]
    shown = places or [edge.reason for edge in edges]
    others = [recipe for recipe in missing if recipe not in chain]
    error = CycleError(
        f"these recipes need one another: {' -> '.join(chain)}",
        details=[
            *(
                f"  {edge.dependent.recipe} needs {edge.dependency.recipe}: {text}"
                for edge, text in zip(edges, shown, strict=True)
            ),
            *(
                f"  no repository offers {', '.join(names)}, which {recipe} makes"
                for recipe, names in missing.items()
                if recipe in chain
            ),
            *([f"  nor all that others of the cycle make: {shorten_list(others, _SHOWN)}"] if others else []),
        ],
        hint="name a repository with -r that has the packages of one of them, or take one of these dependencies away",
    )
    error.edges = tuple(edges)
    error.missing = dict(missing)
    return error
