"""Decides which ready job may start: by slots, memory and free disk. Pure; the caller passes times and facts.

A job that does not fit is passed over by jobs that do (backfilling), as long as that does not delay it, judged by the
expected ends of the running ones (the rule of EASY: Lifka 1995). Expectations can be wrong: when it waits for longer
than `_PATIENCE` times the wait that was expected at first, nothing starts before it. A job starts in any case when no
other runs: its requests are wishes, and a run must not stand still.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from melpy.codec import Noun, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

Node = TypeVar("Node", bound="Hashable")

_PATIENCE = 2.0
_WINDOW = 100  # ready jobs that are looked at, so that thousands of them cost no more


class Capacity(Noun, frozen=True):
    """The part of a machine that a run may use.

    Attributes:
        builds: number of builds that may run at the same time.
        memory: bytes; 0 for any number.
        disk: free bytes where builds write; 0 for any number.
        downloads: number of jobs that fetch sources at the same time.
    """

    builds: int
    memory: int = 0
    disk: int = 0
    downloads: int = 4

    def with_disk(self, disk: int) -> Capacity:
        """Return the same with so many bytes of disk."""
        return replace(self, disk=disk)


class Demand(Noun, frozen=True):
    """The part of a machine that a job takes while it runs.

    Attributes:
        memory: bytes.
        disk: bytes.
        download: whether it only fetches sources; it then takes no place of a build.
    """

    memory: int = 0
    disk: int = 0
    download: bool = False


class Request(NamedTuple):
    """A job that would start.

    Attributes:
        demand: the part of the machine that it takes.
        seconds: its expected duration.
    """

    demand: Demand
    seconds: float


class _Free(NamedTuple):
    """The part of the machine that is free; negative where running jobs have more than there is."""

    builds: int
    memory: float
    disk: float
    downloads: int

    def take(self, demand: Demand, sign: int = 1) -> _Free:
        own = 1 - demand.download
        return _Free(
            self.builds - sign * own,
            self.memory - sign * demand.memory,
            self.disk - sign * demand.disk,
            self.downloads - sign * demand.download,
        )

    def has(self, demand: Demand) -> bool:
        free = self.downloads if demand.download else self.builds
        # What takes nothing of a resource is not kept waiting by those that take too much of it.
        return (
            free > 0
            and (not demand.memory or demand.memory <= self.memory)
            and (not demand.disk or demand.disk <= self.disk)
        )


class Admission(Generic[Node]):
    """The jobs that run on one machine, and whether another one may start.

    Args:
        capacity: the part of the machine that they may use.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._running: dict[Node, tuple[Demand, float]] = {}  # with the expected end
        self._deadlines: dict[Node, float] = {}  # of jobs that wait for memory or disk
        self.refresh(capacity)
        self._free = self._limit

    def refresh(self, capacity: Capacity) -> None:
        """Take note of how much the machine has now, such as of disk."""
        self._limit = _Free(
            capacity.builds,
            capacity.memory or float("inf"),
            capacity.disk or float("inf"),
            capacity.downloads,
        )
        self._free = self._limit
        for demand, _end in self._running.values():
            self._free = self._free.take(demand)

    def start(self, node: Node, request: Request, now: float) -> None:
        """Note that a job runs."""
        self._running[node] = (request.demand, now + request.seconds)
        self._free = self._free.take(request.demand)
        self._deadlines.pop(node, None)

    def end(self, node: Node) -> None:
        """Note that a job has ended."""
        demand, _end = self._running.pop(node)
        self._free = self._free.take(demand, -1)

    def choose(self, ready: Iterable[Node], find_request: Callable[[Node], Request], now: float) -> Node | None:
        """Return the job that may start next, or None.

        Args:
            ready: the jobs that are ready, the most urgent first.
            find_request: returns what a job asks for.
            now: the time, in seconds from any moment.
        """
        if self._free.builds <= 0 and self._free.downloads <= 0:
            return None
        spare: tuple[float, _Free] | None = None
        for node in islice(ready, _WINDOW):
            request = find_request(node)
            if spare is None:
                if self._free.has(request.demand) or self._is_alone(request.demand):
                    return node
                if self._is_full(request.demand):
                    continue
                spare = self._find_start(request.demand, now)
                deadline = now + _PATIENCE * (spare[0] - now + request.seconds)
                if now > self._deadlines.setdefault(node, deadline):
                    return None
            elif self._free.has(request.demand) and _may_pass(request, now, *spare):
                return node
        return None

    def _is_alone(self, demand: Demand) -> bool:
        """Whether a job would be the only one of its kind."""
        return not any(demand.download == other.download for other, _end in self._running.values())

    def _is_full(self, demand: Demand) -> bool:
        """Whether a job only waits for a slot, in which case others cannot delay it."""
        return (self._free.downloads if demand.download else self._free.builds) <= 0

    def _find_start(self, demand: Demand, now: float) -> tuple[float, _Free]:
        """Return when a job can start as far as is known, and what is free then beside it."""
        free, start = self._free, now
        for other, end in sorted(self._running.values(), key=lambda running: running[1]):
            if free.has(demand):
                break
            free, start = free.take(other, -1), max(now, end)
        return start, free.take(demand)


def _may_pass(request: Request, now: float, start: float, spare: _Free) -> bool:
    """Tell whether a job does not delay another one that starts at a time and leaves something free then."""
    return now + request.seconds <= start or spare.has(request.demand)


def clamp(demand: Demand, capacity: Capacity) -> Demand:
    """Return a demand that the machine can meet at all."""
    return replace(
        demand,
        memory=min(demand.memory, capacity.memory or demand.memory),
        disk=min(demand.disk, capacity.disk or demand.disk),
    )
