"""The packages of this machine that each build of a run sees: a function of the graph and of what builds have made.

A build sees the packages of its ancestors in the graph, and never its own, nor those of a build that comes later: such
names come from outside. The members of a cycle see one another from the second round on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.digest import identity
from melpy.engine.node import Node

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from melpy.engine.freshness import Freshness
    from melpy.engine.model import Visible
    from melpy.engine.node import Nodes
    from melpy.engine.stage import BuiltPackages, Stage
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId

REST = 0
"""Number of the round that asks whether a cycle is at rest as it is published."""


class View:
    """What builds see of one another's packages."""

    def __init__(self, graph: Graph, nodes: Nodes, chosen: Collection[BuildId], fresh: Freshness, stage: Stage) -> None:
        self._graph, self._nodes, self._chosen = graph, nodes, frozenset(chosen)
        self._fresh, self._stage = fresh, stage
        self._made: dict[tuple[BuildId, int], BuiltPackages] = {}
        self._last: dict[BuildId, BuiltPackages] = {}
        self._before: dict[BuildId, BuiltPackages] = {}
        self._origins: dict[tuple[BuildId, str], BuiltPackages] = {}  # of builds that are no part of the run
        self._digests: dict[BuildId, str] = {}  # of the first round
        self._rests: dict[int, str] = {}
        self._published: dict[int, str] = {}
        self._ends: dict[int, str] = {}
        self._wholes: dict[int, frozenset[BuildId]] = {}

    def add(self, node: Node, packages: BuiltPackages) -> None:
        """Note what a build has made in a round."""
        self._made[node.build, node.round] = packages
        self._last[node.build] = packages

    @property
    def made(self) -> Mapping[BuildId, BuiltPackages]:
        """The packages of the builds that were made in this run, last round."""
        return {build: self._last[build] for build, _ in self._made} | self._before

    def take(self, made: Mapping[BuildId, BuiltPackages]) -> None:
        """Take in what an earlier part of the run has made."""
        self._before |= made
        self._last |= made

    def see(self, node: Node) -> Visible:
        """Return the packages that a build may see in a round."""
        found = self._list(node)
        others = self._fresh.find_others(self._find_arch(node.build))
        cycle = self._nodes.find_cycle(node.build)
        members = () if cycle is None else self._nodes.cycles[cycle].members
        origins = {build.recipe: found[build].packages for build in members if build in found}
        return self._stage.see((others, *(found[build] for build in sorted(found))), origins)

    def find_digest(self, node: Node) -> str:
        """Return the digest of all that `see` gives, apart from packages that no recipe of the graph makes."""
        if not self._sees_all(node):
            return self._digest_needs(node.build)
        cycle = self._nodes.find_cycle(node.build)
        if cycle is None or node.round != REST:
            return _digest(self._list(node))
        if cycle not in self._published:  # all members see the same
            self._published[cycle] = _digest(self._list(node))
        return self._published[cycle]

    def digest_rest(self, build: BuildId) -> str:
        """Return the digest that `find_digest` will give in another run; all builds have been made."""
        cycle = self._nodes.find_cycle(build)
        if cycle is None:
            return self.find_digest(Node(build))
        if cycle not in self._ends:  # all members see the same
            self._ends[cycle] = _digest(self._find_all(self.list_seen(build), self._find_arch(build)))
        return self._ends[cycle]

    def list_seen(self, build: BuildId) -> frozenset[BuildId]:
        """Return the builds whose packages a build sees when its cycle is at rest, and builds for other architectures.

        Of a cycle that it needs a package of, it sees all members: these are at rest before it, and where the cycle was
        cut does not matter. What is built for every architecture has needed builds of one, which environments of the
        others do not see.
        """
        cycle = self._nodes.find_cycle(build)
        if self._nodes.are_whole:
            members = () if cycle is None else self._nodes.cycles[cycle].members
            return self._graph.settled(build).union(members)
        if cycle is not None:
            return self._find_before_end(cycle)
        seen = self._find_before(build, None)
        return seen | (self._graph.settled(build) - self._chosen) if self._nodes.is_partial(build) else seen

    def sees_same(self, build: BuildId, other: View) -> bool:
        """Tell whether a build sees the packages of the same builds in the graph of another view."""
        if self._nodes.are_whole and other._nodes.are_whole:
            return self._graph.settled_mask(build) == other._graph.settled_mask(build)
        return self.list_seen(build) == other.list_seen(build)

    def find_changed(self, cycle: int, number: int) -> tuple[BuildId, ...]:
        """Return the members of a cycle whose packages are other ones after a round than before it."""
        members = self._nodes.cycles[cycle].members
        return tuple(
            build for build in members if self._made[build, number].digest != self._made[build, number - 1].digest
        )

    def find_rounds(self, build: BuildId) -> tuple[BuiltPackages, ...]:
        """Return what a build has made in each round."""
        return tuple(packages for (other, _), packages in sorted(self._made.items(), key=_round) if other == build)

    def _sees_all(self, node: Node) -> bool:
        """Tell whether a build sees the others of its cycle, too."""
        return self._nodes.is_partial(node.build) if self._nodes.find_cycle(node.build) is None else node.round != 1

    def _list(self, node: Node) -> dict[BuildId, BuiltPackages]:
        build, cycle = node.build, self._nodes.find_cycle(node.build)
        arch = self._find_arch(build)
        if cycle is None:
            return self._find_all(self.list_seen(build), arch)
        if not self._sees_all(node):
            return self._find_all(self._find_before(build, cycle), arch)
        ancestors = self._graph.ancestors(build)
        members = frozenset(self._nodes.cycles[cycle].members)
        found = self._find_all(self.list_seen(build) - members, arch)
        for member in members:
            if node.round == REST:
                known = self._fresh.find_version(self._graph.summaries[member])
                if known:
                    found[member] = known.packages
            else:
                found[member] = self._made[member, node.round if member in ancestors else node.round - 1]
        return found

    def _find_before(self, build: BuildId, inside: int | None) -> frozenset[BuildId]:
        """Return the builds that come before a build, with whole cycles, apart from the one that it is inside of."""
        ancestors = self._graph.ancestors(build)
        cycles = {self._nodes.find_cycle(other) for other in ancestors} - {None, inside}
        return ancestors.union(*(self._find_before_end(cycle) for cycle in cycles if cycle is not None))

    def _find_before_end(self, cycle: int) -> frozenset[BuildId]:
        """Return the members of a cycle, and all builds that come before one of them."""
        if cycle not in self._wholes:
            members = self._nodes.cycles[cycle].members
            outer = (self._find_before(member, cycle) for member in members)
            self._wholes[cycle] = frozenset(members).union(*outer)
        return self._wholes[cycle]

    def _find_arch(self, build: BuildId) -> str:
        return self._graph.summaries[build].environment_arch

    def _find_all(self, builds: Iterable[BuildId], arch: str) -> dict[BuildId, BuiltPackages]:
        """Return what builds have made that environments of an architecture may have."""
        own = (build for build in builds if arch in self._graph.summaries[build].arches)
        return {build: packages for build in own if (packages := self._find_last(build, arch)).packages}

    def _find_last(self, build: BuildId, arch: str) -> BuiltPackages:
        """Return what a build has made last; of one that is no part of the run, what the repository has."""
        if build in self._last:
            return self._last[build]
        if (build, arch) not in self._origins:
            self._origins[build, arch] = self._fresh.find_origin(self._graph.summaries[build], arch)
        return self._origins[build, arch]

    def _digest_needs(self, build: BuildId) -> str:
        """Return the digest of what a build needs and of what that sees, which is all that its ancestors have made."""
        if build not in self._digests:
            inside = self._nodes.find_cycle(build)
            needs, arch = sorted(self._graph.needs(build)), self._find_arch(build)
            self._digests[build] = identity(
                [[str(need), self._find_last(need, arch).digest, self._digest_seen(need, inside)] for need in needs]
            )
        return self._digests[build]

    def _digest_seen(self, build: BuildId, inside: int | None) -> str:
        """Return the digest of what a build saw, from inside its cycle or from outside, when that is at rest."""
        cycle = self._nodes.find_cycle(build)
        if cycle is None or cycle == inside:
            return self._digest_needs(build)
        if cycle not in self._rests:
            members = [(member, self._find_arch(member)) for member in self._nodes.cycles[cycle].members]
            self._rests[cycle] = identity(
                [
                    [str(member), self._find_last(member, arch).digest, self._digest_outer(member, cycle)]
                    for member, arch in members
                ]
            )
        return self._rests[cycle]

    def _digest_outer(self, build: BuildId, cycle: int) -> list[list[str]]:
        arch = self._find_arch(build)
        return [
            [str(need), self._find_last(need, arch).digest, self._digest_seen(need, cycle)]
            for need in sorted(self._graph.needs(build))
            if self._nodes.find_cycle(need) != cycle
        ]


def _digest(found: Mapping[BuildId, BuiltPackages]) -> str:
    return identity([[str(build), found[build].digest] for build in sorted(found)])


def _round(item: tuple[tuple[BuildId, int], BuiltPackages]) -> int:
    return item[0][1]
