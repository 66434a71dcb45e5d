"""From a planned recipe to a job: history, environment and sources are looked up here, and nothing of it in a job.

All that the process of the job is not trusted with, or has no means for, is done here: git, settings, indexes, servers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy import events
from melpy.codec import replace
from melpy.engine.environment import make_environment
from melpy.engine.history import Revision, date_hint, find_revision
from melpy.engine.inputs import (
    Inputs,
    RecipeFile,
    SourceDigest,
    describe_environment,
    describe_source,
    describe_stated,
    read_recipe_files,
)
from melpy.engine.job import Job, Locations, Run
from melpy.engine.limit import find_limits, find_requests
from melpy.engine.locking import find_locked
from melpy.engine.missing import resolve_build
from melpy.engine.sourcedir import find_source_directory
from melpy.errors import OutputError, reason_of
from melpy.files import check_writable
from melpy.plan.git import GitSource
from melpy.sandbox.cgroup import find_parent
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.identity import find_id_range
from melpy.sandbox.runner import check_tools, has_own_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from melpy.build.model import FetchedSources
    from melpy.build.reentry import Kept
    from melpy.engine.clock import Clock
    from melpy.engine.model import BuildSpec, PlannedBuild, Visible
    from melpy.environment.model import ToolChoice
    from melpy.environment.repository import Repositories
    from melpy.plan.model import Source
    from melpy.sandbox.model import Limits
    from melpy.solve.model import Solution


class BuildDraft(Struct, frozen=True):
    """A build whose environment is known, before its sources are there.

    Attributes:
        build: the planned recipe.
        inputs: its inputs; the revision is none yet, and neither are digests of sources that only fetching tells.
        settled: whether all digests are known, so that the key counts.
        solution: the packages of the environment.
        tools: packages of this machine that native tools are made of; None emulates all.
        source_dir: the directory of the recipe, if it has one.
    """

    build: PlannedBuild
    inputs: Inputs
    settled: bool
    solution: Solution
    tools: ToolChoice | None
    source_dir: Path | None


def draft_build(
    build: PlannedBuild,
    spec: BuildSpec,
    repositories: Repositories,
    visible: Visible,
    clock: Clock,
    find_tip: Callable[[GitSource], str],
) -> BuildDraft:
    """Find the environment of a build, and all of its inputs that nothing has to be fetched for.

    Args:
        build: the planned recipe.
        spec: what builds are prepared from.
        repositories: the repositories of the run.
        visible: packages of this machine that it may have.
        clock: measures the preparation.
        find_tip: returns the commit that a source without one is at; empty where nobody has seen one.

    Raises:
        MelpyError: the environment cannot be had, or a file of the recipe cannot be read.
    """
    tools: ToolChoice | None = None
    with clock.stage("environment"):
        solution = _find_environment(build, spec, repositories, visible)
        if find_emulator(build.arch) and not spec.steps.emulate_all:
            # Its table takes 25 ms to read.
            from melpy.environment.native import choose_tools  # noqa: PLC0415  # see above

            environment = make_environment(build.plan.environment, build.arch)
            tools = choose_tools(environment, solution, repositories, clock.monitor, build.plan.job)
    source_dir = find_source_directory(build, spec)
    known = tuple(_describe_known(source, find_tip) for source in build.plan.sources)
    inputs = Inputs(
        plan=replace(build.plan, tests=()),
        environment=describe_environment(solution, visible.own, visible.contents),
        sources=tuple(source for source in known if source),
        files=_read_files(source_dir),
        distribution=spec.distribution,
        network=spec.steps.options.network,
        build_cache=spec.steps.build_cache,
        revision=Revision("", 0),
    )
    return BuildDraft(build, inputs, all(known), solution, tools, source_dir)


def _describe_known(source: Source | GitSource, find_tip: Callable[[GitSource], str]) -> SourceDigest | None:
    stated = describe_stated(source)
    if stated or not isinstance(source, GitSource):
        return stated
    commit = find_tip(source)
    return describe_source(source, commit) if commit else None


def make_job(draft: BuildDraft, sources: FetchedSources, revision: Revision, spec: BuildSpec, results: Path) -> Job:
    """Return the job of a build whose sources are there.

    Args:
        draft: the build.
        sources: what was fetched for its steps.
        revision: the recipe's last commit.
        spec: what builds are prepared from.
        results: directory of the run's results.

    Raises:
        MelpyError: the step to begin with is unknown, or no earlier build was kept.
    """
    build = draft.build
    inputs = replace(draft.inputs, sources=_describe_sources(build, sources), revision=revision)
    first, kept = _find_first_step(build, spec)
    locations = Locations(
        store=spec.store,
        source_dir=draft.source_dir,
        results=results / inputs.identity,
        log=log_path(build, spec),
        kept=kept.directory if kept else None,
    )
    run = Run(
        locations=locations,
        solution=draft.solution,
        sources=sources,
        options=replace(spec.steps.options, limits=find_limits(build.recipe, spec.steps.options.limits)),
        tools=draft.tools,
        requests=find_requests(build.recipe),
        first=first,
        keep=spec.steps.keep,
    )
    return Job(inputs, run)


def find_commit(build: PlannedBuild, spec: BuildSpec, monitor: events.Monitor) -> Revision:
    """Return the recipe's last commit, and warn where it has none.

    Raises:
        MelpyError: git fails.
    """
    return _find_revision(build, find_source_directory(build, spec), spec, monitor)


def check_build(build: PlannedBuild, spec: BuildSpec, monitor: events.Monitor) -> None:
    """Check that this machine can make a build, before anything is fetched for it.

    Raises:
        MelpyError: a tool is missing, the repository cannot be written, or limits are malformed.
    """
    check_tools()
    check_writable(spec.out_dir / build.arch.apk)
    find_emulator(build.arch)
    _warn_of_limits(build, find_limits(build.recipe, spec.steps.options.limits), spec, monitor)
    _find_first_step(build, spec)


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
    return spec.out_dir / "logs" / build.plan.package_arch / f"{build.plan.name}-{build.plan.full_version}.log"


def _warn_of_limits(build: PlannedBuild, limits: Limits, spec: BuildSpec, monitor: events.Monitor) -> None:
    counts_none = limits.processes and os.geteuid() == 0 and find_parent() is None
    if counts_none and not has_own_id(spec.cache_dir, find_id_range()):
        text = "the kernel does not count root's processes, so the limit on them has no effect"
        hint = "build as an ordinary user, or where a control group is delegated"
        monitor.emit(events.Warning(build.plan.job, text, hint))


def _find_environment(build: PlannedBuild, spec: BuildSpec, repositories: Repositories, visible: Visible) -> Solution:
    if not spec.locks:
        own, origins = visible.packages, visible.origins
        return resolve_build(build, build.plan.environment, repositories, own=own, origins=origins)
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
