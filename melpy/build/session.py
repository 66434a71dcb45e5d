"""A plan is run: workspace, sources, steps, and what they leave behind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING

from melpy import events
from melpy.arch import host_arch, parse_arch
from melpy.build.capability import capability_xattrs
from melpy.build.change import describe_changes, find_changes, look_at
from melpy.build.failure import explain_failure
from melpy.build.model import Kind, Owner, StepRecord
from melpy.build.reentry import save_reached, save_session
from melpy.build.step import BUILD_CACHE, PATH, Place, run_native, run_script
from melpy.build.tree import load_tree
from melpy.build.watch import Watch
from melpy.build.workspace import fill_workspace
from melpy.errors import ExtractError, MelpyError, PackageFormatError
from melpy.inside import is_real_directory, make_directory, read_regular
from melpy.plan.model import OUTPUT, WORKSPACE
from melpy.rootfs.environment import make_root
from melpy.run import Usage
from melpy.sandbox.model import BASE_CAPABILITIES, NO_LIMITS
from melpy.sandbox.native import is_native_tool
from melpy.sandbox.runner import reclaim
from melpy.text import printable, size_text
from melpy.unpack import UNPACK_LIMIT, Limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from melpy.build.model import OutputTree
    from melpy.plan.git import GitSource
    from melpy.plan.model import PackagePlan, Plan, PlanStep, Source
    from melpy.run import Outcome
    from melpy.sandbox.model import Emulator, IdRange, Limits, NativeTools
    from melpy.source.git import Pinned

_ACCOUNTS_LIMIT = 1 << 20
_CACHE_VARIABLES = {"CCACHE_DIR": f"{BUILD_CACHE}/ccache", "SCCACHE_DIR": f"{BUILD_CACHE}/sccache"}


@dataclass(frozen=True)
class Session:
    """What running a plan needs beside the plan.

    Attributes:
        directory: a directory of this machine, for the workspace and the root's changes: empty, or that of an earlier
            run whose steps before `first` are not run again.
        layers: the environment's packages, extracted; dependencies first.
        source_dir: the recipe's own files, copied into the workspace, if there are any.
        sources: the verified file of every source.
        checkouts: the verified commit of every git source.
        epoch: SOURCE_DATE_EPOCH.
        log: receives everything that the steps print.
        emulator: how foreign programs are run.
        tools: programs of this machine that run in place of foreign ones.
        ids: ids beside the user's own.
        limits: what the steps may use.
        network: whether all steps see the network.
        debug: whether steps print each command before they run it.
        first: number of the first step that is run.
        cache: what steps see as /var/cache/melange, and is kept.
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
    tools: NativeTools | None = None
    ids: IdRange | None = None
    limits: Limits = NO_LIMITS
    network: bool = False
    debug: bool = False
    first: int = 1
    cache: Path | None = None
    unpack_limit: Limit = UNPACK_LIMIT


def run_plan(
    plan: Plan, session: Session, monitor: events.Monitor, records: list[StepRecord]
) -> tuple[OutputTree, ...]:
    """Run all steps of a plan and return the tree of each package, in the plan's order.

    Args:
        plan: the plan.
        session: where and how.
        monitor: is told what happens.
        records: what each step did is appended; they are there when one failed, too.

    Raises:
        StepFailedError: a step ended with another status than 0.
        ExtractError: a source cannot be unpacked.
        SandboxError: this machine cannot run the sandbox.
    """
    workspace = session.directory / "workspace"
    if session.first == 1:
        fill_workspace(workspace, session.source_dir)
    place = _place(plan, session, workspace)
    place.state.mkdir(parents=True, exist_ok=True)
    save_session(session.directory, plan, place)
    session.log.parent.mkdir(parents=True, exist_ok=True)
    total = sum(len(package.steps) for package in plan.packages)
    watch = Watch(session.limits, (workspace, place.root.upper))
    with session.log.open("a" if session.first > 1 else "w", encoding="utf-8", errors="surrogateescape") as log:
        runner = _Runner(plan, place, session, log, monitor, total, records, watch)
        for package in plan.packages:
            make_directory(workspace, _relative(package.outdir))
            for step in package.steps:
                runner.run(step, package.name)
    # Only now: whoever enters a build that failed finds its files as the steps left them.
    owners = reclaim(place.ids, (workspace, place.root.upper), place.state) if place.ids else {}
    given = _owners(owners, place, workspace)
    trees = tuple(_load_output(workspace, package, given) for package in plan.packages)
    if place.tools:
        for tree in trees:
            _check_no_tools(tree)
    return trees


def _check_no_tools(tree: OutputTree) -> None:
    """Check that no program of this machine, which only helped to build, was copied into a package."""
    for entry in tree:
        if entry.kind is Kind.FILE and entry.mode & 0o111 and is_native_tool(tree.root / entry.path):
            hint = "build it with --emulate-all, which has the environment's own"
            message = f"{entry.path} is a copy of a program that this machine runs natively in the build"
            raise PackageFormatError(message, where=tree.package, hint=hint)


def _load_output(workspace: Path, package: PackagePlan, owners: Mapping[str, Owner]) -> OutputTree:
    """Read what the steps left for a package; a symlink that they put in its place is not followed."""
    place = _relative(package.outdir)
    if not is_real_directory(workspace, place):
        hint = "steps fill it, they must not replace it"
        raise ExtractError("is no directory any more, or cannot be opened", where=package.outdir, hint=hint)
    own = {path[len(place) + 1 :]: owner for path, owner in owners.items() if path.startswith(f"{place}/")}
    return load_tree(package.name, workspace / place, xattrs=capability_xattrs(package), owners=own)


def _owners(found: Mapping[bytes, tuple[int, int]], place: Place, workspace: Path) -> dict[str, Owner]:
    """Return whose files of the workspace are in the package: what is the steps' own is root's there."""
    if not found or place.ids is None:
        return {}
    users, groups = (_names(place, name) for name in ("etc/passwd", "etc/group"))
    prefix = f"{workspace}/"
    owners = {}
    for path, (uid, gid) in found.items():
        name = os.fsdecode(path)
        if not name.startswith(prefix):
            continue
        inside = place.ids.inside(uid, gid, (os.geteuid(), os.getegid()), place.user)
        user = 0 if inside[0] == place.user[0] else inside[0]
        group = 0 if inside[1] == place.user[1] else inside[1]
        owners[name[len(prefix) :]] = Owner(user, group, users.get(user, ""), groups.get(group, ""))
    return owners


def _names(place: Place, path: str) -> dict[int, str]:
    """Return the names of users or groups that the root knows, by number."""
    found = (read_regular(layer, path, _ACCOUNTS_LIMIT) for layer in (place.root.upper, *place.root.layers))
    text = next((data for data in found if data is not None), b"").decode(errors="replace")
    rows = [line.split(":") for line in text.splitlines()]
    names = {int(row[2]): row[0] for row in reversed(rows) if len(row) > 2 and row[2].isdecimal()}
    return {0: "root", **names}


def _relative(path: str) -> str:
    assert path.startswith(OUTPUT), path
    return path.removeprefix(f"{WORKSPACE}/")


def _told(plan: Plan) -> dict[str, str]:
    """Return what bash would say of the machine that it was made for, which may be another than that it stands for."""
    arch = parse_arch(plan.arch)
    if arch == host_arch():
        return {}
    return {"HOSTTYPE": arch.uname, "MACHTYPE": arch.gnu_triplet()}


def _path(session: Session) -> str:
    """Return where programs are looked for: a compiler cache comes first where it has a place for its files."""
    directories = ("usr/lib/ccache/bin", "usr/lib/ccache")
    links = (name for name in directories if session.cache and any((layer / name).is_dir() for layer in session.layers))
    return ":".join([*(f"/{name}" for name in links), PATH])


def _place(plan: Plan, session: Session, workspace: Path) -> Place:
    kept = [name for name in BASE_CAPABILITIES if name not in plan.capabilities_drop]
    return Place(
        root=make_root((*session.layers, *(session.tools.layers if session.tools else ())), session.directory),
        workspace=workspace,
        state=session.directory / "state",
        environment={
            **_told(plan),
            **(_CACHE_VARIABLES if session.cache else {}),
            **dict(plan.environment.variables),
            "SOURCE_DATE_EPOCH": str(session.epoch),
        },
        user=plan.environment.user,
        capabilities=(*kept, *plan.capabilities_add),
        emulator=session.emulator,
        tools=session.tools,
        ids=session.ids,
        limits=session.limits,
        network=session.network,
        debug=session.debug,
        cache=session.cache,
        path=_path(session),
        sources=session.sources,
        checkouts=session.checkouts,
        unpack_limit=session.unpack_limit,
    )


@dataclass
class _Runner:
    """Runs one step after the other and tells of each."""

    plan: Plan
    place: Place
    session: Session
    log: IO[str]
    monitor: events.Monitor
    total: int
    records: list[StepRecord]
    watch: Watch
    number: int = 0
    label: str = ""

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
        before = look_at(self.place.root.upper)
        try:
            outcome = self._run(step)
        except MelpyError as error:
            self._finish(1, Usage())
            error.details = (*error.details, f"log: {self.session.log}")
            raise
        changed = find_changes(before, look_at(self.place.root.upper))
        network = self.place.has_network(step) and not step.native
        self.records.append(StepRecord(step.label, package, outcome.status, network, outcome.usage, changed))
        self._finish(outcome.status, outcome.usage)
        if changed:
            text = f"step {self.label!r} changed the build root: {describe_changes(changed)}"
            self.log.write(f"==> {printable(text)}\n")
            self.monitor.emit(events.Note(job, printable(text)))
        if outcome.status or outcome.stopped:
            what = f"step {self.number} of {self.total}, {self.label!r},"
            raise explain_failure(what, step, self.plan, self.place, outcome, self.session.log)

    def _run(self, step: PlanStep) -> Outcome:
        on_line = partial(self._line, self.plan.job)
        if step.native:
            return run_native(step, self.place, on_line, self.watch)
        return run_script(step, self.place, on_line, self.watch)

    def _line(self, job: str, line: str) -> None:
        self.log.write(f"{line}\n")
        self.monitor.emit(events.Output(job, printable(line)))

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
