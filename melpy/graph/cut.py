"""Cycles are cut at a small set of builds whose packages come from outside until they are built.

A set of builds that all circles pass through is a feedback vertex set; a smallest one takes too long to find. Builds
are taken one after the other: the one whose packages a random walk from need to need is at most often (Lemaic,
"Markov-chain-based heuristics for the feedback vertex set problem for digraphs", 2008). Then those are left out again
that the others make needless, so that no member can be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.graph.network import find_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import networkx as nx

    from melpy.graph.network import Network

_STEPS = 12  # of the walk; of Wolfi's largest cycle 8 lead to a cut of 35, 12 and 30 to one of 34


class InfeasibleError(Exception):
    """A cycle cannot be cut.

    Attributes:
        group: nodes that need one another whatever is taken from outside.
        missing: of recipes, the names that others ask of it and that outside lacks.
    """

    def __init__(self, group: frozenset[int], missing: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.group = group
        self.missing = missing


class Cutter:
    """Cuts the cycles of a network.

    Args:
        network: the builds and packages.
        offered: tells whether outside offers a name, for a build.
        pinned: builds that are taken where they are in a cycle, whatever else would do.
    """

    def __init__(self, network: Network, offered: Callable[[str, int], bool], pinned: Collection[int]) -> None:
        self._network = network
        self._offered = offered
        self._pinned = pinned
        self._taken: set[str] = set()  # recipes: the same ones are taken for each architecture where that will do

    def find_cut(self, group: frozenset[int]) -> tuple[int, ...]:
        """Return the builds that a cycle is cut at.

        Args:
            group: nodes that need one another.

        Raises:
            InfeasibleError: no set of builds whose packages outside offers will do.
        """
        network = self._network
        missing = self.find_missing(group)
        members = network.find_members(group)
        pinned = [build for build in members if build in self._pinned]
        if bad := [build for build in pinned if missing[build]]:
            raise self._refuse(bad, missing, group)
        able = [build for build in members if not missing[build]]
        # If all that can be taken will not do, nothing does.
        whole = network.find_graph(group)
        rest = find_groups(self._take_out(whole.copy(), able), network.size)
        if rest:
            stuck = network.find_members(rest[0])
            raise self._refuse([build for build in stuck if missing[build]], missing, rest[0])
        cut = self._choose(whole, pinned, frozenset(able))
        self._taken.update(network.builds[build].recipe for build in cut)
        return tuple(sorted(cut))

    def find_missing(self, group: frozenset[int]) -> dict[int, tuple[str, ...]]:
        """Return, of each build of a cycle, the names that others of the cycle ask of it and that outside lacks."""
        network = self._network
        asked: dict[int, dict[str, None]] = {build: {} for build in network.find_members(group)}
        for node in sorted(group):
            for ask, answer in network.answers[node]:
                maker = network.makers[answer - network.size] if answer is not None and answer in group else None
                if maker in asked:
                    asked[maker][ask.name] = None
        return {
            build: tuple(name for name in names if not self._offered(name, build)) for build, names in asked.items()
        }

    def _choose(self, whole: nx.DiGraph[int], pinned: Sequence[int], able: frozenset[int]) -> list[int]:
        network, graph = self._network, whole.copy()
        known = [build for build in sorted(able) if network.builds[build].recipe in self._taken]
        cut = [*pinned, *(build for build in known if build not in pinned)]
        self._take_out(graph, cut)  # one graph for all trials, since to copy it takes most of the time
        while groups := find_groups(graph, network.size):
            found = [self._find_busiest(graph, group, able) for group in groups]
            self._take_out(graph, found)
            cut += found
        for build in [build for build in reversed(cut) if build not in pinned]:
            self._put_back(graph, build, whole)
            if find_groups(graph, network.size):
                self._take_out(graph, [build])
            else:
                cut.remove(build)
        return cut

    def _take_out(self, graph: nx.DiGraph[int], cut: Iterable[int]) -> nx.DiGraph[int]:
        """Take the packages of builds out of a graph, and return it."""
        graph.remove_nodes_from([package for build in cut for package in self._network.packages[build]])
        return graph

    def _put_back(self, graph: nx.DiGraph[int], build: int, whole: nx.DiGraph[int]) -> None:
        packages = [package for package in self._network.packages[build] if package in whole]
        graph.add_nodes_from(packages)
        for package in packages:
            graph.add_edges_from((package, needed) for needed in whole.successors(package) if needed in graph)
            graph.add_edges_from((other, package) for other in whole.predecessors(package) if other in graph)

    def _find_busiest(self, graph: nx.DiGraph[int], group: frozenset[int], able: frozenset[int]) -> int:
        """Return the build whose packages a walk from need to need in a group is at most often."""
        size, makers = self._network.size, self._network.makers
        needs = {node: [needed for needed in graph.successors(node) if needed in group] for node in sorted(group)}
        here = dict.fromkeys(needs, 1.0)
        for _ in range(_STEPS):
            there = dict.fromkeys(needs, 0.0)
            for node, often in here.items():
                share = often / len(needs[node])
                for needed in needs[node]:
                    there[needed] += share
            here = there
        visits: dict[int, float] = {}
        for node, often in here.items():
            if node >= size and (maker := makers[node - size]) in able:
                visits[maker] = visits.get(maker, 0.0) + often
        return max(sorted(visits), key=lambda build: round(visits[build], 9))

    def _refuse(
        self, builds: Sequence[int], missing: dict[int, tuple[str, ...]], group: frozenset[int]
    ) -> InfeasibleError:
        return InfeasibleError(group, {self._network.builds[build].recipe: missing[build] for build in builds})
