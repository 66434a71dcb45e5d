"""Expected durations of builds, and of a run: from the journal, from recipes where nothing is known, and from the run.

The logarithm of a duration is taken as normal, which fits build times well: a median and a spread (the standard
deviation of the logarithm) say all of it. Pure: the caller passes times. Random numbers have a fixed seed, so that
equal inputs have equal outputs.
"""

from __future__ import annotations

import heapq
import math
import random
from statistics import NormalDist, mean, median, stdev
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from melpy.apk.atom import parse_atom
from melpy.codec import Noun
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from melpy.engine.journal import Learned
    from melpy.graph.model import BuildId, Summary

Node = TypeVar("Node", bound="Hashable")

PRIOR_SPREAD = 1.0
_KNOWN_SPREAD = 0.3  # of a build with one sample; more of them narrow it
_LEAST_SPREAD = 0.15
_POOL_DOUBT = {True: 0.2, False: 0.7}
"""Spread of the factor by which all builds of a pool are slower or faster than expected, before any has ended."""
_POOL_WEIGHT = 10  # ended builds that the spread of estimates is worth
_DRAWS = 16  # of durations, for the expected longest chain
_WORK = 150_000  # builds that one forecast simulates, some 0.4 s

_KINDS = (
    (600.0, ("llvm", "clang", "gcc", "rust-", "bazel", "chromium", "nodejs", "jdk", "openjdk")),
    (240.0, ("rust", "cargo", "maven", "gradle", "ghc", "dotnet", "bun", "swift")),
    (120.0, ("go", "cmake", "qt", "boost")),
    (45.0, ("meson", "autoconf", "automake", "npm", "yarn")),
    (20.0, ("python", "py3", "perl", "ruby", "php")),
)
"""Median seconds of builds by what their environment has: a prior, whose scale each journal corrects."""
_PLAIN = 20.0


class Estimate(Noun, frozen=True):
    """Expectation of a duration.

    Attributes:
        seconds: the median.
        spread: standard deviation of the logarithm.
        pool: name of the builds whose durations are wrong together, such as all without a sample for one architecture.
        known: whether the journal has samples of the build.
    """

    seconds: float
    spread: float = PRIOR_SPREAD
    pool: str = ""
    known: bool = False


class Left(NamedTuple):
    """Expectation of the rest of a run, in seconds: the median, and the interval that holds it in 90 % of cases."""

    middle: float
    low: float
    high: float


def guess_seconds(summary: Summary) -> float:
    """Return a guess of the duration of a build from its environment, the processors it asks for and its sources."""
    names = []
    for text in summary.world:
        try:
            names.append(parse_atom(text).name)
        except PackageFormatError:
            continue
    found = [seconds for seconds, heads in _KINDS if any(name.startswith(heads) for name in names)]
    if not summary.sources:
        found = []
    # A recipe that asks for many processors has much to do, and does it with more processors.
    return max([_PLAIN, *found]) * math.pow(max(1.0, summary.cpu), 0.7)


def estimate_builds(
    summaries: Mapping[BuildId, Summary], learned: Mapping[BuildId, Learned]
) -> dict[BuildId, Estimate]:
    """Return the expected durations of builds.

    Guesses are scaled by the ratio of durations to guesses of the builds of the same architecture that are known: it
    says how fast the machine is, and whether it emulates.
    """
    ratios: dict[str, list[float]] = {}
    for build, summary in summaries.items():
        if build in learned and learned[build].seconds > 0:
            ratios.setdefault(build.arch, []).append(learned[build].seconds / guess_seconds(summary))
    found = {}
    for build, summary in summaries.items():
        own = learned.get(build)
        if own:
            spread = max(_LEAST_SPREAD, _KNOWN_SPREAD / math.sqrt(own.samples))
            found[build] = Estimate(max(own.seconds, 0.01), spread, f"known/{build.arch}", known=True)
        else:
            scale = median(ratios[build.arch]) if build.arch in ratios else 1.0
            found[build] = Estimate(guess_seconds(summary) * scale, PRIOR_SPREAD, f"guessed/{build.arch}")
    return found


def find_spans(needs: Mapping[Node, Iterable[Node]], estimates: Mapping[Node, Estimate]) -> dict[Node, float]:
    """Return for each node the seconds by which it lengthens the longest chain that is expected to begin with it.

    These are the durations that a schedule is to have. The longest of several uncertain chains is expected to be longer
    than each of them, so that many chains of guessed durations count more than one.

    Args:
        needs: for each node, those that it needs.
        estimates: the expected durations.
    """
    graph = _Graph(needs)
    draw = random.Random(1).gauss  # noqa: S311  # it guards no secret
    levels = [0.0] * len(graph.nodes)
    own = [estimates[node] for node in graph.nodes]
    for _ in range(_DRAWS):
        seconds = [estimate.seconds * math.exp(draw(0.0, estimate.spread)) for estimate in own]
        levels = [total + level / _DRAWS for total, level in zip(levels, graph.levels(seconds), strict=True)]
    best = [max((levels[other] for other in after), default=0.0) for after in graph.dependents]
    return {node: max(0.0, level - after) for node, level, after in zip(graph.nodes, levels, best, strict=True)}


class _Pool(NamedTuple):
    """The error that estimates share: mean and deviation of its logarithm, and the factor of their spreads."""

    shift: float
    doubt: float
    factor: float


class Forecaster(Generic[Node]):
    """Expectation of the end of a run, corrected by the builds that have ended in it.

    Args:
        estimates: the expected durations.
    """

    def __init__(self, estimates: Mapping[Node, Estimate]) -> None:
        self._estimates = dict(estimates)
        self._errors: dict[str, list[float]] = {}
        self._known = {estimate.pool: estimate.known for estimate in estimates.values()}

    def add(self, node: Node, estimate: Estimate) -> None:
        """Take note of a node that has come in."""
        self._estimates[node] = estimate
        self._known.setdefault(estimate.pool, estimate.known)

    def end(self, node: Node, seconds: float) -> None:
        """Take note of the duration of a build that has been executed to its end."""
        estimate = self._estimates[node]
        self._errors.setdefault(estimate.pool, []).append(math.log(max(seconds, 0.01) / estimate.seconds))

    def forecast(
        self, needs: Mapping[Node, Iterable[Node]], running: Mapping[Node, float], workers: int, draws: int = 0
    ) -> Left:
        """Return the expected rest of a run, from simulations of it with durations drawn at random.

        Args:
            needs: for each node that has not ended, the nodes of those that it waits for.
            running: seconds since the start of each node that runs.
            workers: number of builds that run at the same time.
            draws: number of simulations; 0 for as many as take about half a second at most.
        """
        if not needs:
            return Left(0.0, 0.0, 0.0)
        graph = _Graph(needs)
        chance = random.Random(1)  # noqa: S311  # it guards no secret
        elapsed = [running.get(node) for node in graph.nodes]
        own = [self._estimates[node] for node in graph.nodes]
        priorities = graph.levels([estimate.seconds for estimate in own])
        pools = {pool: self._find_pool(pool, running) for pool in self._known}
        ends = []
        for _ in range(draws or max(8, min(100, _WORK // len(graph.nodes)))):
            shifts = {pool: chance.gauss(found.shift, found.doubt) for pool, found in pools.items()}
            seconds = [
                _draw_left(estimate, shifts[estimate.pool], pools[estimate.pool].factor, passed, chance)
                for estimate, passed in zip(own, elapsed, strict=True)
            ]
            ends.append(graph.simulate(seconds, priorities, [passed is not None for passed in elapsed], workers))
        # Few draws say more by their mean and deviation than by the outermost of them; but one long build makes for a
        # long tail, which these do not have.
        logs = [math.log(max(end, 1e-3)) for end in ends]
        middle, width = mean(logs), 1.645 * stdev(logs) * math.sqrt(1 + 1 / len(logs)) + 1e-9
        late = sorted(logs)[math.ceil(0.96 * len(logs)) - 1]
        return Left(math.exp(middle), math.exp(middle - width), math.exp(max(middle + width, late)))

    def _find_pool(self, pool: str, running: Mapping[Node, float]) -> _Pool:
        """Return what is known of the error that all estimates of a pool share.

        Builds that run count with the error that is expected of them by now: without them, the short ones that end
        first would say that all are short.
        """
        spread = _KNOWN_SPREAD if self._known[pool] else PRIOR_SPREAD
        errors = list(self._errors.get(pool, ()))
        centre = sum(errors) / (len(errors) + 1)
        for node, passed in running.items():
            estimate = self._estimates[node]
            if estimate.pool == pool and passed > 0:
                below = (math.log(passed / estimate.seconds) - centre) / spread
                beyond = max(1 - _NORMAL.cdf(below), 1e-9)
                errors.append(centre + spread * _NORMAL.pdf(below) / beyond)
        count = len(errors)
        centre = sum(errors) / count if count else 0.0
        # Conjugate updates: the mean of a normal distribution, and roughly its variance.
        found = sum((error - centre) ** 2 for error in errors)
        variance = (_POOL_WEIGHT * spread**2 + found) / (_POOL_WEIGHT + count)
        precision = 1 / _POOL_DOUBT[self._known[pool]] ** 2 + count / variance
        return _Pool(count * centre / variance / precision, 1 / math.sqrt(precision), math.sqrt(variance) / spread)


def _draw_left(estimate: Estimate, shift: float, factor: float, passed: float | None, chance: random.Random) -> float:
    """Draw the seconds that a build still takes, which for one that runs are those beyond the ones that have passed."""
    centre, spread = math.log(estimate.seconds) + shift, max(estimate.spread * factor, 1e-6)
    if not passed:
        return math.exp(chance.gauss(centre, spread))
    below = _NORMAL.cdf((math.log(passed) - centre) / spread)
    # One that runs beyond all expectation takes about as long again.
    if below > 0.9999:
        return passed * chance.uniform(0.1, 1.0)
    drawn = below + (1 - below) * chance.random()
    return max(0.0, math.exp(centre + spread * _NORMAL.inv_cdf(min(max(drawn, 1e-9), 1 - 1e-9))) - passed)


_NORMAL = NormalDist()


class _Graph(Generic[Node]):
    """Nodes by number, for computations that are repeated."""

    def __init__(self, needs: Mapping[Node, Iterable[Node]]) -> None:
        self.nodes = list(needs)
        numbers = {node: number for number, node in enumerate(self.nodes)}
        self.needs = [[numbers[need] for need in wanted if need in numbers] for wanted in needs.values()]
        self.dependents: list[list[int]] = [[] for _ in self.nodes]
        for number, wanted in enumerate(self.needs):
            for need in wanted:
                self.dependents[need].append(number)
        self.order: list[int] = []
        counts = [len(wanted) for wanted in self.needs]
        ready = [number for number, count in enumerate(counts) if not count]
        while ready:
            number = ready.pop()
            self.order.append(number)
            for other in self.dependents[number]:
                counts[other] -= 1
                if not counts[other]:
                    ready.append(other)
        assert len(self.order) == len(self.nodes), "nodes need one another"

    def levels(self, seconds: Sequence[float]) -> list[float]:
        """Return the length of the longest chain that begins with each node."""
        levels = [0.0] * len(self.nodes)
        best = [0.0] * len(self.nodes)
        for number in reversed(self.order):
            level = levels[number] = seconds[number] + best[number]
            for need in self.needs[number]:
                best[need] = max(best[need], level)
        return levels

    def simulate(
        self, seconds: Sequence[float], priorities: Sequence[float], running: Sequence[bool], workers: int
    ) -> float:
        """Return the time at which all nodes have ended, where those of the highest priority start first."""
        counts = [len(wanted) for wanted in self.needs]
        events = [(seconds[number], number) for number, runs in enumerate(running) if runs]
        ready = [
            (-priorities[number], number) for number, count in enumerate(counts) if not count and not running[number]
        ]
        heapq.heapify(events)
        heapq.heapify(ready)
        now = 0.0
        while ready or events:
            while ready and len(events) < max(1, workers):
                _, number = heapq.heappop(ready)
                heapq.heappush(events, (now + seconds[number], number))
            now, number = heapq.heappop(events)
            for other in self.dependents[number]:
                counts[other] -= 1
                if not counts[other]:
                    heapq.heappush(ready, (-priorities[other], other))
        return now
