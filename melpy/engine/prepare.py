"""From a planned recipe to a job: history, environment and sources are looked up here, and nothing of it in a job.

All that the process of the job is not trusted with, or has no means for, is done here: git, settings, indexes, servers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy import events
from melpy.codec import replace
from melpy.engine.environment import make_environment
from melpy.engine.history import date_hint, find_revision
from melpy.engine.inputs import (
    Inputs,
    RecipeFile,
    SourceDigest,
    describe_environment,
    describe_source,
    read_recipe_files,
)
from melpy.engine.job import Job, Locations, Run
from melpy.engine.limit import find_limits, find_requests
from melpy.engine.locking import find_locked
from melpy.engine.missing import resolve_build
from melpy.engine.source import fetch_sources
from melpy.engine.sourcedir import find_source_directory
from melpy.errors import OutputError, reason_of
from melpy.files import check_writable
from melpy.plan.git import GitSource
from melpy.sandbox.cgroup import find_parent
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.identity import find_id_range
from melpy.sandbox.runner import check_tools, has_own_id

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.build.model import FetchedSources
    from melpy.build.reentry import Kept
    from melpy.engine.clock import Clock
    from melpy.engine.history import Revision
    from melpy.engine.model import BuildSpec, PlannedBuild, Visible
    from melpy.engine.publish import Stage
    from melpy.environment.model import ToolChoice
    from melpy.environment.repository import Repositories
    from melpy.sandbox.model import Limits
    from melpy.solve.model import Solution


def prepare(build: PlannedBuild, spec: BuildSpec, stage: Stage, clock: Clock) -> Job:
    """Return the job of a planned recipe.

    Args:
        build: the planned recipe.
        spec: what builds are prepared from.
        stage: the repositories, and what was built in this run.
        clock: measures the preparation.

    Raises:
        MelpyError: what can go wrong; see `melpy.errors`.
    """
    monitor = clock.monitor
    check_tools()
    check_writable(spec.out_dir / build.arch.apk)
    emulator = find_emulator(build.arch)
    limits = find_limits(build.recipe, spec.steps.options.limits)
    _warn_of_limits(build, limits, spec, monitor)
    first, kept = _find_first_step(build, spec)
    source_dir = find_source_directory(build, spec)
    log = log_path(build, spec)
    clock.begin(log)
    with clock.stage("history"):
        revision = _find_revision(build, source_dir, spec, monitor)
    tools: ToolChoice | None = None
    with clock.stage("environment"):
        visible = stage.visible(build.arch.apk)
        solution = _find_environment(build, spec, stage.repositories, visible)
        if emulator and not spec.steps.emulate_all:
            # Its table takes 25 ms to read.
            from melpy.environment.native import choose_tools  # noqa: PLC0415  # see above

            environment = make_environment(build.plan.environment, build.arch)
            tools = choose_tools(environment, solution, stage.repositories, monitor, build.plan.job)
    with clock.stage("sources"):
        sources = fetch_sources(build.plan.sources, spec.sources, monitor, build.plan.job, build.evaluation)
    inputs = Inputs(
        plan=replace(build.plan, tests=()),
        environment=describe_environment(solution, visible.own),
        sources=_describe_sources(build, sources),
        files=_read_files(source_dir),
        distribution=spec.distribution,
        network=spec.steps.options.network,
        build_cache=spec.steps.build_cache,
        revision=revision,
    )
    locations = Locations(
        store=spec.store,
        source_dir=source_dir,
        results=stage.results / inputs.identity,
        log=log,
        kept=kept.directory if kept else None,
    )
    run = Run(
        locations=locations,
        solution=solution,
        sources=sources,
        options=replace(spec.steps.options, limits=limits),
        tools=tools,
        requests=find_requests(build.recipe),
        first=first,
        keep=spec.steps.keep,
    )
    return Job(inputs, run)


def _find_first_step(build: PlannedBuild, spec: BuildSpec) -> tuple[int, Kept | None]:
    if not spec.steps.from_step:
        return 1, None
    from melpy.engine.reentry import find_first_step  # noqa: PLC0415  # 7 ms that builds from the beginning do without

    return find_first_step(build, spec)


def _describe_sources(build: PlannedBuild, fetched: FetchedSources) -> tuple[SourceDigest, ...]:
    return tuple(
        describe_source(one, fetched.find_commit(one).commit if isinstance(one, GitSource) else fetched.find_file(one))
        for one in build.plan.sources
    )


def _read_files(directory: Path | None) -> tuple[RecipeFile, ...]:
    try:
        return read_recipe_files(directory)
    except OSError as error:
        raise OutputError(f"cannot be read: {reason_of(error)}", where=str(error.filename or directory)) from None


def log_path(build: PlannedBuild, spec: BuildSpec) -> Path:
    """Return where what the steps of a build print is written."""
    return spec.out_dir / "logs" / build.arch.apk / f"{build.plan.name}-{build.plan.full_version}.log"


def _warn_of_limits(build: PlannedBuild, limits: Limits, spec: BuildSpec, monitor: events.Monitor) -> None:
    counts_none = limits.processes and os.geteuid() == 0 and find_parent() is None
    if counts_none and not has_own_id(spec.cache_dir, find_id_range()):
        text = "the kernel does not count root's processes, so the limit on them has no effect"
        hint = "build as an ordinary user, or where a control group is delegated"
        monitor.emit(events.Warning(build.plan.job, text, hint))


def _find_environment(build: PlannedBuild, spec: BuildSpec, repositories: Repositories, visible: Visible) -> Solution:
    if not spec.locks:
        return resolve_build(build, build.plan.environment, repositories, own=visible.packages)
    path, lock = next((path, lock) for path, lock in spec.locks if lock.arch == build.arch.apk)
    return find_locked(build, lock, spec.repositories, path, staged=visible.staged)


def _date_warning(build: PlannedBuild, revision: Revision, spec: BuildSpec) -> events.Warning:
    """Return the warning that a package has no commit to take its date from, or perhaps a wrong one."""
    if spec.epoch is not None:
        return events.Warning(build.plan.job, f"{revision.problem}; SOURCE_DATE_EPOCH is taken from the environment")
    hint = date_hint(build.recipe.path, revision)
    if revision.epoch or revision.commit:
        return events.Warning(build.plan.job, f"{revision.problem}; SOURCE_DATE_EPOCH is {revision.epoch}", hint)
    return events.Warning("", f"{revision.problem}, so files of its packages are dated 1970-01-01", hint)


def _find_revision(build: PlannedBuild, source_dir: Path | None, spec: BuildSpec, monitor: events.Monitor) -> Revision:
    paths = [build.recipe.path, *([source_dir] if source_dir else []), *build.pipeline_files]
    is_told = False

    def tell(count: int) -> None:
        nonlocal is_told
        if not is_told:
            monitor.emit(events.Note(build.plan.job, "looking for the recipe's last commit, through a long history"))
        is_told = True
        monitor.emit(events.StageStarted(build.plan.job, "history", f"{count:,} commits"))

    revision = find_revision(paths, spec.cache_dir, tell)
    if revision.problem:
        monitor.emit(_date_warning(build, revision, spec))
    return revision if spec.epoch is None else replace(revision, epoch=spec.epoch)
