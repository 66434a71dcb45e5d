"""Estimates of builds and of runs."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from melpy.engine.estimate import Estimate, Forecaster, estimate_builds, find_spans, guess_seconds
from melpy.engine.journal import Learned
from melpy.engine.schedule import JobOutcome, make_schedule
from melpy.graph.model import Summary


def summary(name: str, *world: str, arch: str = "x86_64", cpu: float = 0.0) -> Summary:
    return Summary(f"{name}.yaml", name, "1-r0", arch, world=world, sources=("https://x.test/x.tar.gz",), cpu=cpu)


def test_a_guess_is_made_from_the_environment_and_the_processors_asked_for() -> None:
    plain, rust = summary("a", "busybox"), summary("b", "busybox", "rust", "cargo-auditable")
    assert (guess_seconds(plain), guess_seconds(rust)) == (20.0, 240.0)
    assert guess_seconds(summary("c", "clang-22", "cmake>3", cpu=32.0)) == 600.0 * 32**0.7


def test_guesses_are_scaled_by_what_is_known_of_the_same_architecture() -> None:
    own = [summary(name, "busybox", arch=arch) for name in "abc" for arch in ("x86_64", "aarch64")]
    learned = {
        own[0].id: Learned(10.0, 0.0, 0, 1),
        own[1].id: Learned(200.0, 0.0, 0, 5),
        own[3].id: Learned(400.0, 0.0, 0, 5),
    }
    found = estimate_builds({one.id: one for one in own}, learned)
    assert found[own[0].id] == Estimate(10.0, 0.3, "known/x86_64", known=True)
    assert found[own[4].id] == Estimate(10.0, 1.0, "guessed/x86_64")
    assert found[own[5].id] == Estimate(300.0, 1.0, "guessed/aarch64")


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, list[int]]:
    size = draw(st.integers(1, 12))
    return {n: draw(st.lists(st.integers(0, n - 1), max_size=3)) if n else [] for n in range(size)}


@given(graphs(), st.data())
def test_spans_of_certain_durations_are_these_durations(needs: dict[int, list[int]], data: st.DataObject) -> None:
    seconds = {node: data.draw(st.floats(0.1, 1e4)) for node in needs}
    spans = find_spans(needs, {node: Estimate(value, 0.0) for node, value in seconds.items()})
    assert all(math.isclose(spans[node], seconds[node], rel_tol=1e-6) for node in needs)


def test_many_uncertain_chains_count_more_than_one() -> None:
    needs = {"wide": [], "narrow": [], "end": ["narrow"], **{f"end{number}": ["wide"] for number in range(30)}}
    schedule = make_schedule(needs, find_spans(needs, dict.fromkeys(needs, Estimate(10.0, 1.0))))
    assert list(schedule.ready()) == ["wide", "narrow"]


@settings(max_examples=15, deadline=None)
@given(graphs())
def test_without_doubt_the_forecast_is_the_run(needs: dict[int, list[int]]) -> None:
    estimates = {node: Estimate(1.0, 0.0, known=True) for node in needs}
    left = Forecaster(estimates).forecast(needs, {}, 1)
    # The machine may still be slower than when it was learned.
    assert left.low <= len(needs) <= left.high
    assert left.high < len(needs) * 2
    again = Forecaster(estimates)
    for _ in range(200):
        again.end(0, 1.0)
    left = again.forecast(needs, {}, 1)
    assert left.low <= left.middle <= left.high < left.low * 1.2


def test_nothing_left_takes_no_time() -> None:
    assert Forecaster({}).forecast({}, {}, 4) == (0.0, 0.0, 0.0)


def run(seed: int, size: int, workers: int, *, known: bool) -> list[bool]:
    """Simulate a run with durations as the estimates say; tell whether forecasts at several moments held the end."""
    chance = random.Random(seed)
    needs = {
        n: [n - 1 - chance.randrange(min(n, 40)) for _ in range(chance.randrange(3))] if n else [] for n in range(size)
    }
    spread, doubt = (0.3, 0.2) if known else (1.0, 0.7)
    estimates = {n: Estimate(math.exp(chance.gauss(3, 1)), spread, "pool", known=known) for n in needs}
    shift = chance.gauss(0, doubt)
    seconds = {n: estimates[n].seconds * math.exp(shift + chance.gauss(0, spread)) for n in needs}
    schedule = make_schedule(needs, {n: estimate.seconds for n, estimate in estimates.items()})
    forecaster, began, now = Forecaster(estimates), dict[int, float](), 0.0
    forecasts = []
    while True:
        while len(schedule.running) < workers and (node := next(schedule.ready(), None)) is not None:
            schedule.start(node)
            began[node] = now
        if not schedule.running:
            break
        if len(schedule.outcomes) in (0, size // 4, size // 2, size * 3 // 4):
            rest = {n: schedule.needs(n) for n in schedule.left}
            left = forecaster.forecast(rest, {n: now - began[n] for n in schedule.running}, workers, 60)
            forecasts.append((now + left.low, now + left.high))
        first = min(schedule.running, key=lambda n: began[n] + seconds[n])
        now = began[first] + seconds[first]
        forecaster.end(first, seconds[first])
        schedule.settle(first, JobOutcome.BUILT)
    return [low <= now <= high for low, high in forecasts]


def test_nine_of_ten_intervals_hold_the_end_of_the_run() -> None:
    held = [
        one
        for seed in range(30)
        for known in (True, False)
        for one in run(seed, 60 + 10 * (seed % 7), 1 + seed % 9, known=known)
    ]
    assert 0.85 <= sum(held) / len(held) <= 0.97
