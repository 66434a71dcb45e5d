"""How builds share the processors of a machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melpy.build.model import StepOptions
from melpy.build.step import find_share
from melpy.engine.share import Portion, Shares, find_processors, share_processors, write_share

if TYPE_CHECKING:
    from pathlib import Path

PORTIONS = st.builds(Portion, st.floats(0, 64), st.integers(0, 12))
BUILDS = st.dictionaries(st.sampled_from("abcdefghijkl"), PORTIONS, min_size=1)
PROCESSORS = st.sets(st.integers(0, 40), min_size=1, max_size=20).map(sorted)


@given(BUILDS, PROCESSORS, st.data())
def test_shares(portions: dict[str, Portion], processors: list[int], data: st.DataObject) -> None:
    earlier = data.draw(st.dictionaries(st.sampled_from("abcdefghijkl"), PORTIONS))
    before = share_processors(earlier, processors, {})
    shares = share_processors(portions, processors, before)
    total = len(processors)
    limits = {build: min(portion.most or total, total) for build, portion in portions.items()}
    assert shares.keys() == portions.keys()
    for build, share in shares.items():
        assert 1 <= len(share) <= limits[build]
        assert set(share) <= set(processors)
        assert len(set(share)) == len(share)
        if len(share) <= len(before.get(build, ())) and total >= max(len(portions), len(earlier)):
            assert set(share) <= set(before[build])
    uses = [sum(number in share for share in shares.values()) for number in processors]
    if total >= len(portions):
        assert max(uses) == 1
        assert sum(uses) == min(total, sum(limits.values()))
    else:
        assert [len(share) for share in shares.values()] == [1] * len(portions)
        if not before:
            assert max(uses) - min(uses) <= 1


@given(st.integers(1, 8), st.integers(1, 64))
def test_builds_that_ask_for_the_same_have_the_same_but_for_one(builds: int, processors: int) -> None:
    shares = share_processors({str(number): Portion() for number in range(builds)}, range(processors), {})
    counts = [len(share) for share in shares.values()]
    assert max(counts) - min(counts) <= 1


def test_builds_share_in_proportion_to_what_they_ask_for() -> None:
    shares = share_processors({"llvm": Portion(24.0), "gem": Portion(), "small": Portion(0.5)}, range(16), {})
    assert {build: len(share) for build, share in shares.items()} == {"llvm": 14, "gem": 1, "small": 1}
    shares = share_processors({"llvm": Portion(24.0, most=4), "gem": Portion()}, range(16), {})
    assert {build: len(share) for build, share in shares.items()} == {"llvm": 4, "gem": 12}


def test_files_have_the_shares_of_the_builds_that_run(tmp_path: Path) -> None:
    shares = Shares((0, 1, 2, 3))
    first, second = tmp_path / "results/first", tmp_path / "results/second"
    with shares.hold("a", Portion(), first) as alone:
        assert (alone, first.read_text()) == ((0, 1, 2, 3), "0 1 2 3")
        with shares.hold("b", Portion(), second) as half:
            assert half == (2, 3)
            assert (first.read_text(), second.read_text()) == ("0 1", "2 3")
        assert not second.exists()
        assert first.read_text() == "0 1 2 3"
    assert list(tmp_path.glob("results/*")) == []


def test_a_step_reads_its_share_and_without_one_has_the_processors_that_it_was_given(tmp_path: Path) -> None:
    file, own = tmp_path / "share", find_processors()
    options = StepOptions(processors=(7,), share=file)
    assert find_share(options) == (7,)
    write_share(file, own[:1])
    assert find_share(options) == (own[:1] if len(own) > 1 else ())
    write_share(file, own)
    assert find_share(options) == ()
    file.write_text("damaged")
    assert find_share(options) == (7,)
    assert find_share(StepOptions()) == ()
    assert own == tuple(sorted(os.sched_getaffinity(0)))


STEP = tuple[float, int]  # processor seconds of work, and how many processors can do it at the same time


def simulate(builds: dict[str, list[STEP]], processors: int, slots: int, fixed: int = 0) -> float:
    """Return the seconds that builds take; a step keeps the processors of its start.

    Args:
        builds: the steps of each build.
        processors: of the machine.
        slots: builds that run at the same time.
        fixed: processors of each build, always the same; 0 shares them.
    """
    waiting, left = list(builds), {build: list(steps) for build, steps in builds.items()}
    shares: dict[str, tuple[int, ...]] = {}
    used: dict[str, tuple[int, ...]] = {}  # by the running steps
    now = 0.0
    while True:
        while waiting and len(shares) < slots:
            taken = {number for share in shares.values() for number in share}
            first_free = next((n for n in range(slots) if n * fixed not in taken), 0) if fixed else 0
            shares[waiting.pop(0)] = tuple(range(first_free * fixed, (first_free + 1) * fixed))
        if not shares:
            return now
        if not fixed:
            portions = {build: Portion(sum(work for work, _width in builds[build])) for build in shares}
            shares = share_processors(portions, range(processors), shares)
        for build, share in shares.items():
            used.setdefault(build, share)
        rates = {}
        for build, share in used.items():
            each = sorted(sum(n in other for other in used.values()) for n in share)[: left[build][0][1]]
            rates[build] = sum(1 / users for users in each)
        span, first = min((left[build][0][0] / rate, build) for build, rate in rates.items())
        now += span
        for build, rate in rates.items():
            work, width = left[build][0]
            left[build][0] = (work - span * rate, width)
        del left[first][0], used[first]
        if not left[first]:
            del shares[first]


@pytest.mark.parametrize("processors", [2, 16])
def test_four_parallel_builds_take_hardly_longer_than_with_the_best_fixed_split(processors: int) -> None:
    steps: list[list[STEP]] = [
        [(30.0, 1), (scale * 400.0, processors), (20.0, 1), (scale * 100.0, processors), (10.0, 1)]
        for scale in (4.0, 1.5, 1.0, 0.7)  # the longest first, as the schedule has them
    ]
    for chosen in (steps, steps[:1] * 4, steps[:1] + steps[1:2] * 3):
        builds = {str(number): own for number, own in enumerate(chosen)}
        splits = {n: simulate(builds, processors, n, processors // n) for n in (1, 2, 4) if n <= processors}
        assert simulate(builds, processors, min(4, processors)) <= 1.1 * min(splits.values())
