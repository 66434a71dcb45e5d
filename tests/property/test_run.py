"""Whatever the order in which jobs finish, all builds have the same keys, cycles included; nothing is built for it."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from melpy import events
from melpy.apk.model import PackageInfo
from melpy.arch import parse_arch
from melpy.engine.builds import find_rest, make_builds
from melpy.engine.generated import load_generated
from melpy.engine.known import Work
from melpy.engine.model import BuildSpec, PlannedBuild, PublishSpec, RunReport, RunSpec, SourceSpec
from melpy.engine.summary import make_summary
from melpy.environment.model import RepositorySpec, StoreSpec
from melpy.environment.repository import Repositories
from melpy.graph.buildgraph import BuildGraph, make_graph
from melpy.plan.library import Library
from melpy.plan.planner import evaluate_recipe, find_arches, make_plan
from melpy.recipe.load import parse_recipe
from melpy.repo.model import Location
from melpy.repo.remote import ServerCache
from tests.factories.pretend import Pretender
from tests.factories.repository import Repository, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from melpy.arch import Arch
    from melpy.engine.job import Job
    from melpy.graph.model import Generated

ARCHES = (parse_arch("x86_64"), parse_arch("aarch64"))
MOST = 6
NAMES = tuple(f"r{number}" for number in range(MOST))
SLOW = 0.004  # seconds between the ends of two jobs that run at the same time

Needs = tuple[tuple[str, ...], ...]
"""Of each recipe, the packages of its environment."""

RING = (("r1-dev",), ("r2-dev",), ("r0-dev",), ("r0-dev", "cmd:r4"), (), ("r3", "so:libr1.so.1"))
"""A cycle, what needs it, and names that are known only once packages are built."""


@dataclass(frozen=True)
class Place:
    """A repository of first versions of all packages, which all examples share."""

    outside: Repository


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Place:
    require("bwrap")
    return make_place(tmp_path_factory.mktemp("outside"))


def make_place(directory: Path, version: str = "0-r0") -> Place:
    repository = make_repository(directory)
    names = [name + end for name in NAMES for end in ("", "-dev")]
    for arch in ARCHES:
        packages = [PackageInfo(name=name, version=version, arch=arch.apk, origin=name) for name in names]
        repository.add_all([(info, repository.root / "nothing") for info in packages])
    return Place(repository)


@st.composite
def forests(draw: st.DrawFn) -> Needs:
    """Return what recipes need: packages of any recipe, their own included, and names that the first one generates."""
    count = draw(st.integers(2, MOST))
    asked = [name + end for name in NAMES[:count] for end in ("", "-dev")]
    lists = st.lists(st.sampled_from(asked), max_size=2, unique=True)
    later = st.lists(st.sampled_from([*asked, "cmd:r0", "so:libr0.so.1"]), max_size=2, unique=True)
    return ((), *(tuple(draw(lists if number < 3 else later)) for number in range(1, count)))


def plan(directory: Path, name: str, needs: tuple[str, ...], target: str, arches: Sequence[Arch]) -> list[PlannedBuild]:
    listed = "".join(f"\n      - {need}" for need in needs) or " []"
    text = (
        f"package:\n  name: {name}\n  version: 1\n  epoch: 0\n  description: a recipe\n"
        f"  target-architecture: [{target}]\n"
        f"environment:\n  contents:\n    packages:{listed}\n"
        f"pipeline:\n  - runs: 'true'\nsubpackages:\n  - name: {name}-dev\n"
    )
    path = directory / f"{name}.yaml"
    path.write_text(text)
    recipe = parse_recipe(text, path)
    found = [(arch, evaluate_recipe(recipe, arch, Library(()))) for arch in find_arches(recipe, arches)]
    return [PlannedBuild(recipe, make_plan(one), arch, evaluation=one) for arch, one in found]


def prepare(
    directory: Path, place: Place, needs: Needs, once: Collection[str] = ()
) -> tuple[Work, BuildSpec, Repositories]:
    """Read recipes and order them: for one architecture, or for two where some are built once for both."""
    arches = ARCHES if once else ARCHES[:1]
    targets = {name: "noarch" if name in once else "all" for name in NAMES}
    named = zip(NAMES, needs, strict=False)
    builds = [build for name, asked in named for build in plan(directory, name, asked, targets[name], arches)]
    evaluations = [build.evaluation for build in builds if build.evaluation]
    summaries = [make_summary(found, Library(()), arches) for found in evaluations]
    servers = ServerCache(directory / "cache")
    outside = Location(str(place.outside.root))
    repositories = RepositorySpec(directory / "out", servers, (outside,), (str(place.outside.public_key),))
    spec = BuildSpec(repositories, StoreSpec(servers.directory, servers), SourceSpec(servers.directory), epoch=0)
    found = Repositories(repositories)

    def remake(built: Generated) -> BuildGraph:
        known = load_generated(directory / "out", [arch.apk for arch in arches])
        return make_graph(summaries, outside=found.offers, provides={**known, **built})

    plans = {summary.id: build for summary, build in zip(summaries, builds, strict=True)}
    return Work(remake({}), dict.fromkeys(plans, True), plans.__getitem__, remake, "all"), spec, found


def run(
    directory: Path,
    place: Place,
    needs: Needs,
    workers: int,
    wait: Callable[[Job], object],
    once: Collection[str] = (),
) -> tuple[RunReport, Pretender]:
    """Make all builds of recipes that are not up to date."""
    work, spec, found = prepare(directory, place, needs, once)
    pretender = Pretender(wait)
    options = RunSpec(workers)
    report = make_builds(work, spec, options, PublishSpec(directory / "out"), pretender, found, events.Null())
    return report, pretender


def outcome(
    place: Place,
    needs: Needs,
    workers: int = 1,
    wait: Callable[[Job], object] = lambda _job: None,
    once: Collection[str] = (),
) -> tuple[object, ...]:
    """Return what became of each build, the keys of all jobs that were executed, and the digests of all packages."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        report, pretender = run(directory, place, needs, workers, wait, once)
        # Commit and identity follow from the place; keys do not.
        files = directory.glob("out/*/*.apk")
        packages = {f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        keys = sorted((job.name, job.inputs.key) for job in pretender.jobs)
        return sorted((job.job, job.outcome, str(job.failure)) for job in report.jobs), keys, packages


@settings(max_examples=25, deadline=None)
@given(needs=forests(), workers=st.integers(2, 4), seed=st.integers(0, 9))
@example(needs=RING, workers=4, seed=1)
@example(needs=RING, workers=2, seed=2)
def test_any_order_of_finishing_gives_equal_keys(place: Place, needs: Needs, workers: int, seed: int) -> None:
    ranks = dict(zip(random.Random(seed).sample(NAMES, len(NAMES)), range(MOST), strict=True))
    expected = outcome(place, needs)
    found = outcome(place, needs, workers, lambda job: time.sleep(SLOW * ranks[job.inputs.plan.name]))
    assert found == expected
    assert all(end == "built" for _, end, _ in expected[0])  # type: ignore[attr-defined]  # reports come first


@settings(max_examples=15, deadline=None)
@given(needs=forests(), seed=st.integers(0, 9), once=st.sets(st.sampled_from(NAMES[:3]), min_size=1))
@example(needs=RING, seed=1, once={"r0", "r4"})
def test_any_order_gives_equal_keys_where_some_are_built_once(
    place: Place, needs: Needs, seed: int, once: set[str]
) -> None:
    ranks = dict(zip(random.Random(seed).sample(NAMES, len(NAMES)), range(MOST), strict=True))
    expected = outcome(place, needs, once=once)
    found = outcome(place, needs, 4, lambda job: time.sleep(SLOW * ranks[job.inputs.plan.name]), once)
    assert found == expected
    reports, _, packages = expected
    assert all(end == "built" for _, end, _ in reports)  # type: ignore[attr-defined]  # as above
    for name in once.intersection(NAMES[: len(needs)]):
        one, other = (packages[f"{arch}/{name}-1-r0.apk"] for arch in ARCHES)  # type: ignore[index]  # by their places
        assert one == other


@pytest.mark.parametrize(("once", "count"), [((), len(RING)), (("r0", "r4"), 2 * len(RING) - 2)])
def test_a_second_run_executes_nothing(tmp_path: Path, place: Place, once: tuple[str, ...], count: int) -> None:
    """Names that packages were found to provide make another graph of the same builds."""
    _, first = run(tmp_path, place, RING, 2, lambda _job: None, once)
    assert len({job.name for job in first.jobs}) == count
    known = count_stamps(tmp_path)
    report, second = run(tmp_path, place, RING, 2, lambda _job: None, once)
    assert [job.outcome for job in report.jobs] == ["up-to-date"] * count
    assert second.jobs == []
    assert count_stamps(tmp_path) == known  # no environment was resolved


def is_at_rest(directory: Path, place: Place, needs: Needs, once: Collection[str] = ()) -> bool:
    """Tell whether a run stamp says that there is nothing to do."""
    work, spec, found = prepare(directory, place, needs, once)
    monitor = events.Tape()
    report = find_rest(tuple(work.graph.summaries.values()), work.asked, spec, RunSpec(), found, monitor)
    if report is None:
        assert monitor.events == []
        return False
    assert {(job.job, job.outcome) for job in report.jobs} == {
        (f"{build.recipe}-1-r0/{build.arch}", "up-to-date") for build in work.chosen
    }
    return True


def make_index(directory: Path) -> None:
    """Let the repository have an index of an architecture that the run is not over."""
    directory.mkdir()
    (directory / "APKINDEX.tar.gz").write_bytes(b"")


def make_patch(directory: Path) -> None:
    directory.mkdir()
    (directory / "patch").write_text("a")


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "file": lambda directory: next(iter(sorted(directory.glob("out/x86_64/r1-*.apk")))).unlink(),
    "cut": lambda directory: (directory / "out/x86_64/r0-1-r0.apk").write_bytes(b"short"),
    "index": lambda directory: (directory / "out/x86_64/APKINDEX.tar.gz").unlink(),
    "journal": lambda directory: (directory / "cache/journal.sqlite").unlink(),
    "beside": lambda directory: make_patch(directory / "r0"),
    "other": lambda directory: make_index(directory / "out/s390x"),
}


@settings(max_examples=12, deadline=None)
@given(needs=forests(), change=st.sampled_from(sorted(CHANGES)), once=st.sets(st.sampled_from(NAMES[:2]), max_size=1))
@example(needs=RING, change="nothing", once=set())
@example(needs=RING, change="nothing", once={"r0"})
@example(needs=RING, change="file", once=set())
@example(needs=RING, change="other", once={"r0"})
def test_a_run_that_is_said_to_have_nothing_to_do_has_nothing_to_do(
    place: Place, needs: Needs, change: str, once: set[str]
) -> None:
    """It is known after a run that built all; whatever changes then, no run stamp says otherwise than the builds."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        assert not is_at_rest(directory, place, needs, once)
        run(directory, place, needs, 2, lambda _job: None, once)
        assert is_at_rest(directory, place, needs, once)
        CHANGES[change](directory)
        at_rest = is_at_rest(directory, place, needs, once)
        assert at_rest == (change == "nothing" or (change == "other" and not once))
        report, _ = run(directory, place, needs, 2, lambda _job: None, once)
        assert at_rest <= all(job.outcome == "up-to-date" for job in report.jobs)
        assert all(job.failure is None for job in report.jobs)
        assert is_at_rest(directory, place, needs, once)


def test_other_recipes_and_repositories_are_another_run(tmp_path: Path, place: Place) -> None:
    run(tmp_path, place, RING, 2, lambda _job: None)
    assert is_at_rest(tmp_path, place, RING)
    assert not is_at_rest(tmp_path, place, RING[:-1])
    assert not is_at_rest(tmp_path, place, (*RING[:4], ("r1-dev",), RING[5]))
    assert not is_at_rest(tmp_path, make_place(tmp_path / "other", "0-r1"), RING)


def count_stamps(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "cache/journal.sqlite")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM stamps").fetchone()
        assert isinstance(count, int)
        return count
