"""The graph of builds and packages, before cycles are cut.

Nodes are numbers: the builds first, then the packages. An edge goes from a node to one that it needs: from a build to
the packages that answer the constraints of its environment, from a package to those that answer its runtime
dependencies, and to the build that makes it. So a build reaches the runtime closure of what its environment installs,
and a circle of runtime dependencies alone holds no two builds.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from melpy.graph.naming import Naming, list_asks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    import networkx as nx

    from melpy.graph.model import BuildId, Generated, Summary


class Network:
    """The builds and packages of a tree of recipes, and what each needs.

    Attributes:
        builds: the builds, by architecture in the order of the summaries, then by name.
        size: how many builds there are; numbers from here on are packages.
        arches: of each node, the architecture of its environment, or in whose environments the package is.
        makers: of each package, by its number less the count of builds, the number of the build that makes it.
        packages: of each build, the numbers of its packages.
        answers: of each node, the constraints of its environment or its runtime dependencies, each with the package
            that answers it; None where no recipe makes one.
        needs: of each node, the nodes that it needs; of a package, the last is the build that makes it.
    """

    def __init__(self, summaries: Sequence[Summary], generated: Generated) -> None:
        ranks = {arch: rank for rank, arch in enumerate(dict.fromkeys(summary.arch for summary in summaries))}
        ordered = sorted(summaries, key=lambda summary: (ranks[summary.arch], summary.name))
        self.builds: tuple[BuildId, ...] = tuple(summary.id for summary in ordered)
        self.size = len(ordered)
        naming = Naming(ordered, generated)
        worlds = {summary.world: tuple(list_asks(summary.world)) for summary in ordered}  # mostly as for other arches
        asks = [worlds[summary.world] for summary in ordered] + [node.asks for node in naming.nodes.values()]
        numbers = {build: number for number, build in enumerate(self.builds)}
        packages = {key: number for number, key in enumerate(naming.nodes, len(ordered))}
        self.makers = [numbers[node.build] for node in naming.nodes.values()]
        self.packages: list[list[int]] = [[] for _ in ordered]
        for number, maker in enumerate(self.makers, len(ordered)):
            self.packages[maker].append(number)
        self.arches = [summary.environment_arch for summary in ordered] + [key.arch for key in naming.nodes]
        self.answers = [
            tuple(
                [
                    (ask, packages[found] if found else None)
                    for ask, found in zip(own, naming.find_all(own, arch), strict=True)
                ]
            )
            for own, arch in zip(asks, self.arches, strict=True)
        ]
        self.needs = [self._list_needs(number) for number in range(len(self.answers))]

    def _list_needs(self, node: int) -> tuple[int, ...]:
        found = dict.fromkeys(answer for _, answer in self.answers[node] if answer is not None)
        found.pop(node, None)  # a package that needs a name of its own
        return (*found, self.makers[node - self.size]) if node >= self.size else tuple(found)

    @cached_property
    def groups(self) -> tuple[frozenset[int], ...]:
        """The nodes of each group in which two or more builds need one another, by the first build."""
        return tuple(sorted(self.find_groups(range(len(self.needs))), key=min))

    def find_groups(self, nodes: Collection[int]) -> list[frozenset[int]]:
        """Return the groups of some nodes in which two or more builds need one another by these nodes alone."""
        core = _peel(set(nodes), self.needs)
        if not core:
            return []
        import networkx as nx  # noqa: PLC0415  # 90 ms that trees without circles do without

        return [
            frozenset(component)
            for component in nx.strongly_connected_components(_make_graph(core, self.needs))
            if len(component) > 2 and sum(node < self.size for node in component) > 1
        ]

    def find_members(self, group: Iterable[int]) -> list[int]:
        """Return the builds of a group of nodes that need one another.

        Packages of others may lie on its circles, as that of `build-base`, which has dependencies alone. Such a build
        is no member: it can be made first, and others of its packages may be in the environments of members.
        """
        return sorted(node for node in group if node < self.size)

    def find_reach(
        self, packages: Iterable[int], known: Mapping[int, int], left_out: Collection[int]
    ) -> dict[int, int]:
        """Return the builds of the runtime closure of packages, as numbers whose bits are the builds.

        Args:
            packages: the packages.
            known: the closures of other packages.
            left_out: packages that come from elsewhere, with their whole closure.
        """
        wanted = set(packages).difference(left_out)
        reach: dict[int, int] = {}
        for component in find_components(wanted, self.needs):
            bits = 0
            for node in component:
                bits |= 1 << self.makers[node - self.size]
                for needed in self.needs[node]:
                    if needed >= self.size and needed not in component and needed not in left_out:
                        bits |= reach[needed] if needed in wanted else known[needed]
            reach.update(dict.fromkeys(component, bits))
        return reach


def find_components(nodes: Collection[int], needs: Sequence[Sequence[int]]) -> Iterator[Collection[int]]:
    """Yield the strongly connected components of some nodes, each after those that it needs.

    Nodes that come before all circles are yielded one by one; networkx, whose graph of all 29,000 nodes of Wolfi takes
    0.35 s and 40 MB, gets the others.

    Args:
        nodes: the nodes.
        needs: of each node, the nodes that it needs; those that are not among the nodes are passed over.
    """
    left = set(nodes)
    for node in _order_free(left, needs):
        left.discard(node)
        yield (node,)
    if not left:
        return
    import networkx as nx  # noqa: PLC0415  # likewise

    condensed = nx.condensation(_make_graph(left, needs))
    for number in reversed(list(nx.topological_sort(condensed))):
        yield condensed.nodes[number]["members"]


def _make_graph(nodes: AbstractSet[int], needs: Sequence[Sequence[int]]) -> nx.DiGraph[int]:
    import networkx as nx  # noqa: PLC0415  # likewise

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(sorted(nodes))
    graph.add_edges_from((node, needed) for node in sorted(nodes) for needed in needs[node] if needed in nodes)
    return graph


def _order_free(nodes: AbstractSet[int], needs: Sequence[Sequence[int]]) -> Iterator[int]:
    """Yield the nodes that lead to no circle, each after those that it needs."""
    waiting: dict[int, int] = {}
    dependents: dict[int, list[int]] = {}
    for node in nodes:
        inside = [needed for needed in needs[node] if needed in nodes]
        waiting[node] = len(inside)
        for needed in inside:
            dependents.setdefault(needed, []).append(node)
    ready = [node for node, count in waiting.items() if not count]
    for node in ready:  # which grows
        yield node
        for dependent in dependents.get(node, ()):
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)


def _peel(nodes: set[int], needs: Sequence[Sequence[int]]) -> set[int]:
    """Return the nodes that lead to a circle and that a circle leads to: those on circles, and between two."""
    left = nodes.difference(list(_order_free(nodes, needs)))
    count = dict.fromkeys(left, 0)
    for node in left:
        for needed in needs[node]:
            if needed in count:
                count[needed] += 1
    free = [node for node, dependents in count.items() if not dependents]
    for node in free:  # which grows
        left.discard(node)
        for needed in needs[node]:
            if needed in left:
                count[needed] -= 1
                if not count[needed]:
                    free.append(needed)
    return left


def list_bits(bits: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, least first."""
    text = f"{bits:b}"[::-1]
    place = text.find("1")
    while place >= 0:
        yield place
        place = text.find("1", place + 1)
