"""Summaries of recipes become a graph of builds without cycles, and the order in which they can be made.

A build comes after the builds of all packages that its environment installs: of the packages that answer its
constraints, and of their runtime closure. Of packages of its own recipe, it gets those that are published or seeded.
Where builds need one another, some of them are taken from outside at first: see `melpy.graph.cut`. What such a package
needs when it is installed comes with it, from outside too, unless it is built before.
"""

from __future__ import annotations

import heapq
from collections import deque
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from melpy.errors import CycleError
from melpy.graph.cut import Cutter, InfeasibleError
from melpy.graph.model import Ask, BuildId, Cycle, Edge
from melpy.graph.naming import check_makers
from melpy.graph.network import Network, list_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from melpy.graph.model import Generated, Summary


class BuildGraph:
    """Builds, what each needs, and how cycles of them are cut. It never changes.

    Attributes:
        summaries: the summaries, by build.
        order: the builds, each after those that it needs; else by architecture and name.
        cycles: the cycles, and where they are cut.
    """

    def __init__(
        self, summaries: Sequence[Summary], network: Network, offered: Callable[[str, int], bool], cutter: Cutter
    ) -> None:
        self.summaries: Mapping[BuildId, Summary] = {summary.id: summary for summary in summaries}
        self._network = network
        self._offered = offered
        self._numbers = {build: number for number, build in enumerate(network.builds)}
        self._reach = network.find_reach(range(network.size, len(network.needs)), {}, ())
        # Before cycles are cut, and after.
        self._wanted = [self._join(build, self._reach) & ~(1 << build) for build in range(network.size)]
        self._needs = list(self._wanted)
        cuts = [self._cut(group, cutter) for group in network.groups]
        self._order = self._sort()
        self.order: tuple[BuildId, ...] = self._name(self._order)
        self.cycles: tuple[Cycle, ...] = tuple(self._describe(members, cut) for members, cut in cuts)
        self._check_returns()

    def needs(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the builds that come before a build since its environment has their packages."""
        return self._name(list_bits(self._needs[self._numbers[build]]))

    def wants(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the builds that a build would come after if no cycle were cut: `needs`, and those from outside."""
        return self._name(list_bits(self._wanted[self._numbers[build]]))

    def ancestors(self, build: BuildId) -> frozenset[BuildId]:
        """Return all builds that come before a build by what it needs: it may see their packages, and no others."""
        return frozenset(self._name(list_bits(self._ancestors[self._numbers[build]])))

    def settled(self, build: BuildId) -> frozenset[BuildId]:
        """Return the builds whose packages a build may see once its cycle is built: all that it needs by any way."""
        seen = todo = self._wanted[self._numbers[build]]
        while todo:
            found = 0
            for number in list_bits(todo):
                found |= self._wanted[number]
            todo = found & ~seen
            seen |= found
        return frozenset(self._name(list_bits(seen & ~(1 << self._numbers[build]))))

    def dependents(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the builds that directly need a build, in the order of builds."""
        return self._name(self._dependents[self._numbers[build]])

    def find_cycle(self, build: BuildId) -> Cycle | None:
        """Return the cycle that a build is in."""
        return self._cycles.get(build)

    def reasons(self, dependent: BuildId, dependency: BuildId) -> tuple[Edge, ...]:
        """Return why a build needs another, one edge for each package of the other that it comes upon."""
        network = self._network
        start, end = self._numbers[dependent], self._numbers[dependency]
        ways = self._walk(start, frozenset())
        found = [(len(path), path) for node, path in ways.items() if network.makers[node - network.size] == end]
        return tuple(Edge(dependent, dependency, path) for _, path in sorted(found))

    def find_chain(self, dependent: BuildId, dependency: BuildId) -> tuple[Edge, ...]:
        """Return a shortest chain of needs from a build to one that it needs; nothing where there is no chain."""
        chain = self._find_way(self._numbers[dependent], self._numbers[dependency], self._wanted)
        return self._explain(chain)

    def find_returns(self) -> tuple[tuple[Edge, ...], ...]:
        """Return the chains by which builds need themselves through packages of others, but for members of cycles.

        A build needs itself in such a way where a package of its environment needs one of its own when it is installed.
        """
        found = []
        for number, build in enumerate(self._network.builds):
            own = self._network.packages[number]
            if build not in self._cycles and self._join(number, self._reach, own) >> number & 1:
                ways = self._walk(number, ())
                path = min((len(ways[node]), ways[node]) for node in own if node in ways)[1]
                if len(path) > 1:
                    found.append(self._follow(number, path))
        return tuple(found)

    def from_outside(self, build: BuildId) -> tuple[str, ...]:
        """Return the names in a build's environment that no build before it makes, so that they come from outside.

        These are the names that no recipe makes, those of its own recipe, those of builds that its cycle is cut at,
        and what these need when they are installed.
        """
        number, network = self._numbers[build], self._network
        seen = self._ancestors[number]
        names: dict[str, None] = {}
        for node in (number, *self._walk(number, frozenset())):
            for ask in network.asks(node):
                answer = network.find_answer(node, ask)
                if answer is None or not seen >> network.makers[answer - network.size] & 1:
                    names[ask.name] = None
        return tuple(sorted(names))

    def lacking(self, build: BuildId) -> tuple[str, ...]:
        """Return the constraints of a build's environment that no build before it and nothing outside answers."""
        number, network = self._numbers[build], self._network
        seen = self._ancestors[number]
        found = []
        for ask in network.asks(number):
            answer = network.find_answer(number, ask)
            is_seen = answer is not None and seen >> network.makers[answer - network.size] & 1
            if not is_seen and not self._offered(ask.name, number):
                found.append(ask.text)
        return tuple(found)

    def _check_returns(self) -> None:
        """Check that a package of a build's own that comes with others can be had before it is built.

        Raises:
            CycleError: nothing outside offers it.
        """
        for chain in self.find_returns():
            build, name = chain[0].dependent, chain[-1].asks[-1].name
            if not self._offered(name, self._numbers[build]):
                raise refuse_cycle(chain, {build.recipe: (name,)})

    def _follow(self, build: int, path: Sequence[Ask]) -> tuple[Edge, ...]:
        """Return a chain of constraints as edges, each from the maker of what asks to that of what answers."""
        network, node, edges = self._network, build, []
        for ask in path:
            answer = network.find_answer(node, ask)
            assert answer is not None
            maker = node if node < network.size else network.makers[node - network.size]
            edges.append(Edge(network.builds[maker], network.builds[network.makers[answer - network.size]], (ask,)))
            node = answer
        return tuple(edge for edge in edges if edge.dependent != edge.dependency)

    def _join(self, build: int, reach: Mapping[int, int], left_out: Collection[int] = ()) -> int:
        """Return the builds that a build needs, itself included where it needs itself."""
        bits = 0
        for package in self._network.needs[build]:
            if package not in left_out:
                bits |= reach[package] if package in reach else self._reach[package]
        return bits

    def _cut(self, group: frozenset[int], cutter: Cutter) -> tuple[list[int], tuple[int, ...]]:
        """Cut a cycle; return its members and the cut."""
        network = self._network
        try:
            cut = cutter.find_cut(group)
        except InfeasibleError as error:
            builds = network.find_members(error.group)
            edges = self._explain(self._find_circle(builds))
            raise refuse_cycle(edges, error.missing) from None
        gone = {package for build in cut for package in network.packages[build]}
        packages = [node for node in group if node >= network.size]
        reach = network.find_reach(packages, self._reach, gone)
        members = network.find_members(group)
        for build in members:
            self._needs[build] = self._join(build, reach, gone) & ~(1 << build)
        return members, cut

    def _describe(self, members: Sequence[int], cut: Sequence[int]) -> Cycle:
        places = {build: place for place, build in enumerate(self._order)}
        ordered = sorted(members, key=places.__getitem__)
        chain = self._explain(self._find_circle(members))
        return Cycle(self._name(ordered), self._name(sorted(cut, key=places.__getitem__)), chain)

    def _sort(self) -> list[int]:
        waiting = [bits.bit_count() for bits in self._needs]
        ready = [build for build, count in enumerate(waiting) if not count]
        order = []
        while ready:
            build = heapq.heappop(ready)
            order.append(build)
            for dependent in self._dependents_of[build]:
                waiting[dependent] -= 1
                if not waiting[dependent]:
                    heapq.heappush(ready, dependent)
        assert len(order) == len(waiting), "a cycle was not cut"
        return order

    @cached_property
    def _dependents_of(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self._needs]
        for build, bits in enumerate(self._needs):
            for needed in list_bits(bits):
                found[needed].append(build)
        return found

    @cached_property
    def _dependents(self) -> list[list[int]]:
        places = {build: place for place, build in enumerate(self._order)}
        return [sorted(found, key=places.__getitem__) for found in self._dependents_of]

    @cached_property
    def _ancestors(self) -> list[int]:
        found = [0] * len(self._needs)
        for build in self._order:
            bits = self._needs[build]
            for needed in list_bits(bits):
                bits |= found[needed]
            found[build] = bits
        return found

    @cached_property
    def _cycles(self) -> dict[BuildId, Cycle]:
        return {build: cycle for cycle in self.cycles for build in cycle.members}

    def _find_circle(self, builds: Collection[int]) -> list[int]:
        """Return the shortest circle among builds that need one another, of direct needs where one is as short."""
        network = self._network
        inside = sum(1 << build for build in builds)
        direct = {
            build: sum({1 << network.makers[node - network.size] for node in network.needs[build]}) & inside
            for build in builds
        }
        direct = {build: bits & ~(1 << build) for build, bits in direct.items()}  # a build may need itself
        best: list[int] = []
        for edges in ({build: self._wanted[build] & inside for build in builds}, direct):
            for build in sorted(builds):
                # From a need of the build back to it.
                way = self._find_way(build, build, edges, most=len(best) - (edges is not direct) if best else 0)
                best = way or best
                if way and edges is direct:
                    return way
        return best

    def _find_way(self, start: int, end: int, needs: Mapping[int, int] | Sequence[int], most: int = 0) -> list[int]:
        """Return a shortest way from need to need, both ends included, of at most so many builds; 0 for any."""
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

    def _explain(self, way: Sequence[int]) -> tuple[Edge, ...]:
        builds = self._network.builds
        edges = []
        for dependent, dependency in pairwise(way):
            path = self._find_path(dependent, dependency)
            edges.append(Edge(builds[dependent], builds[dependency], path))
        return tuple(edges)

    def _find_path(self, dependent: int, dependency: int) -> tuple[Ask, ...]:
        wanted = frozenset(self._network.packages[dependency])
        ways = self._walk(dependent, wanted)
        return min((len(ways[node]), ways[node]) for node in wanted if node in ways)[1]

    def _walk(self, build: int, until: Collection[int]) -> dict[int, tuple[Ask, ...]]:
        """Return the packages of a build's environment, with the shortest chain of constraints that leads to each.

        It ends at the first of some packages.
        """
        network = self._network
        ways: dict[int, tuple[Ask, ...]] = {}
        todo: deque[tuple[int, tuple[Ask, ...]]] = deque([(build, ())])
        while todo:
            node, way = todo.popleft()
            for ask in network.asks(node):
                answer = network.find_answer(node, ask)
                if answer is not None and answer not in ways:
                    ways[answer] = (*way, ask)
                    if answer in until:
                        return ways
                    todo.append((answer, ways[answer]))
        return ways

    def _name(self, numbers: Iterable[int]) -> tuple[BuildId, ...]:
        builds = self._network.builds
        return tuple([builds[number] for number in numbers])


def make_graph(
    summaries: Sequence[Summary],
    *,
    outside: Callable[[str, str], bool],
    provides: Generated | None = None,
    first: Collection[str] = (),
) -> BuildGraph:
    """Return the graph of recipes for architectures.

    Args:
        summaries: the recipes; those without errors.
        outside: tells whether a repository or the supply offers a name for an architecture.
        provides: facts of packages as they were built, which add to those that recipes state.
        first: names of recipes whose packages are taken from outside at first where they are in a cycle.

    Raises:
        RecipeError: two recipes make the same package.
        CycleError: recipes need one another, and nothing outside offers what would do to cut the cycle.
    """
    check_makers(summaries)
    network = Network(summaries, provides or {})
    known: dict[tuple[str, str], bool] = {}

    def offered(name: str, build: int) -> bool:
        key = (name, network.builds[build].arch)
        if key not in known:
            known[key] = outside(*key)
        return known[key]

    pinned = {number for number, build in enumerate(network.builds) if build.recipe in first}
    return BuildGraph(summaries, network, offered, Cutter(network, offered, pinned))


def refuse_cycle(
    edges: Sequence[Edge], missing: Mapping[str, tuple[str, ...]], places: Sequence[str] = ()
) -> CycleError:
    """Return the error for recipes that need one another while nothing outside offers what would do.

    Args:
        edges: the needs that close the circle.
        missing: of recipes, the names that others ask of it and that outside lacks.
        places: where the constraints of each edge stand; empty where that is not known.
    """
    names = [edges[0].dependent.recipe, *(edge.dependency.recipe for edge in edges)]
    shown = places or [edge.reason for edge in edges]
    error = CycleError(
        f"these recipes need one another: {' -> '.join(names)}",
        where=None,
        details=[
            *(
                f"  {edge.dependent.recipe} needs {edge.dependency.recipe}: {text}"
                for edge, text in zip(edges, shown, strict=True)
            ),
            *(f"  no repository offers {', '.join(names)}, which {recipe} makes" for recipe, names in missing.items()),
        ],
        hint="name a repository with -r that has the packages of one of them, or take one of these dependencies away",
    )
    error.edges = tuple(edges)
    error.missing = dict(missing)
    return error
