"""One recipe for one architecture, from plan to packages in the repository."""

from __future__ import annotations

import glob
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from melpy import events
from melpy.build.session import Session, run_plan
from melpy.build.workspace import remove_tree
from melpy.engine.environment import Repositories, ensure_environment, resolve_environment
from melpy.engine.history import Revision, find_revision
from melpy.engine.locking import find_locked
from melpy.engine.model import BuildContext, BuildResult, Job
from melpy.engine.packages import write_packages
from melpy.engine.source import fetch_sources
from melpy.errors import StepFailedError
from melpy.files import check_writable, output_error
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.runner import check_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    revision = _revision(job, context, monitor)
    clock = _Clock(job.plan.job, monitor)
    log = context.out_dir / "logs" / job.arch.apk / f"{job.plan.name}-{job.plan.full_version}.log"
    monitor.emit(events.JobStarted(job.plan.job, log))
    start = time.monotonic()
    ok = False
    try:
        with clock.stage("environment"):
            solution = _find_environment(job, context, repositories)
            layers = ensure_environment(solution, context, monitor, job.plan.job)
        with clock.stage("sources"):
            sources, checkouts = fetch_sources(job.plan.sources, context.sources, monitor, job.plan.job)
        with _work_directory(job, context) as directory:
            files = _source_dir(job)
            session = Session(
                directory,
                layers,
                files,
                sources,
                checkouts,
                revision.epoch,
                log,
                emulator,
                unpack_limit=context.unpack_limit,
            )
            with clock.stage("steps"):
                trees = run_plan(job.plan, session, monitor)
            with clock.stage("packages"):
                built = write_packages(job.plan, trees, solution, revision, context, monitor)
        ok = True
    finally:
        monitor.emit(events.JobFinished(job.plan.job, time.monotonic() - start, ok))
    return BuildResult(job.plan.job, built, tuple(clock.seconds.items()), log)


def _find_environment(job: Job, context: BuildContext, repositories: Repositories) -> Solution:
    if not context.locks:
        where = f"{job.plan.recipe}: environment for {job.plan.arch}"
        return resolve_environment(job.plan.environment, job.arch, repositories, where=where)
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


def _source_dir(job: Job) -> Path | None:
    directory = job.recipe.path.parent / job.recipe.path.stem
    return directory if directory.is_dir() else None


def _revision(job: Job, context: BuildContext, monitor: events.Monitor) -> Revision:
    directory = _source_dir(job)
    paths = [job.recipe.path, *([directory] if directory else []), *job.pipeline_files]
    revision = find_revision(paths)
    if revision.problem:
        taken = "SOURCE_DATE_EPOCH is taken from the environment" if context.epoch is not None else ""
        epoch = taken or f"SOURCE_DATE_EPOCH is {revision.epoch}"
        monitor.emit(events.Warning(job.plan.job, f"{revision.problem}; {epoch}"))
    return revision if context.epoch is None else Revision(revision.commit, context.epoch, revision.problem)


@contextmanager
def _work_directory(job: Job, context: BuildContext) -> Iterator[Path]:
    base = context.cache_dir / "work"
    prefix = f"{job.plan.name}-{job.arch.apk}-"
    for failed in base.glob(f"{glob.escape(prefix)}*/failed"):
        remove_tree(failed.parent)  # one failure of a recipe is kept, the last
    try:
        base.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(dir=base, prefix=prefix))
    except OSError as error:
        raise output_error(base, error) from None
    try:
        yield directory
    except StepFailedError:
        (directory / "failed").touch()  # its workspace is for the user to look into
        raise
    except BaseException:
        remove_tree(directory)
        raise
    if not context.keep_workspace:
        remove_tree(directory)
