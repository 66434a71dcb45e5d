"""The state of a run over nodes that need one another: which may start, and what a failure does to the rest.

A node is any hashable value. Inputs are needs, durations and outcomes; outputs are the ready nodes in order of priority
and the nodes that a failure skips. There is no clock, no input or output, and no executor here.

The priority of a node is the length of the longest chain of durations that begins with it, in seconds (its bottom
level, the rule of critical-path list scheduling: Graham 1969, Kohler 1975); equal ones come in the order of adding.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

Node = TypeVar("Node", bound="Hashable")


class JobOutcome(StrEnum):
    """The end of a node. The values are those of `events.JobSettled`."""

    BUILT = "built"
    CACHED = "cached"
    UP_TO_DATE = "up-to-date"
    HELD_BACK = "held-back"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"

    @property
    def good(self) -> bool:
        """Whether nodes that need this one can start."""
        return self in _GOOD


_GOOD = frozenset((JobOutcome.BUILT, JobOutcome.CACHED, JobOutcome.UP_TO_DATE, JobOutcome.HELD_BACK))


class Skip(NamedTuple, Generic[Node]):
    """A node that cannot be built any more.

    Attributes:
        node: the node.
        because: the node that did not end well and that it needs, if only by way of others.
    """

    node: Node
    because: Node


@dataclass(slots=True)
class _Entry(Generic[Node]):
    """Facts about a node that is not settled.

    Attributes:
        serial: its number, in order of adding.
        needs: nodes that it waits for.
        dependents: nodes that wait for it, in the order of adding.
        rank: its item in the list of ready nodes; None when it is not in that list.
    """

    serial: int
    seconds: float
    level: float
    needs: set[Node] = field(default_factory=set)
    dependents: dict[Node, None] = field(default_factory=dict)
    rank: tuple[float, int] | None = None


class Schedule(Generic[Node]):
    """A run over nodes. A failure skips what depends on it; all else goes on until `max_failures` is reached.

    Args:
        max_failures: number of failures after which nothing more is ready; 0 for any number.
    """

    def __init__(self, max_failures: int = 0) -> None:
        self._max_failures = max_failures
        self._failures = 0
        self._stopped = False
        self._names: list[Node] = []  # by serial
        self._open: dict[Node, _Entry[Node]] = {}
        self._ready: list[tuple[float, int]] = []  # negated level and serial, sorted
        self._running: dict[Node, None] = {}
        self._outcomes: dict[Node, JobOutcome] = {}
        self._causes: dict[Node, Node] = {}

    @property
    def running(self) -> tuple[Node, ...]:
        """Nodes that were started and are not settled, in order of their start."""
        return tuple(self._running)

    @property
    def left(self) -> tuple[Node, ...]:
        """Nodes that are not settled, in order of adding; those that run are among them."""
        return tuple(self._open)

    @property
    def outcomes(self) -> Mapping[Node, JobOutcome]:
        """The settled nodes, in order of settling."""
        return self._outcomes

    @property
    def causes(self) -> Mapping[Node, Node]:
        """For each skipped node, the failed one because of which it is skipped."""
        return self._causes

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to start: `stop` was called, or there were too many failures."""
        return self._stopped or self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Whether there were as many failures as a run goes on past."""
        return 0 < self._max_failures <= self._failures

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing can start."""
        return not self._running and (self.stopped or not self._ready)

    @property
    def critical_path(self) -> float:
        """Seconds of the longest chain of nodes that are not settled, with those that run in full."""
        return max((entry.level for entry in self._open.values()), default=0.0)

    def level(self, node: Node) -> float:
        """Return the seconds of the longest chain that begins with a node that is not settled."""
        return self._open[node].level

    def needs(self, node: Node) -> frozenset[Node]:
        """Return the nodes that a node still waits for."""
        return frozenset(self._open[node].needs)

    def ready(self) -> Iterator[Node]:
        """Yield the nodes that may start, the most urgent first; the schedule must not change in between."""
        if not self.stopped:
            for _level, serial in self._ready:
                yield self._names[serial]

    def add(self, node: Node, needs: Iterable[Node] = (), seconds: float = 0.0) -> tuple[Skip[Node], ...]:
        """Add a node, or more needs of one that has not started; see `extend`."""
        return self.extend({node: needs}, {node: seconds})

    def extend(
        self, needs: Mapping[Node, Iterable[Node]], durations: Mapping[Node, float] = MappingProxyType({})
    ) -> tuple[Skip[Node], ...]:
        """Add nodes, or more needs of nodes that have not started. One that is settled comes in anew.

        Args:
            needs: for each node, the nodes that must end well before it starts: added here or before.
            durations: expected seconds of new nodes; 0 for one without a duration.

        Returns:
            The nodes that this skips, because something that they need has not ended well.
        """
        for node in needs:
            assert node not in self._running, f"{node} runs already"
            if node not in self._open:
                seconds = durations.get(node, 0.0)
                assert math.isfinite(seconds), f"{node} takes {seconds} seconds"
                self._outcomes.pop(node, None)
                self._causes.pop(node, None)
                self._open[node] = _Entry(len(self._names), seconds, seconds)
                self._names.append(node)
        bad: dict[Node, Node] = {}
        for node, wanted in needs.items():
            for need in wanted:
                if need in self._open:
                    self._open[node].needs.add(need)
                    self._open[need].dependents[node] = None
                elif not self._outcomes[need].good:
                    bad.setdefault(node, self._causes.get(need, need))
        self._renew_levels(needs)
        for node in needs:
            self._place(node)
        return tuple(skip for node, because in bad.items() for skip in self._skip([node], because))

    def estimate(self, durations: Mapping[Node, float]) -> None:
        """Set the expected durations of nodes; those that are settled are passed over."""
        changed = [node for node in durations if node in self._open]
        for node in changed:
            assert math.isfinite(durations[node]), f"{node} takes {durations[node]} seconds"
            self._open[node].seconds = durations[node]
        self._renew_levels(changed)

    def start(self, node: Node) -> None:
        """Note that a ready node runs."""
        entry = self._open[node]
        assert entry.rank is not None, f"{node} is not ready"
        self._withdraw(entry)
        self._running[node] = None

    def release(self, node: Node) -> None:
        """Note that a node that runs is to be started once more, such as after an error of the network."""
        del self._running[node]
        self._place(node)

    def settle(self, node: Node, outcome: JobOutcome) -> tuple[Skip[Node], ...]:
        """Note the end of a node, whether it was started or not.

        Returns:
            The nodes that are skipped because of it, in order of adding. An interrupted node skips none: the run ends,
            and nothing is decided about the rest.
        """
        entry = self._remove(node, outcome)
        if outcome is JobOutcome.FAILED:
            self._failures += 1
        elif outcome is JobOutcome.INTERRUPTED:
            self._stopped = True
        self._renew_levels(entry.needs)
        if not outcome.good and outcome is not JobOutcome.INTERRUPTED:
            return self._skip(list(entry.dependents), node)
        for other in entry.dependents:
            self._open[other].needs.discard(node)
            self._place(other)
        return ()

    def stop(self) -> None:
        """Let nothing more start; nodes that run can still be settled."""
        self._stopped = True

    def _skip(self, first: list[Node], because: Node) -> tuple[Skip[Node], ...]:
        skipped: dict[Node, _Entry[Node]] = {}
        waiting = first
        while waiting:
            node = waiting.pop()
            if node in self._open:
                entry = skipped[node] = self._remove(node, JobOutcome.SKIPPED)
                self._causes[node] = because
                waiting += entry.dependents
        self._renew_levels({need for entry in skipped.values() for need in entry.needs if need in self._open})
        return tuple(Skip(node, because) for node in sorted(skipped, key=lambda node: skipped[node].serial))

    def _remove(self, node: Node, outcome: JobOutcome) -> _Entry[Node]:
        entry = self._open.pop(node)
        self._withdraw(entry)
        self._running.pop(node, None)
        self._outcomes[node] = outcome
        for need in entry.needs:
            if need in self._open:
                self._open[need].dependents.pop(node, None)
        return entry

    def _place(self, node: Node) -> None:
        """Put a node into the list of ready ones if it is ready, at the place of its level."""
        entry = self._open[node]
        self._withdraw(entry)
        if not entry.needs and node not in self._running:
            entry.rank = (-entry.level, entry.serial)
            insort(self._ready, entry.rank)

    def _withdraw(self, entry: _Entry[Node]) -> None:
        if entry.rank is not None:
            del self._ready[bisect_left(self._ready, entry.rank)]
            entry.rank = None

    def _renew_levels(self, changed: Iterable[Node]) -> None:
        """Compute the levels of nodes anew, and of all that they wait for."""
        for node in self._find_ancestors(changed):
            entry = self._open[node]
            level = entry.seconds + max((self._open[other].level for other in entry.dependents), default=0.0)
            if level != entry.level:
                entry.level = level
                self._place(node)

    def _find_ancestors(self, nodes: Iterable[Node]) -> list[Node]:
        """Return nodes and all that they wait for, each after those of them that wait for it."""
        found: dict[Node, None] = {}
        path: list[tuple[Node, Iterator[Node]]] = []
        on_path: set[Node] = set()
        for first in nodes:
            if first not in found:
                path.append((first, iter(self._open[first].needs)))
                on_path.add(first)
            while path:
                node, rest = path[-1]
                need = next((need for need in rest if need not in found), None)
                if need is None:
                    found[node] = None
                    path.pop()
                    on_path.discard(node)
                else:
                    assert need not in on_path, f"{need} needs itself, by way of {node}"
                    path.append((need, iter(self._open[need].needs)))
                    on_path.add(need)
        return list(reversed(found))


def make_schedule(
    needs: Mapping[Node, Iterable[Node]], durations: Mapping[Node, float], max_failures: int = 0
) -> Schedule[Node]:
    """Return the schedule of a run that has not begun; see `Schedule` and `Schedule.extend`."""
    schedule: Schedule[Node] = Schedule(max_failures)
    schedule.extend(needs, durations)
    return schedule
