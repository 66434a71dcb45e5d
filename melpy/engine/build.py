"""One recipe for one architecture, from plan to packages in the repository."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy import events
from melpy.build.model import Session
from melpy.build.session import run_plan
from melpy.codec import replace
from melpy.engine.buildcache import CACHES, hold_cache
from melpy.engine.environment import Repositories, ensure_environment
from melpy.engine.history import date_hint, find_revision
from melpy.engine.licence import load_licence_texts
from melpy.engine.limit import find_limits, find_requests
from melpy.engine.locate import locate_step
from melpy.engine.locking import find_locked
from melpy.engine.missing import resolve_job
from melpy.engine.model import BuildContext, BuildResult, Job
from melpy.engine.packages import write_packages
from melpy.engine.record import Facts, write_record
from melpy.engine.reentry import check_environment, find_first_step
from melpy.engine.source import fetch_sources
from melpy.engine.sourcedir import find_source_directory
from melpy.engine.workdir import reuse_directory, work_directory
from melpy.errors import MelpyError, OutputError
from melpy.files import check_writable
from melpy.sandbox.cgroup import find_parent
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.identity import find_id_range
from melpy.sandbox.runner import check_tools, has_own_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from melpy.build.model import OutputTree, StepRecord
    from melpy.engine.history import Revision
    from melpy.sandbox.model import Limits, NativeTools
    from melpy.solve.model import Solution


def build_job(job: Job, context: BuildContext, repositories: Repositories, monitor: events.Monitor) -> BuildResult:
    """Build a recipe for an architecture and put its packages into the repository.

    The repository changes only when everything is done: packages first, then the index.

    Raises:
        MelpyError: what can go wrong; see `melpy.errors`.
    """
    check_tools()
    check_writable(context.out_dir / job.arch.apk)
    emulator = find_emulator(job.arch)
    limits, requests = find_limits(job.recipe, context.limits), find_requests(job.recipe)
    _warn_of_limits(job, limits, context, monitor)
    first, kept = find_first_step(job, context)
    source_dir = find_source_directory(job, context)
    clock = _Clock(job.plan.job, monitor)
    log = log_path(job, context)
    monitor.emit(events.JobStarted(job.plan.job, log))
    start = time.monotonic()
    steps: list[StepRecord] = []
    tools: NativeTools | None = None
    ok = False
    try:
        with ExitStack() as stack:
            with clock.stage("history"):
                revision = _find_revision(job, source_dir, context, monitor)
            with clock.stage("environment"):
                solution = _find_environment(job, context, repositories)
                opened = ensure_environment(solution, job.plan.environment, job.arch, context, monitor, job.plan.job)
                layers = stack.enter_context(opened)
                if emulator and not context.emulate_all:
                    from melpy.engine.native import find_tools  # noqa: PLC0415  # its table takes 25 ms to read

                    tools = find_tools(job, solution, layers, repositories, monitor)
            if kept:
                check_environment(kept, layers, tools)
                text = f"the steps before {first} are those of an earlier build, and of whoever changed it since"
                monitor.emit(events.Warning(job.plan.job, text))
            with clock.stage("sources"):
                sources, checkouts = fetch_sources(
                    job.plan.sources, context.sources, monitor, job.plan.job, job.evaluation
                )
            directory = stack.enter_context(_open_directory(job, context, kept.directory if kept else None, monitor))
            session = Session(
                directory=directory,
                layers=layers,
                source_dir=source_dir,
                sources=sources,
                checkouts=checkouts,
                epoch=revision.epoch,
                log=log,
                emulator=emulator,
                tools=tools,
                ids=find_id_range(),
                limits=limits,
                network=context.network,
                debug=context.debug,
                first=first,
                cache=stack.enter_context(_open_cache(job, context)),
                unpack_limit=context.unpack_limit,
            )
            with clock.stage("steps"):
                trees = _run_steps(job, session, monitor, steps)
            with clock.stage("packages"):
                texts = load_licence_texts(job, session.workspace)
                built = write_packages(job.plan, trees, solution, revision, texts, context, monitor)
        ok = True
    finally:
        seconds = time.monotonic() - start
        facts = Facts(
            ok=ok,
            seconds=seconds,
            stages=clock.seconds,
            emulator=emulator,
            tools=tools,
            limits=limits,
            requests=requests,
            network=context.network,
            build_cache=context.build_cache,
            first=first,
        )
        with suppress(*(() if ok else (OutputError,))):  # what went wrong says more
            write_record(job, log, facts, steps)
        monitor.emit(events.JobFinished(job.plan.job, seconds, ok))
    return BuildResult(job.plan.job, built, tuple(clock.seconds.items()), log)


def _run_steps(job: Job, session: Session, monitor: events.Monitor, steps: list[StepRecord]) -> tuple[OutputTree, ...]:
    try:
        return run_plan(job.plan, session, monitor, steps)
    except MelpyError as error:
        locate_step(error, job.evaluation)
        raise


def _warn_of_limits(job: Job, limits: Limits, context: BuildContext, monitor: events.Monitor) -> None:
    counts_none = limits.processes and os.geteuid() == 0 and find_parent() is None
    if counts_none and not has_own_id(context.cache_dir, find_id_range()):
        text = "the kernel does not count root's processes, so the limit on them has no effect"
        hint = "build as an ordinary user, or where a control group is delegated"
        monitor.emit(events.Warning(job.plan.job, text, hint))


@contextmanager
def _open_cache(job: Job, context: BuildContext) -> Iterator[Path | None]:
    """Give what steps see as /var/cache/melange; architectures never share it, recipes only when asked to."""
    if context.build_cache == "none":
        yield None
        return
    name = "shared" if context.build_cache == "shared" else f"recipe-{job.plan.name}"
    with hold_cache(context.cache_dir / CACHES / job.arch.apk / name) as directory:
        yield directory


def log_path(job: Job, context: BuildContext) -> Path:
    """Return where what the steps of a build print is written."""
    return context.out_dir / "logs" / job.arch.apk / f"{job.plan.name}-{job.plan.full_version}.log"


@contextmanager
def _open_directory(job: Job, context: BuildContext, kept: Path | None, monitor: events.Monitor) -> Iterator[Path]:
    name = f"{job.plan.name}-{job.arch.apk}"
    if kept:
        with reuse_directory(kept, name, keep=context.keep) as directory:
            yield directory
    else:
        with work_directory(context.cache_dir, name, keep=context.keep) as directory:
            yield directory
    if context.keep:
        enter = f"melpy shell {job.plan.name} --arch {job.arch.apk} enters it"
        monitor.emit(events.Note(job.plan.job, f"kept: {directory / 'workspace'}; {enter}"))


def _find_environment(job: Job, context: BuildContext, repositories: Repositories) -> Solution:
    if not context.locks:
        return resolve_job(job, job.plan.environment, repositories)
    path, lock = next((path, lock) for path, lock in context.locks if lock.arch == job.arch.apk)
    return find_locked(job, lock, context, path)


@dataclass
class _Clock:
    """Measures stages and tells of them."""

    job: str
    monitor: events.Monitor
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.monitor.emit(events.StageStarted(self.job, name))
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start
        self.monitor.emit(events.StageFinished(self.job, name, self.seconds[name]))


def _date_warning(job: Job, revision: Revision, context: BuildContext) -> events.Warning:
    """Return the warning that a package has no commit to take its date from, or perhaps a wrong one."""
    if context.epoch is not None:
        return events.Warning(job.plan.job, f"{revision.problem}; SOURCE_DATE_EPOCH is taken from the environment")
    hint = date_hint(job.recipe.path, revision)
    if revision.epoch or revision.commit:
        return events.Warning(job.plan.job, f"{revision.problem}; SOURCE_DATE_EPOCH is {revision.epoch}", hint)
    return events.Warning("", f"{revision.problem}, so files of its packages are dated 1970-01-01", hint)


def _find_revision(job: Job, source_dir: Path | None, context: BuildContext, monitor: events.Monitor) -> Revision:
    paths = [job.recipe.path, *([source_dir] if source_dir else []), *job.pipeline_files]
    is_told = False

    def tell(count: int) -> None:
        nonlocal is_told
        if not is_told:
            monitor.emit(events.Note(job.plan.job, "looking for the recipe's last commit, through a long history"))
        is_told = True
        monitor.emit(events.StageStarted(job.plan.job, "history", f"{count:,} commits"))

    revision = find_revision(paths, context.cache_dir, tell)
    if revision.problem:
        monitor.emit(_date_warning(job, revision, context))
    return revision if context.epoch is None else replace(revision, epoch=context.epoch)
