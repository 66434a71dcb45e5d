"""Executes a job: environment, steps, scan, unsigned packages. It needs the job and its files, and no settings.

A step that fails, and all else that can go wrong with a job, is an outcome in the result.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from melpy import __version__, events
from melpy.apk.segment import read_segments
from melpy.arch import parse_arch
from melpy.bound import open_file
from melpy.build.model import Machine, Session
from melpy.build.reentry import load_session
from melpy.build.session import run_plan
from melpy.digest import file_digest
from melpy.engine.buildcache import CACHES, hold_cache
from melpy.engine.clock import Clock
from melpy.engine.environment import make_environment
from melpy.engine.licence import load_licence_texts
from melpy.engine.packages import draft_packages, lint_packages, write_packages
from melpy.engine.recipedir import check_unchanged
from melpy.engine.reentry import check_environment
from melpy.engine.result import Host, Result, UnsignedPackage, describe_failure
from melpy.engine.workdir import reuse_directory, work_directory
from melpy.environment.layer import open_environment
from melpy.errors import MelpyError
from melpy.files import output_error, scratch_directory
from melpy.pack.content import find_content
from melpy.sandbox.emulator import find_emulator
from melpy.sandbox.identity import find_id_range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.build.model import StepRecord
    from melpy.engine.job import Job
    from melpy.sandbox.model import Emulator, NativeTools


def execute(job: Job, monitor: events.Monitor) -> Result:
    """Build a recipe for an architecture, and leave its unsigned packages in the job's directory for results.

    Args:
        job: what is built, and where.
        monitor: is told what happens.
    """
    clock = Clock(job.name, monitor, log=job.run.locations.log)
    steps: tuple[StepRecord, ...] = ()
    packages: tuple[UnsignedPackage, ...] = ()
    failure: MelpyError | None = None
    tools: NativeTools | None = None
    emulator: Emulator | None = None
    try:
        emulator = find_emulator(parse_arch(job.inputs.plan.arch))
        with ExitStack() as stack:
            session, tools = _open_session(job, clock, emulator, stack)
            if job.run.first == 1:
                check_unchanged(job.run.locations.source_dir, job.inputs.files)
            with clock.stage("steps"):
                outcome = run_plan(job.inputs.plan, session, monitor)
                steps = outcome.records
                if outcome.failure:
                    raise outcome.failure
            with clock.stage("packages"):
                texts = load_licence_texts(job.inputs.plan, session.workspace)
                drafts = draft_packages(job.inputs, outcome.trees, job.run.solution, texts, monitor)
                for warning in lint_packages(job.inputs.plan, outcome.trees, drafts):
                    monitor.emit(warning)
                with _open_results(job.run.locations.results) as directory:
                    target = directory / job.inputs.plan.package_arch
                    entries = write_packages(job.inputs, drafts, target, whole=job.run.first == 1)
                    packages = tuple(_describe_package(target, entry) for entry in entries)
    except MelpyError as error:
        failure, packages = error, ()
    return Result(
        job=job.name,
        packages=packages,
        steps=steps,
        stages=tuple(clock.seconds.items()),
        native=tools.packages if tools else (),
        failure=describe_failure(failure) if failure else None,
        host=_describe_host(emulator),
    )


def _describe_package(directory: Path, entry: IndexEntry) -> UnsignedPackage:
    path = directory / entry.info.file_name
    with open_file(path) as stream:
        content = find_content(read_segments(stream, where=str(path)))
    return UnsignedPackage(entry, content, file_digest(path))


def _describe_host(emulator: Emulator | None) -> Host:
    machine = os.uname()
    return Host(
        name=machine.nodename,
        kernel=machine.release,
        arch=machine.machine,
        processors=len(os.sched_getaffinity(0)),
        melpy=__version__,
        emulator=emulator.interpreter or "the host's" if emulator else None,
    )


def _open_session(
    job: Job, clock: Clock, emulator: Emulator | None, stack: ExitStack
) -> tuple[Session, NativeTools | None]:
    plan, run, locations, monitor = job.inputs.plan, job.run, job.run.locations, clock.monitor
    arch = parse_arch(plan.arch)
    tools: NativeTools | None = None
    with clock.stage("root"):
        root = make_environment(plan.environment, arch).root
        layers = stack.enter_context(open_environment(run.solution, root, locations.store, monitor, job.name))
        if run.tools:
            # Its table takes 25 ms to read.
            from melpy.environment.native import Foreign, make_tools  # noqa: PLC0415  # see above

            tools = make_tools(run.tools, Foreign(arch, run.solution, layers), locations.store, monitor, job.name)
    if locations.kept:
        check_environment(load_session(locations.kept), layers, tools)
        text = f"the steps before {run.first} are those of an earlier build, and of whoever changed it since"
        monitor.emit(events.Warning(job.name, text))
    session = Session(
        name=f"{job.name}.{run.attempt}",
        directory=stack.enter_context(_open_directory(job, monitor)),
        layers=layers,
        source_dir=locations.source_dir,
        sources=run.sources,
        epoch=job.inputs.revision.epoch,
        log=locations.log,
        machine=Machine(emulator, tools, find_id_range()),
        options=run.options,
        first=run.first,
        cache=stack.enter_context(_open_cache(job)),
    )
    return session, tools


@contextmanager
def _open_cache(job: Job) -> Iterator[Path | None]:
    """Give the directory that steps see as /var/cache/melange; architectures never share one."""
    kind, plan = job.inputs.build_cache, job.inputs.plan
    if kind == "none":
        yield None
        return
    name = "shared" if kind == "shared" else f"recipe-{plan.name}"
    with hold_cache(job.run.locations.store.cache_dir / CACHES / plan.arch / name) as directory:
        yield directory


@contextmanager
def _open_directory(job: Job, monitor: events.Monitor) -> Iterator[Path]:
    plan, run = job.inputs.plan, job.run
    name = f"{plan.name}-{plan.arch}"
    if run.locations.kept:
        with reuse_directory(run.locations.kept, name, keep=run.keep) as directory:
            yield directory
    else:
        with work_directory(run.locations.store.cache_dir, name, keep=run.keep) as directory:
            yield directory
    if run.keep:
        enter = f"melpy shell {plan.name} --arch {plan.arch} enters it"
        monitor.emit(events.Note(job.name, f"kept: {directory / 'workspace'}; {enter}"))


@contextmanager
def _open_results(directory: Path) -> Iterator[Path]:
    """Give a new directory for results, which takes the place of an earlier one at the end if all went well."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with scratch_directory(directory.parent) as temporary:
            temporary.chmod(0o755)
            yield temporary
            if directory.exists():  # the same packages, of an earlier attempt
                shutil.rmtree(directory)
            temporary.rename(directory)
    except OSError as error:
        raise output_error(directory, error) from None
