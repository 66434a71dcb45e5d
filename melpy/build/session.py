"""A plan is run: workspace, sources, steps, and what they leave behind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import IO, TYPE_CHECKING

from melpy import events
from melpy.build.capability import capability_xattrs
from melpy.build.change import Snapshot, find_changes, look_at
from melpy.build.failure import explain_failure
from melpy.build.frame import find_ended
from melpy.build.model import Kind, Owner, Session, StepRecord, StepsOutcome
from melpy.build.reentry import save_reached, save_session
from melpy.build.site import copy_root, find_owners, find_packaged, make_site, return_files
from melpy.build.step import StepSite, Voice, find_script_line, run_native, run_script
from melpy.build.tree import load_tree
from melpy.build.watch import Watch
from melpy.build.workspace import fill_workspace
from melpy.environment.certificate import load_trusted, provide_certificates
from melpy.errors import ExtractError, MelpyError, OverlayError, PackageFormatError, StepFault
from melpy.inside import is_real_directory, make_directory
from melpy.plan.model import OUTPUT, WORKSPACE
from melpy.run import LINE_LIMIT, Usage
from melpy.sandbox.native import is_native_tool
from melpy.sandbox.runner import reclaim
from melpy.text import printable, quote_line, shorten_list, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from melpy.build.attribute import Translate
    from melpy.build.model import OutputTree
    from melpy.plan.model import PackagePlan, Plan, PlanStep
    from melpy.run import Outcome
    from melpy.sandbox.model import Limits

_GIVES = re.compile(r"\b(?:chown|chgrp)\s")
_INSTALLS = re.compile(r"\binstall\b(.*)")
_OWNED = re.compile(r"\s-[og]\b")
"""Commands that give files to somebody."""
_SHOWN = 2000  # characters of a line that monitors are told; the log has all


def run_plan(plan: Plan, session: Session, monitor: events.Monitor) -> StepsOutcome:
    """Run all steps of a plan, up to the first that fails.

    The outcome has an error of these classes where a step failed: StepFailedError, its command ended with another
    status than 0; ExtractError, a source cannot be unpacked; SandboxError, this machine cannot run the sandbox.

    Args:
        plan: the plan.
        session: where and how.
        monitor: is told what happens.

    Raises:
        OutputError: the workspace cannot be written.
        PackageFormatError: what the steps left cannot be packed.
    """
    workspace = session.workspace
    if session.first == 1:
        fill_workspace(workspace, session.source_dir)
    site = make_site(plan, session, workspace)
    site.state.mkdir(parents=True, exist_ok=True)
    return_files(site)
    if session.first == 1:
        _provide_certificates(plan, site)
    save_session(session.directory, plan, site)
    session.log.parent.mkdir(parents=True, exist_ok=True)
    total = sum(len(package.steps) for package in plan.packages)
    _warn_of_owners(plan, session, monitor)
    watch = Watch(session.options.limits, (workspace, session.log))
    watch.add_root(site.root)
    with session.log.open("a" if session.first > 1 else "w", encoding="utf-8", errors="surrogateescape") as log:
        runner = _Runner(plan, site, session, log, monitor, total, watch)
        try:
            for package in plan.packages:
                make_directory(workspace, _relative(package.outdir))
                for step in package.steps:
                    runner.run(step, package.name)
        except MelpyError as error:
            return StepsOutcome(tuple(runner.records), failure=error)
    site = runner.site
    # Only now: whoever enters a build that failed finds its files as the steps left them.
    owners = reclaim(site.machine.ids, (workspace, site.root.upper), site.state) if site.machine.ids else {}
    given = find_owners(owners, site, workspace)
    translate = partial(find_packaged, site)
    trees = tuple(_load_output(workspace, package, given, translate) for package in plan.packages)
    for tree in trees:
        _check_size(tree, session.options.limits)
        if site.machine.tools:
            _check_no_tools(tree)
    return StepsOutcome(tuple(runner.records), trees)


def _provide_certificates(plan: Plan, site: StepSite) -> None:
    """Have steps trust the recipe's certificate authorities, and melpy's own where they see the network."""
    networked = any(
        site.options.has_network(step) and not step.native for package in plan.packages for step in package.steps
    )
    trusted = load_trusted() if networked else b""
    provide_certificates(site.root, plan.environment.certificates, trusted=trusted)


def _check_size(tree: OutputTree, limits: Limits) -> None:
    """Check that files are no larger than the build might become: those with holes take no disk, but long to pack."""
    size = sum({entry.inode: entry.size for entry in tree if entry.kind is Kind.FILE}.values())
    if limits.disk and size > limits.disk:
        message = f"its files are {size_text(size)}, and the build may fill {size_text(limits.disk)} of disk"
        raise PackageFormatError(message, where=tree.package, hint="allow more with --disk, or in the recipe")


def _check_no_tools(tree: OutputTree) -> None:
    """Check that no program of this machine, which only helped to build, was copied into a package."""
    for entry in tree:
        if entry.kind is Kind.FILE and entry.mode & 0o111 and is_native_tool(tree.root / entry.path):
            hint = "build it with --emulate-all, which has the environment's own"
            message = f"{entry.path} is a copy of a program that this machine runs natively in the build"
            raise PackageFormatError(message, where=tree.package, hint=hint)


def _warn_of_owners(plan: Plan, session: Session, monitor: events.Monitor) -> None:
    """Say so where steps may want to give files to others, and cannot."""
    if session.machine.ids:
        return
    steps = [step.label for package in plan.packages for step in package.steps if _gives(step.script)]
    if steps:
        labels = shorten_list([repr(label) for label in dict.fromkeys(steps)])
        text = f"there are no ids but this user's, so files cannot be given to others, as {labels} may want to"
        monitor.emit(events.Warning(plan.job, text, "melpy doctor says how to have more"))


def _load_output(
    workspace: Path, package: PackagePlan, owners: Mapping[str, Owner], translate: Translate
) -> OutputTree:
    """Read what the steps left for a package; a symlink that they put in its place is not followed."""
    directory = _relative(package.outdir)
    if not is_real_directory(workspace, directory):
        hint = "steps fill it, they must not replace it"
        raise ExtractError("is no directory any more, or cannot be opened", where=package.outdir, hint=hint)
    own = {path[len(directory) + 1 :]: owner for path, owner in owners.items() if path.startswith(f"{directory}/")}
    xattrs = capability_xattrs(package)
    return load_tree(package.name, workspace / directory, xattrs=xattrs, owners=own, translate=translate)


def _relative(path: str) -> str:
    assert path.startswith(OUTPUT), path
    return path.removeprefix(f"{WORKSPACE}/")


@dataclass
class _Runner:
    """Runs one step after the other and tells of each."""

    plan: Plan
    site: StepSite
    session: Session
    log: IO[str]
    monitor: events.Monitor
    total: int
    watch: Watch
    records: list[StepRecord] = field(default_factory=list)
    number: int = 0
    label: str = ""
    goes_on: bool = False
    ended: str = ""  # how the step's frame says that it failed
    before: Snapshot = field(default_factory=dict)

    def run(self, step: PlanStep, package: str) -> None:
        self.number += 1
        if self.number < self.session.first:
            return
        job = self.plan.job
        # Steps of subpackages say whose they are.
        self.label = printable(step.label if package == self.plan.name else f"{package}: {step.label}")
        self.monitor.emit(events.StepStarted(job, self.label, self.number, self.total))
        self.log.write(f"==> step {self.number}/{self.total}: {self.label}\n")
        self.log.flush()
        save_reached(self.session.directory, self.number)
        self.before = look_at(self.site.root.upper)
        self.ended = ""
        try:
            outcome = self._run(step)
        except MelpyError as error:
            self._finish(1, Usage())
            error.details = (*error.details, f"log: {self.session.log}")
            error.step = StepFault(self.number)
            raise
        outcome = replace(outcome, tail=tuple(line for line in outcome.tail if find_ended(line) is None))
        changed = find_changes(self.before, look_at(self.site.root.upper))
        network = self.site.options.has_network(step) and not step.native
        self.records.append(StepRecord(step.label, package, outcome.status, network, outcome.usage, changed))
        self._finish(outcome.status, outcome.usage)
        if changed:
            text = f"step {self.label!r} changed the build root: {shorten_list(changed)}"
            self.log.write(f"==> {printable(text)}\n")
            self.monitor.emit(events.Note(job, printable(text)))
        if outcome.status or outcome.stopped:
            what = f"step {self.number} of {self.total}, {self.label!r},"
            failure = explain_failure(what, step, self.plan, self.site, outcome, self.session.log)
            tail = () if outcome.stopped else outcome.tail
            failure.step = StepFault(self.number, find_script_line(step, self.site, self.ended, tail))
            raise failure

    def _run(self, step: PlanStep) -> Outcome:
        try:
            return self._attempt(step)
        except OverlayError as error:
            if not self.site.root.layers:
                raise
            text = "the kernel mounts no overlay here, so the build root is copied, which takes longer"
            self.monitor.emit(events.Warning(self.plan.job, f"{text}: {error}", error.hint or ""))
            self._copy_root()
        return self._attempt(step)

    def _copy_root(self) -> None:
        self.site = replace(self.site, root=copy_root(self.site.root, self.session.directory))
        self.before = look_at(self.site.root.upper)
        self.watch.add_root(self.site.root)
        save_session(self.session.directory, self.plan, self.site)

    def _attempt(self, step: PlanStep) -> Outcome:
        on_line = partial(self._line, self.plan.job)
        if step.native:
            return run_native(step, self.site, Voice(on_line, self._warn), self.watch)
        return run_script(step, self.site, on_line, self.watch)

    def _warn(self, text: str) -> None:
        self.log.write(f"==> warning: {printable(text)}\n")
        self.monitor.emit(events.Warning(self.plan.job, printable(text)))

    def _line(self, job: str, line: str) -> None:
        ended = find_ended(line)
        if ended is not None:
            self.ended = ended
            return
        self.log.write(f"{line}\n")
        if not self.goes_on:  # the log has the rest of a line beyond measure
            self.monitor.emit(events.Output(job, quote_line(line, _SHOWN)))
        self.goes_on = len(line) == LINE_LIMIT

    def _finish(self, status: int, usage: Usage) -> None:
        used = (
            f", {usage.cpu:.1f} s of processors, {size_text(usage.memory)} in the largest process"
            if usage.memory
            else ""
        )
        self.log.write(f"==> step {self.number}/{self.total}: status {status} after {usage.seconds:.1f} s{used}\n")
        self.log.flush()
        event = events.StepFinished(self.plan.job, self.label, self.number, self.total, usage.seconds, status)
        self.monitor.emit(event)


def _gives(script: str) -> bool:
    """Tell whether a script looks as if it gave files to somebody."""
    installs = (_INSTALLS.search(line) for line in script.split("\n") if "install" in line)
    return bool(_GIVES.search(script)) or any(found and _OWNED.search(found[1]) for found in installs)
