"""Simulated runs over the graph of Wolfi, against bounds that no schedule can undercut; what schedule and journal cost.

The shape is that of wolfi-dev/os for two architectures, its cycles cut at 43 recipes; durations are lognormal, memory
is the one that recipes ask for. Nothing is built.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from melpy.engine.admission import Admission, Capacity, Demand, Request
from melpy.engine.estimate import Estimate, find_spans
from melpy.engine.journal import Journal, Sample
from melpy.engine.schedule import JobOutcome, make_schedule
from melpy.events import Null
from melpy.graph.model import BuildId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
GIB = 1 << 30
_GRID = 100  # points in time that the interval bound looks at
_PLAIN = GIB // 2  # memory of a build whose recipe asks for none


class Shape(NamedTuple):
    """Builds by number, each after those it needs: needs, and bytes of memory that the recipe asks for."""

    needs: list[list[int]]
    memory: list[int]


def load_shape() -> Shape:
    """Return the graph for two architectures."""
    lines = (Path(__file__).parent / "wolfi-shape.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    needs = [[number - int(back) for back in row[3:]] for number, row in enumerate(rows)]
    memory = [max(int(float(row[2]) * GIB), _PLAIN) for row in rows]
    size = len(rows)
    return Shape(needs + [[need + size for need in wanted] for wanted in needs], memory * 2)


def draw_durations(shape: Shape, seed: int, spread: float = 1.0) -> list[float]:
    """Return lognormal durations, with a median of a minute."""
    chance = random.Random(seed)
    return [chance.lognormvariate(math.log(60), spread) for _ in shape.needs]


def simulate(shape: Shape, seconds: Sequence[float], estimates: Sequence[Estimate], capacity: Capacity) -> float:
    """Return the makespan of melpy's schedule.

    Args:
        shape: the graph.
        seconds: the durations, which only the simulation knows.
        estimates: the durations that the schedule knows.
        capacity: the machine.
    """
    needs = dict(enumerate(shape.needs))
    schedule = make_schedule(needs, find_spans(needs, dict(enumerate(estimates))))
    admission: Admission[int] = Admission(capacity)
    limit = capacity.memory
    requests = [
        Request(Demand(min(memory, limit) if limit else 0), estimate.seconds)
        for memory, estimate in zip(shape.memory, estimates, strict=True)
    ]
    ends: list[tuple[float, int]] = []
    now = 0.0
    while True:
        while (node := admission.choose(schedule.ready(), requests.__getitem__, now)) is not None:
            schedule.start(node)
            admission.start(node, requests[node], now)
            heapq.heappush(ends, (now + seconds[node], node))
        if not ends:
            assert len(schedule.outcomes) == len(seconds)
            return now
        now, node = heapq.heappop(ends)
        admission.end(node)
        schedule.settle(node, JobOutcome.BUILT)


def simulate_fifo(shape: Shape, seconds: Sequence[float], workers: int) -> float:
    """Return the makespan where what became ready first starts first."""
    dependents: list[list[int]] = [[] for _ in seconds]
    for number, wanted in enumerate(shape.needs):
        for need in wanted:
            dependents[need].append(number)
    counts = [len(wanted) for wanted in shape.needs]
    ready = deque(number for number, count in enumerate(counts) if not count)
    ends: list[tuple[float, int]] = []
    now = 0.0
    while ready or ends:
        while ready and len(ends) < workers:
            number = ready.popleft()
            heapq.heappush(ends, (now + seconds[number], number))
        now, number = heapq.heappop(ends)
        for other in dependents[number]:
            counts[other] -= 1
            if not counts[other]:
                ready.append(other)
    return now


class Bounds:
    """Lower bounds of the makespan of one graph with one set of durations.

    Besides the longest chain and the work by the number of workers, the interval bound (Fernandez and Bussell 1973):
    in each interval of time, a run as short as the longest chain must do some work; where that is more than the workers
    can do, the run is longer by the rest.
    """

    def __init__(self, shape: Shape, seconds: Sequence[float]) -> None:
        self._seconds = seconds
        heads, tails = [0.0] * len(seconds), [0.0] * len(seconds)
        for number, wanted in enumerate(shape.needs):
            heads[number] = max((heads[need] + seconds[need] for need in wanted), default=0.0)
        for number in reversed(range(len(seconds))):
            for need in shape.needs[number]:
                tails[need] = max(tails[need], tails[number] + seconds[number])
        self.path = max(head + own + tail for head, own, tail in zip(heads, seconds, tails, strict=True))
        # First end and last start, for a run as short as the longest chain.
        self._ends = [head + own for head, own in zip(heads, seconds, strict=True)]
        self._starts = [self.path - tail - own for tail, own in zip(tails, seconds, strict=True)]
        self._intervals = self._find_work([1.0] * len(seconds))
        self.work = sum(seconds)

    def plain(self, workers: int) -> float:
        """Return the larger one of longest chain and work by workers."""
        return max(self.path, self.work / workers)

    def strong(self, workers: int) -> float:
        """Return the bound that looks at intervals too."""
        return max(self.plain(workers), self.path + max(work / workers - span for span, work in self._intervals))

    def memory(self, shape: Shape, workers: int, memory: int) -> tuple[float, float]:
        """Return the bounds with memory: the plain one with memory by time, and the strong one.

        A build that leaves no room for the smallest other one is alone; all others take part of the workers and of the
        memory, in any mixture of the two (a dual feasible function).
        """
        parts = [min(own, memory) / memory for own in shape.memory]
        least = min(parts)
        plain = max(self.plain(workers), sum(part * own for part, own in zip(parts, self._seconds, strict=True)))
        strong = plain
        for mixture in (0.0, 0.25, 0.5, 0.75, 1.0):
            costs = [1.0 if part + least > 1 else mixture / workers + (1 - mixture) * part for part in parts]
            total = sum(cost * own for cost, own in zip(costs, self._seconds, strict=True))
            extra = max(work - span for span, work in self._find_work(costs, 20))
            strong = max(strong, total, self.path + extra)
        return plain, strong

    def _find_work(self, costs: Sequence[float], grid: int = _GRID) -> list[tuple[float, float]]:
        """Return the lengths of intervals, with the cost of all that must be done within each."""
        points = [self.path * number / grid for number in range(grid + 1)]
        rows = list(zip(self._ends, self._starts, self._seconds, costs, strict=True))
        found = []
        for begin in points:
            late = [(end - begin, start, own, cost) for end, start, own, cost in rows if end > begin]
            for end in points:
                if (span := end - begin) > 0:
                    work = sum(
                        min(after, end - start, own, span) * cost for after, start, own, cost in late if end > start
                    )
                    found.append((span, work))
        return found


def measure_makespans(report: Callable[[str, str], None]) -> None:
    """Report makespans over bounds, in per cent."""
    shape = load_shape()
    seconds = draw_durations(shape, 0)
    bounds = Bounds(shape, seconds)
    chance = random.Random(1)
    known = [Estimate(own, 0.0, known=True) for own in seconds]
    doubled = [Estimate(own * 2 ** chance.uniform(-1, 1), 0.4, known=True) for own in seconds]
    unknown = [Estimate(60.0)] * len(seconds)
    report("makespan, workers", " ".join(f"{workers:>6}" for workers in WORKERS))
    makespans: tuple[tuple[str, Callable[[int], float]], ...] = (
        (
            "known durations over plain bound, %",
            lambda n: simulate(shape, seconds, known, Capacity(n)) / bounds.plain(n),
        ),
        ("the same over interval bound, %", lambda n: simulate(shape, seconds, known, Capacity(n)) / bounds.strong(n)),
        ("known to a factor of 2, %", lambda n: simulate(shape, seconds, doubled, Capacity(n)) / bounds.strong(n)),
        (
            "none known, over first-in-first-out, %",
            lambda n: simulate(shape, seconds, unknown, Capacity(n)) / simulate_fifo(shape, seconds, n),
        ),
    )
    for name, find in makespans:
        report(name, " ".join(f"{100 * (find(workers) - 1):6.2f}" for workers in WORKERS))
    for each in (2, 4):
        shares: tuple[list[float], list[float]] = ([], [])
        for workers in WORKERS:
            memory = each * GIB * workers
            makespan = simulate(shape, seconds, known, Capacity(workers, memory))
            for share, bound in zip(shares, bounds.memory(shape, workers, memory), strict=True):
                share.append(100 * (makespan / bound - 1))
        report(f"with {each} GiB a worker, over plain bound, %", " ".join(f"{one:6.2f}" for one in shares[0]))
        report("the same over strong bound, %", " ".join(f"{one:6.2f}" for one in shares[1]))


def measure_cost(directory: Path, jobs: int = 10_000) -> float:
    """Return the seconds that schedule, admission and journal take for a job whose executor does nothing."""
    chance = random.Random(0)
    needs = {n: [n - 1 - chance.randrange(min(n, 300)) for _ in range(4)] if n > 50 else [] for n in range(jobs)}
    journal = Journal(directory / "journal.sqlite", Null())
    start = time.perf_counter()
    journal.find_learned()
    estimates = {n: Estimate(chance.lognormvariate(3, 1)) for n in needs}
    schedule = make_schedule(needs, find_spans(needs, estimates))
    admission: Admission[int] = Admission(Capacity(16, 64))
    requests = [Request(Demand(chance.randrange(1, 12)), estimates[n].seconds) for n in needs]
    while (node := admission.choose(schedule.ready(), requests.__getitem__, 0.0)) is not None:
        schedule.start(node)
        admission.start(node, requests[node], 0.0)
        admission.end(node)
        journal.add_sample(BuildId(f"recipe{node}", "x86_64"), Sample(1.0, 1.0, 1 << 20))
        journal.add_keys({f"stamp{node}": "0" * 64})
        schedule.settle(node, JobOutcome.BUILT)
    assert len(schedule.outcomes) == jobs
    taken = time.perf_counter() - start
    journal.close()
    return taken / jobs
