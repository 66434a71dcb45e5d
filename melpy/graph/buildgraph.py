"""Summaries of recipes become a graph of builds without cycles, and the order in which they can be made.

A build comes after the builds of all packages that its environment installs: of the packages that answer its
constraints, and of their runtime closure. Of packages of its own recipe, it gets those that are published or seeded.
Where builds need one another, some of them are taken from outside at first: see `melpy.graph.cut`. What such a package
needs when it is installed comes with it, from outside too, unless it is built before.
"""

from __future__ import annotations

import heapq
from functools import cached_property
from typing import TYPE_CHECKING

from melpy.graph.chain import (
    explain_way,
    find_circle,
    find_constraints,
    find_way,
    follow_constraints,
    refuse_cycle,
)
from melpy.graph.cut import Cutter, InfeasibleError
from melpy.graph.model import BuildId, Cycle, Edge
from melpy.graph.naming import check_makers
from melpy.graph.network import Network, list_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from melpy.graph.cut import Cuts
    from melpy.graph.model import Generated, Summary


class BuildGraph:
    """Builds, what each needs, and how cycles of them are cut. It never changes.

    Attributes:
        summaries: the summaries, by build.
        order: the builds, each after those that it needs and after all of a cycle that it needs a member of; else by
            architecture and name.
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
        self._named: dict[BuildId, tuple[BuildId, ...]] = {}
        self._cuts = [self._cut(group, cutter) for group in network.groups]
        self._order = self._sort()
        self._places = {build: place for place, build in enumerate(self._order)}
        self.order: tuple[BuildId, ...] = self._name(self._order)
        self.cycles: tuple[Cycle, ...] = tuple(self._describe(members, cut) for members, cut in self._cuts)
        self._check_returns()

    def needs(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the builds that come before a build since its environment has their packages."""
        if build not in self._named:  # a run asks for it a dozen times
            self._named[build] = self._name(list_bits(self._needs[self._numbers[build]]))
        return self._named[build]

    def wants(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the builds that a build would come after if no cycle were cut: `needs`, and those from outside."""
        return self._name(list_bits(self._wanted[self._numbers[build]]))

    def ancestors(self, build: BuildId) -> frozenset[BuildId]:
        """Return all builds that come before a build by what it needs: it may see their packages, and no others."""
        return frozenset(self._name(list_bits(self._ancestors[self._numbers[build]])))

    def settled(self, build: BuildId) -> frozenset[BuildId]:
        """Return the builds whose packages a build may see once its cycle is built: all that it needs by any way."""
        return frozenset(self._name(list_bits(self.settled_mask(build))))

    def settled_mask(self, build: BuildId) -> int:
        """Return the builds of `settled` as bits, numbered alike in all graphs of the same summaries."""
        number = self._numbers[build]
        return self._settled[number] & ~(1 << number)

    def dependents(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the builds that directly need a build, in the order of builds."""
        return self._name(self._dependents[self._numbers[build]])

    def descendants(self, build: BuildId) -> frozenset[BuildId]:
        """Return all builds that need a build, directly or through others, by needs that are cut too."""
        number = self._numbers[build]
        found = [other for other, bits in enumerate(self._settled) if bits >> number & 1 and other != number]
        return frozenset(self._name(found))

    def reduced(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the needs of a build that no other of its needs has, for drawings: the others follow from these."""
        bits = self._needs[self._numbers[build]]
        found = bits
        for needed in list_bits(bits):
            found &= ~self._ancestors[needed]
        return self._name(list_bits(found))

    def find_critical_path(self, seconds: Mapping[BuildId, float]) -> tuple[BuildId, ...]:
        """Return the chain of builds that takes longest, the first build first; one of unknown length takes 1."""
        longest = [0.0] * len(self._needs)
        before: list[int | None] = [None] * len(self._needs)
        for build in self._order:
            needed = max(list_bits(self._needs[build]), key=longest.__getitem__, default=None)
            before[build] = needed
            longest[build] = seconds.get(self._network.builds[build], 1.0) + (
                longest[needed] if needed is not None else 0
            )
        place = max(self._order, key=longest.__getitem__, default=None)
        path: list[int] = []
        while place is not None:
            path.append(place)
            place = before[place]
        return self._name(path[::-1])

    def find_cycle(self, build: BuildId) -> Cycle | None:
        """Return the cycle that a build is in."""
        return self._cycles.get(build)

    def reasons(self, dependent: BuildId, dependency: BuildId) -> tuple[Edge, ...]:
        """Return why a build needs another, one edge for each package of the other that it comes upon."""
        network = self._network
        start, end = self._numbers[dependent], self._numbers[dependency]
        ways = find_constraints(start, network)
        found = [(len(path), path) for node, path in ways.items() if network.makers[node - network.size] == end]
        return tuple(Edge(dependent, dependency, path) for _, path in sorted(found))

    def find_chain(self, dependent: BuildId, dependency: BuildId) -> tuple[Edge, ...]:
        """Return a shortest chain of needs from a build to one that it needs; nothing where there is no chain."""
        way = find_way(self._numbers[dependent], self._numbers[dependency], self._wanted)
        return explain_way(way, self._network)

    def find_returns(self) -> tuple[tuple[Edge, ...], ...]:
        """Return the chains by which builds need themselves through packages of others, but for members of cycles.

        A build needs itself in such a way where a package of its environment needs one of its own when it is installed.
        """
        found = []
        for number, build in enumerate(self._network.builds):
            own = self._network.packages[number]
            if build not in self._cycles and self._join(number, self._reach, own) >> number & 1:
                ways = find_constraints(number, self._network, installed=True)
                _, path = min(((len(ways[node]), ways[node]) for node in own if node in ways), default=(0, ()))
                if len(path) > 1:
                    found.append(follow_constraints(number, path, self._network))
        return tuple(found)

    def from_outside(self, build: BuildId) -> tuple[str, ...]:
        """Return the names in a build's environment that no build before it makes, so that they come from outside.

        These are the names that no recipe makes, those of its own recipe, those of builds that its cycle is cut at,
        and what these need when they are installed.
        """
        number, network = self._numbers[build], self._network
        ancestors = self._ancestors[number]
        names: set[str] = set()
        seen, todo = {number}, [number]
        while todo:
            for ask, answer in network.answers[todo.pop()]:
                if ask.origin:
                    continue
                if answer is None or not ancestors >> network.makers[answer - network.size] & 1:
                    names.add(ask.name)
                if answer is not None and answer not in seen:
                    seen.add(answer)
                    todo.append(answer)
        return tuple(sorted(names))

    def lacking(self, build: BuildId) -> tuple[str, ...]:
        """Return the constraints of a build's environment that no build before it and nothing outside answers."""
        number, network = self._numbers[build], self._network
        seen = self._ancestors[number]
        found = []
        for ask, answer in network.answers[number]:
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
            edges = explain_way(find_circle(builds, self._wanted, network), network)
            raise refuse_cycle(edges, error.missing) from None
        gone = {package for build in cut for package in network.packages[build]}
        packages = [node for node in group if node >= network.size]
        reach = network.find_reach(packages, self._reach, gone)
        members = network.find_members(group)
        inside = sum(1 << build for build in members)
        for build in members:
            # What a package from outside brings may come late within the cycle; all else is built before.
            found = self._join(build, reach, gone) | (self._wanted[build] & ~inside)
            self._needs[build] = found & ~(1 << build)
        return members, cut

    def _describe(self, members: Sequence[int], cut: Sequence[int]) -> Cycle:
        ordered = sorted(members, key=self._places.__getitem__)
        chain = explain_way(find_circle(members, self._wanted, self._network), self._network)
        return Cycle(self._name(ordered), self._name(sorted(cut, key=self._places.__getitem__)), chain)

    def _sort(self) -> list[int]:
        """Return the builds in a legal order, by number where nothing else decides.

        What needs a member of a cycle, and is none itself, comes after all members: these are built more than once.
        """
        waiting = [bits.bit_count() for bits in self._needs]
        left = [len(members) for members, _ in self._cuts]
        cycles = {build: number for number, (members, _) in enumerate(self._cuts) for build in members}
        held: list[list[int]] = [[] for _ in self._cuts]  # what waits for a cycle as a whole
        for number, (members, _) in enumerate(self._cuts):
            inside = sum(1 << build for build in members)
            for build, bits in enumerate(self._needs):
                if bits & inside and cycles.get(build) != number:
                    held[number].append(build)
                    waiting[build] += 1
        ready = [build for build, count in enumerate(waiting) if not count]
        order = []
        while ready:
            build = heapq.heappop(ready)
            order.append(build)
            settled = list(self._dependents_of[build])
            if build in cycles:
                left[cycles[build]] -= 1
                settled += [] if left[cycles[build]] else held[cycles[build]]
            for dependent in settled:
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
        return [sorted(found, key=self._places.__getitem__) for found in self._dependents_of]

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
    def _settled(self) -> list[int]:
        found = [0] * len(self._needs)
        last = {max(members, key=self._places.__getitem__): members for members, _ in self._cuts}
        inside = {member for members, _ in self._cuts for member in members}
        for build in self._order:
            if build in inside and build not in last:
                continue
            members = last.get(build, [build])
            bits = 0
            for member in members:
                bits |= self._wanted[member]
            for needed in list_bits(bits):
                bits |= found[needed]
            for member in members:
                found[member] = bits
        return found

    @cached_property
    def _cycles(self) -> dict[BuildId, Cycle]:
        return {build: cycle for cycle in self.cycles for build in cycle.members}

    def _name(self, numbers: Iterable[int]) -> tuple[BuildId, ...]:
        builds = self._network.builds
        return tuple([builds[number] for number in numbers])


def make_graph(
    summaries: Sequence[Summary],
    *,
    outside: Callable[[str, str], bool],
    provides: Generated | None = None,
    first: Collection[str] = (),
    cuts: Cuts | None = None,
) -> BuildGraph:
    """Return the graph of recipes for architectures.

    Args:
        summaries: the recipes; those without errors.
        outside: tells whether a repository or the supply offers a name for an architecture.
        provides: facts of packages as they were built, which add to those that recipes state.
        first: names of recipes whose packages are taken from outside at first where they are in a cycle.
        cuts: cuts that were found before, which those found now are added to.

    Raises:
        RecipeError: two recipes make the same package.
        CycleError: recipes need one another, and nothing outside offers what would do to cut the cycle.
    """
    check_makers(summaries)
    network = Network(summaries, provides or {})
    known: dict[tuple[str, str], bool] = {}

    def offered(name: str, node: int) -> bool:
        key = (name, network.arches[node])
        if key not in known:
            known[key] = outside(*key)
        return known[key]

    pinned = {number for number, build in enumerate(network.builds) if build.recipe in first}
    return BuildGraph(summaries, network, offered, Cutter(network, offered, pinned, cuts))
