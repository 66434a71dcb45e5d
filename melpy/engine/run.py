"""The builds of a run, one after the other, each after those it needs; what was built is published at the end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.clock import Clock
from melpy.engine.locate import locate_failure
from melpy.engine.prepare import prepare
from melpy.engine.publish import Stage, publish
from melpy.engine.range import check_ranges
from melpy.engine.record import write_record
from melpy.engine.result import make_error
from melpy.engine.resultdir import keep_results, open_results
from melpy.environment.repository import Repositories
from melpy.errors import CycleError, MelpyError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.engine.job import Job
    from melpy.engine.model import BuildResult, BuildSpec, Executor, PlannedBuild, PublishSpec
    from melpy.engine.result import Result


def order_builds(builds: Sequence[PlannedBuild]) -> tuple[PlannedBuild, ...]:
    """Return builds in the order in which they can be made: architecture by architecture.

    Raises:
        CycleError: recipes need one another.
        RecipeError: two recipes make the same package.
    """
    if len(builds) < 2:
        return tuple(builds)
    from melpy.engine.cycle import explain_cycle  # noqa: PLC0415  # networkx takes 150 ms, one recipe needs no order
    from melpy.graph.order import order_plans  # noqa: PLC0415  # likewise

    ordered: list[PlannedBuild] = []
    for arch in dict.fromkeys(build.arch for build in builds):
        own = [build for build in builds if build.arch == arch]
        by_name = {build.plan.name: build for build in own}
        try:
            ordered += [by_name[plan.name] for plan in order_plans([build.plan for build in own])]
        except CycleError as error:
            known = {build.plan.name: build.evaluation for build in own if build.evaluation}
            raise explain_cycle(error.edges, known) from None
    return tuple(ordered)


def run_builds(
    builds: Sequence[PlannedBuild],
    spec: BuildSpec,
    publication: PublishSpec,
    executor: Executor,
    monitor: events.Monitor,
) -> tuple[tuple[BuildResult, ...], MelpyError | None]:
    """Make all builds in order, up to the first that fails, and publish what was built.

    Args:
        builds: the builds.
        spec: what they are prepared from.
        executor: executes the jobs.
        publication: where packages are published, and how they are signed.
        monitor: is told what happens.

    Returns:
        What was published, and why not all was built.

    Raises:
        FaultsError: ranges of recipes need packages that nobody has.
        CycleError: recipes need one another.
        MelpyError: the packages cannot be published.
    """
    repositories = Repositories(spec.repositories)
    monitor = events.Once(monitor)
    ordered = order_builds(builds)
    check_ranges(ordered, repositories)
    with open_results(spec.cache_dir) as directory:
        stage = Stage(repositories, directory)
        failure: MelpyError | None = None
        results: tuple[BuildResult, ...] = ()
        try:
            failure = _run_all(ordered, spec, stage, executor, monitor)
        finally:
            # What was built before an interrupt is not lost either.
            if stage.builds:
                results = _publish(stage, publication, failure, monitor)
    return results, failure


def _run_all(
    builds: Sequence[PlannedBuild], spec: BuildSpec, stage: Stage, executor: Executor, monitor: events.Monitor
) -> MelpyError | None:
    for number, build in enumerate(builds, 1):
        failure = run_build(build, spec, stage, executor, monitor)
        if failure:
            failure.job = build.plan.job
            left = ", ".join(other.plan.job for other in builds[number:])
            if left:
                monitor.emit(events.Warning("", f"not built, since {build.plan.job} failed: {left}"))
            return failure
    return None


def _publish(
    stage: Stage, publication: PublishSpec, failure: MelpyError | None, monitor: events.Monitor
) -> tuple[BuildResult, ...]:
    """Publish what was built; keep what cannot be published, and say where.

    Raises:
        MelpyError: it cannot be published; where a build failed as well, that is raised and this is only told.
    """
    try:
        return publish(stage.builds, publication, monitor)
    except MelpyError as error:
        with suppress(OSError):
            place = keep_results(stage.results)
            text = f"  the unsigned packages are in {place}, until melpy clean removes them"
            error.details = (*error.details, text)
        if failure is None:
            raise
        details = "; ".join(line.strip() for line in error.details)
        monitor.emit(events.Warning("", f"{error}; {details}", error.hint or ""))
        return ()


def run_build(
    build: PlannedBuild, spec: BuildSpec, stage: Stage, executor: Executor, monitor: events.Monitor
) -> MelpyError | None:
    """Make a build and stage its packages; return why it failed, or None."""
    clock = Clock(build.plan.job, monitor)
    job: Job | None = None
    result: Result | None = None
    failure: MelpyError | None = None
    try:
        job = prepare(build, spec, stage, clock)
        result = executor.execute(job, monitor)
        for name, seconds in result.stages:
            clock.seconds[name] = clock.seconds.get(name, 0.0) + seconds
        if result.failure:
            failure = make_error(result.failure)
        else:
            stage.add(job, result, clock)
    except MelpyError as error:
        failure = error
    finally:
        if clock.log:
            ok = failure is None and result is not None  # an interrupt leaves neither
            # Where something failed, that is more useful than what is wrong with the record.
            with suppress(*(() if ok else (OutputError,))):
                if job:  # what cannot be prepared has no record
                    write_record(job, result, clock)
            monitor.emit(events.JobFinished(build.plan.job, clock.elapsed, ok))
    if failure:
        locate_failure(failure, build)
    return failure
