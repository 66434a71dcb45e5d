"""A plan is run: workspace, sources, steps, and what they leave behind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING

from melpy import events
from melpy.build.capability import capability_xattrs
from melpy.build.step import Place, run_native, run_script
from melpy.build.tree import load_tree
from melpy.build.workspace import fill_workspace
from melpy.errors import ExtractError, MelpyError, StepFailedError
from melpy.inside import is_real_directory, make_directory
from melpy.plan.model import OUTPUT, WORKSPACE
from melpy.rootfs.environment import make_root
from melpy.sandbox.model import BASE_CAPABILITIES
from melpy.text import printable
from melpy.unpack import UNPACK_LIMIT, Limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from melpy.build.model import OutputTree
    from melpy.plan.git import GitSource
    from melpy.plan.model import PackagePlan, Plan, PlanStep, Source
    from melpy.sandbox.model import Emulator
    from melpy.source.git import Pinned

_SHOWN = 300  # characters of a line in an error; the log has all


@dataclass(frozen=True)
class Session:
    """What running a plan needs beside the plan.

    Attributes:
        directory: an empty directory of this machine, for the workspace and the root's changes.
        layers: the environment's packages, extracted; dependencies first.
        source_dir: the recipe's own files, copied into the workspace, if there are any.
        sources: the verified file of every source.
        checkouts: the verified commit of every git source.
        epoch: SOURCE_DATE_EPOCH.
        log: receives everything that the steps print.
        emulator: how foreign programs are run.
        unpack_limit: how much an archive may become.
    """

    directory: Path
    layers: Sequence[Path]
    source_dir: Path | None
    sources: Mapping[Source, Path]
    checkouts: Mapping[GitSource, Pinned]
    epoch: int
    log: Path
    emulator: Emulator | None
    unpack_limit: Limit = UNPACK_LIMIT


def run_plan(plan: Plan, session: Session, monitor: events.Monitor) -> tuple[OutputTree, ...]:
    """Run all steps of a plan and return the tree of each package, in the plan's order.

    Raises:
        StepFailedError: a step ended with another status than 0.
        ExtractError: a source cannot be unpacked.
        SandboxError: this machine cannot run the sandbox.
    """
    workspace = session.directory / "workspace"
    fill_workspace(workspace, session.source_dir)
    place = _place(plan, session, workspace)
    place.state.mkdir(parents=True, exist_ok=True)
    session.log.parent.mkdir(parents=True, exist_ok=True)
    total = sum(len(package.steps) for package in plan.packages)
    with session.log.open("w", encoding="utf-8", errors="surrogateescape") as log:
        runner = _Runner(plan, place, session.log, log, monitor, total)
        for package in plan.packages:
            make_directory(workspace, _relative(package.outdir))
            for step in package.steps:
                runner.run(step, package.name)
    return tuple(_load_output(workspace, package) for package in plan.packages)


def _load_output(workspace: Path, package: PackagePlan) -> OutputTree:
    """Read what the steps left for a package; a symlink that they put in its place is not followed."""
    place = _relative(package.outdir)
    if not is_real_directory(workspace, place):
        hint = "steps fill it, they must not replace it"
        raise ExtractError("is no directory any more, or cannot be opened", where=package.outdir, hint=hint)
    return load_tree(package.name, workspace / place, xattrs=capability_xattrs(package))


def _relative(path: str) -> str:
    assert path.startswith(OUTPUT), path
    return path.removeprefix(f"{WORKSPACE}/")


def _place(plan: Plan, session: Session, workspace: Path) -> Place:
    kept = [name for name in BASE_CAPABILITIES if name not in plan.capabilities_drop]
    return Place(
        root=make_root(session.layers, session.directory),
        workspace=workspace,
        state=session.directory / "state",
        environment={**dict(plan.environment.variables), "SOURCE_DATE_EPOCH": str(session.epoch)},
        user=plan.environment.user,
        capabilities=(*kept, *plan.capabilities_add),
        emulator=session.emulator,
        sources=session.sources,
        checkouts=session.checkouts,
        unpack_limit=session.unpack_limit,
    )


@dataclass
class _Runner:
    """Runs one step after the other and tells of each."""

    plan: Plan
    place: Place
    log_path: Path
    log: IO[str]
    monitor: events.Monitor
    total: int
    number: int = 0
    label: str = ""

    def run(self, step: PlanStep, package: str) -> None:
        self.number += 1
        job = self.plan.job
        # Steps of subpackages say whose they are.
        self.label = printable(step.label if package == self.plan.name else f"{package}: {step.label}")
        self.monitor.emit(events.StepStarted(job, self.label, self.number, self.total))
        self.log.write(f"==> step {self.number}/{self.total}: {self.label}\n")
        self.log.flush()
        start = time.monotonic()
        try:
            status, tail = self._run(step)
        except MelpyError as error:
            self._finish(start, 1)
            error.details = (*error.details, f"log: {self.log_path}")
            raise
        self._finish(start, status)
        if status:
            raise self._failure(status, tail)

    def _run(self, step: PlanStep) -> tuple[int, tuple[str, ...]]:
        on_line = partial(self._line, self.plan.job)
        if step.native:
            return run_native(step, self.place, on_line)
        return run_script(step, self.place, on_line)

    def _line(self, job: str, line: str) -> None:
        self.log.write(f"{line}\n")
        self.monitor.emit(events.Output(job, printable(line)))

    def _finish(self, start: float, status: int) -> None:
        seconds = time.monotonic() - start
        self.log.write(f"==> step {self.number}/{self.total}: status {status} after {seconds:.1f} s\n")
        event = events.StepFinished(self.plan.job, self.label, self.number, self.total, seconds, status)
        self.monitor.emit(event)

    def _failure(self, status: int, tail: Sequence[str]) -> StepFailedError:
        lines = [f"  {_shown(line)}" for line in tail]
        hint = "read the log; the workspace is kept as the step left it"
        if tail and tail[-1].startswith("bwrap: execvp /bin/sh: No such file"):
            hint = "the environment has no shell; add busybox to environment.contents.packages"
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return StepFailedError(
            f"step {self.number} of {self.total}, {self.label!r}, {ended}",
            where=self.plan.job,
            details=[*lines, f"log: {self.log_path}", f"workspace: {self.place.workspace}"],
            hint=hint,
        )


def _shown(line: str) -> str:
    text = printable(line)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
