"""Nodes of a run: builds, and the gates by which builds that need one another come to rest.

A cycle is built in rounds. In the first, the builds that it is cut at come from outside for the others. In each later
one, every member sees the packages that the others have by then. It is at rest after a round that changes no package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId, Cycle

MOST_ROUNDS = 5
"""Rounds of a cycle: the first build of each member, and 4 times again."""


class Node(NamedTuple):
    """A build, in one round of its cycle; outside of cycles there is one round.

    Attributes:
        build: the build.
        round: number of the round, from 1.
    """

    build: BuildId
    round: int = 1


class Gate(NamedTuple):
    """A point that all members of a cycle pass together.

    Attributes:
        cycle: number of the cycle, from 0.
        kind: `enter`, before the first round; `round`, after each; `rest`, when the cycle is at rest.
        round: number of the round; 0 where it is of none.
    """

    cycle: int
    kind: str
    round: int = 0


Needs = dict["Node | Gate", "tuple[Node | Gate, ...]"]


class Nodes:
    """The nodes of the chosen builds of a graph."""

    def __init__(self, graph: Graph, chosen: Collection[BuildId], *, rounds: bool) -> None:
        """Find the cycles that are built in rounds.

        Args:
            graph: the graph.
            chosen: the builds of the run.
            rounds: whether cycles are built in rounds at all; else each build is made once.
        """
        self._graph, self._rounds = graph, rounds
        self._chosen = frozenset(chosen)
        self.cycles: tuple[Cycle, ...] = tuple(
            cycle for cycle in graph.cycles if rounds and self._chosen.issuperset(cycle.members)
        )
        self._partial = frozenset(
            build for cycle in graph.cycles if not self._chosen.issuperset(cycle.members) for build in cycle.members
        )
        self._cycle_of = {build: number for number, cycle in enumerate(self.cycles) for build in cycle.members}

    def find_cycle(self, build: BuildId) -> int | None:
        """Return the number of the cycle that a build is made in rounds with, or None."""
        return self._cycle_of.get(build)

    @property
    def are_whole(self) -> bool:
        """Whether all cycles that chosen builds are in are built in rounds."""
        return self._rounds and self._partial.isdisjoint(self._chosen)

    def is_partial(self, build: BuildId) -> bool:
        """Tell whether a build is in a cycle of which not all members were chosen: it sees the others as published."""
        return build in self._partial

    def find_end(self, build: BuildId) -> Node | Gate:
        """Return the node after which the packages of a build stay as they are."""
        number = self._cycle_of.get(build)
        return Node(build) if number is None else Gate(number, "rest")

    def list_first(self) -> Mapping[Node | Gate, tuple[Node | Gate, ...]]:
        """Return the nodes of the first round with what each needs, in a legal order."""
        found: Needs = {}
        outer: dict[int, dict[Node | Gate, None]] = {number: {} for number in range(len(self.cycles))}
        for number, cycle in enumerate(self.cycles):
            for build in cycle.members:
                outer[number].update(dict.fromkeys(self._outer_needs(build)))
        for build in self._graph.order:
            if build in self._chosen:
                inside = self._cycle_of.get(build)
                enter = () if inside is None else (Gate(inside, "enter"),)
                found[Node(build)] = (
                    *enter,
                    *self._inner_needs(build, 1),
                    *(() if enter else self._outer_needs(build)),
                )
        for number, needs in outer.items():
            found[Gate(number, "enter")] = tuple(needs)
            found |= self._gates(number, 1)
        return found

    def list_round(self, cycle: int, number: int) -> Mapping[Node | Gate, tuple[Node | Gate, ...]]:
        """Return the nodes of a later round of a cycle, and what the gates need in addition."""
        before = Gate(cycle, "round", number - 1)
        found: Needs = {
            Node(build, number): (before, *self._inner_needs(build, number)) for build in self.cycles[cycle].members
        }
        return found | self._gates(cycle, number)

    def _gates(self, cycle: int, number: int) -> Needs:
        gate = Gate(cycle, "round", number)
        members = tuple(Node(build, number) for build in self.cycles[cycle].members)
        return {gate: members, Gate(cycle, "rest"): (gate,)}

    def _inner_needs(self, build: BuildId, number: int) -> tuple[Node | Gate, ...]:
        inside = self._cycle_of.get(build)
        needs = self._graph.needs(build)
        return tuple(
            Node(other, number) for other in needs if inside is not None and self._cycle_of.get(other) == inside
        )

    def _outer_needs(self, build: BuildId) -> tuple[Node | Gate, ...]:
        inside = self._cycle_of.get(build)
        outer = (
            other
            for other in self._graph.needs(build)
            if other in self._chosen and (inside is None or self._cycle_of.get(other) != inside)
        )
        return tuple(dict.fromkeys(map(self.find_end, outer)))
