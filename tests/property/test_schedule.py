"""The schedule of a run, against a plain model of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from melpy.engine.schedule import JobOutcome, Schedule, Skip, make_schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = st.integers(0, 100).map(float)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[int, list[int]], dict[int, float]]:
    """Needs of nodes, each on earlier numbers, in some order; and their durations."""
    size = draw(st.integers(1, 14))
    needs = {number: draw(st.lists(st.integers(0, number - 1), max_size=4)) if number else [] for number in range(size)}
    durations = {number: draw(SECONDS) for number in needs}
    return {number: needs[number] for number in draw(st.permutations(range(size)))}, durations


def find_level(node: int, needs: Mapping[int, list[int]], durations: Mapping[int, float]) -> float:
    after = [find_level(other, needs, durations) for other, wanted in needs.items() if node in wanted]
    return durations[node] + max(after, default=0.0)


@given(graphs())
def test_priority_is_the_longest_chain_that_begins_with_a_node(
    graph: tuple[dict[int, list[int]], dict[int, float]],
) -> None:
    needs, durations = graph
    schedule = make_schedule(needs, durations)
    levels = {node: find_level(node, needs, durations) for node in needs}
    assert {node: schedule.level(node) for node in needs} == levels
    assert schedule.critical_path == max(levels.values())
    order = list(needs)
    free = [node for node in needs if not needs[node]]
    assert list(schedule.ready()) == sorted(free, key=lambda node: (-levels[node], order.index(node)))


@given(graphs(), st.data())
def test_nodes_that_are_added_one_by_one_make_the_same_schedule(
    graph: tuple[dict[int, list[int]], dict[int, float]], data: st.DataObject
) -> None:
    needs, durations = graph
    at_once = make_schedule(dict(sorted(needs.items())), durations)
    schedule: Schedule[int] = Schedule()
    for node in sorted(needs):
        schedule.add(node, seconds=data.draw(SECONDS))
    for node in needs:  # in some order
        assert schedule.add(node, needs[node]) == ()
        schedule.estimate({node: durations[node]})
    assert list(schedule.ready()) == list(at_once.ready())
    assert [schedule.level(node) for node in needs] == [at_once.level(node) for node in needs]


class Machine(RuleBasedStateMachine):
    """Random operations on a schedule, and on a model of it that computes all anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 3
        self.schedule: Schedule[int] = Schedule(self.limit)
        self.needs: dict[int, list[int]] = {}
        self.durations: dict[int, float] = {}
        self.running: list[int] = []
        self.outcomes: dict[int, JobOutcome] = {}
        self.stopped = False

    def open(self) -> list[int]:
        return [node for node in self.needs if node not in self.outcomes]

    def ready(self) -> list[int]:
        if self.stopped or list(self.outcomes.values()).count(JobOutcome.FAILED) >= self.limit:
            return []
        left = self.open()
        own = {node: self.needs[node] for node in left}
        free = [node for node in left if not set(own[node]) & set(left) and node not in self.running]
        return sorted(free, key=lambda node: (-find_level(node, own, self.durations), left.index(node)))

    def find_skipped(self, first: set[int]) -> set[int]:
        """All that waits for some nodes, and is not settled."""
        found: set[int] = set()
        while more := {n for n in self.open() if set(self.needs[n]) & (first | found)} - found:
            found |= more
        return found

    @rule(data=st.data(), seconds=SECONDS)
    def add(self, data: st.DataObject, seconds: float) -> None:
        node = len(self.needs)
        needs = data.draw(st.lists(st.sampled_from(list(self.needs)), max_size=4) if self.needs else st.just([]))
        skips = self.schedule.add(node, needs, seconds)
        self.needs[node], self.durations[node] = needs, seconds
        bad = [need for need in needs if need in self.outcomes and not self.outcomes[need].good]
        if bad:
            self.outcomes[node] = JobOutcome.SKIPPED
            assert skips == (Skip(node, self.schedule.causes.get(bad[0], bad[0])),)
        else:
            assert skips == ()

    @precondition(lambda self: self.ready())
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.ready()))
        self.schedule.start(node)
        self.running.append(node)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.running))
        self.schedule.release(node)
        self.running.remove(node)

    @precondition(lambda self: self.open())
    @rule(data=st.data(), good=st.booleans())
    def settle(self, data: st.DataObject, good: bool) -> None:
        node = data.draw(st.sampled_from(self.running or self.open()))
        skips = self.schedule.settle(node, JobOutcome.BUILT if good else JobOutcome.FAILED)
        self.outcomes[node] = JobOutcome.BUILT if good else JobOutcome.FAILED
        if node in self.running:
            self.running.remove(node)
        skipped = set() if good else self.find_skipped({node})
        assert skips == tuple(Skip(other, node) for other in sorted(skipped))
        self.outcomes |= dict.fromkeys(skipped, JobOutcome.SKIPPED)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def interrupt(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.running))
        assert self.schedule.settle(node, JobOutcome.INTERRUPTED) == ()
        self.outcomes[node] = JobOutcome.INTERRUPTED
        self.running.remove(node)
        self.stopped = True

    @precondition(lambda self: self.open())
    @rule(data=st.data(), seconds=SECONDS)
    def estimate(self, data: st.DataObject, seconds: float) -> None:
        node = data.draw(st.sampled_from(self.open()))
        self.schedule.estimate({node: seconds})
        self.durations[node] = seconds

    @invariant()
    def agrees(self) -> None:
        left = self.open()
        own = {node: self.needs[node] for node in left}
        assert list(self.schedule.ready()) == self.ready()
        assert self.schedule.left == tuple(left)
        assert self.schedule.running == tuple(self.running)
        assert self.schedule.outcomes == self.outcomes
        assert {n: self.schedule.level(n) for n in left} == {n: find_level(n, own, self.durations) for n in left}
        assert self.schedule.finished == (not self.running and not self.ready())


TestMachine = Machine.TestCase


@given(graphs(), st.integers(1, 4))
def test_every_node_is_built_once_and_after_its_needs(
    graph: tuple[dict[int, list[int]], dict[int, float]], workers: int
) -> None:
    needs, durations = graph
    schedule = make_schedule(needs, durations)
    done: list[int] = []
    while not schedule.finished:
        while len(schedule.running) < workers and (node := next(schedule.ready(), None)) is not None:
            assert set(needs[node]) <= set(done)
            schedule.start(node)
        first = min(schedule.running)
        schedule.settle(first, JobOutcome.BUILT)
        done.append(first)
    assert sorted(done) == sorted(needs)


def test_a_failure_skips_what_waits_for_it_by_way_of_others_and_names_the_first_one() -> None:
    schedule = make_schedule({"a": [], "b": ["a"], "c": ["b"], "d": ["b", "x"], "x": [], "y": ["x"]}, {})
    assert schedule.settle("a", JobOutcome.FAILED) == (Skip("b", "a"), Skip("c", "a"), Skip("d", "a"))
    assert list(schedule.ready()) == ["x"]
    assert schedule.add("e", ["c"]) == (Skip("e", "a"),)
    assert schedule.settle("x", JobOutcome.UP_TO_DATE) == ()
    assert list(schedule.ready()) == ["y"]


def test_nothing_starts_after_too_many_failures() -> None:
    schedule = make_schedule(dict.fromkeys("abcd", ()), {}, max_failures=2)
    schedule.start("a")
    schedule.settle("b", JobOutcome.FAILED)
    assert list(schedule.ready()) == ["c", "d"]
    schedule.settle("c", JobOutcome.FAILED)
    assert list(schedule.ready()) == []
    assert (schedule.stopped, schedule.finished) == (True, False)
    schedule.settle("a", JobOutcome.BUILT)
    assert (schedule.left, schedule.finished) == (("d",), True)


def test_a_settled_node_can_come_in_anew() -> None:
    schedule = make_schedule({"a": [], "b": ["a"]}, {"a": 1.0, "b": 2.0})
    schedule.settle("a", JobOutcome.BUILT)
    schedule.add("a", ["b"], 3.0)
    schedule.settle("b", JobOutcome.BUILT)
    assert list(schedule.ready()) == ["a"]
    assert schedule.outcomes == {"b": JobOutcome.BUILT}


def test_needs_that_make_a_circle_are_a_fault() -> None:
    with pytest.raises(AssertionError, match="needs itself"):
        make_schedule({"a": ["b"], "b": ["c"], "c": ["a"]}, {})


def test_ten_thousand_jobs_take_under_a_tenth_of_a_millisecond_each() -> None:
    size = 10_000
    needs = {n: [n - 1 - (n * k) % n for k in (7, 11, 13) if n > 20 and n % 5] for n in range(size)}
    start = time.process_time()
    schedule = make_schedule(needs, {n: float(n % 97) for n in needs})
    while (node := next(schedule.ready(), None)) is not None:
        schedule.start(node)
        schedule.settle(node, JobOutcome.BUILT)
    assert len(schedule.outcomes) == size
    assert time.process_time() - start < size * 1e-4
