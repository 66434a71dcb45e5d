"""A run over the builds of a graph: in order, several at the same time, on past failures, published at the end.

The main thread decides; sources are fetched and jobs followed in threads. What was built goes into the result cache at
once, so that a run which was killed has lost only what was going on.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.clock import Clock
from melpy.engine.difference import find_differences
from melpy.engine.freshness import Freshness, Known
from melpy.engine.journal import Sample
from melpy.engine.locate import locate_failure
from melpy.engine.model import JobReport
from melpy.engine.node import Gate, Node, Nodes
from melpy.engine.post import Post
from melpy.engine.prepare import check_build, draft_build, find_commit, log_path, make_job
from melpy.engine.publish import Staged
from melpy.engine.record import write_record
from melpy.engine.result import describe_failure, make_error
from melpy.engine.schedule import JobOutcome as Outcome
from melpy.engine.schedule import Schedule
from melpy.engine.source import fetch_sources
from melpy.engine.view import REST, View
from melpy.errors import CancelledError, MelpyError, OutputError, StepFailedError, UnsettledError
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from melpy.build.model import FetchedSources
    from melpy.engine.executor import Executor
    from melpy.engine.job import Job
    from melpy.engine.journal import Journal
    from melpy.engine.model import BuildSpec, PlannedBuild, RunSpec
    from melpy.engine.prepare import Draft
    from melpy.engine.result import Result
    from melpy.engine.resultstore import ResultStore
    from melpy.engine.stage import BuiltPackages, Stage
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId

_FETCHES = 4  # builds whose sources are fetched at the same time
_MOST_SHOWN = 5  # builds whose files are compared for an error
_MOST_ROUNDS = 5  # the first build of a cycle's member, and 4 times again


@dataclass(frozen=True)
class Work:
    """The builds of a run.

    Attributes:
        graph: all recipes that are known.
        chosen: the builds to be made, each with whether the user asked for it.
        plan: plans a build.
    """

    graph: Graph
    chosen: Mapping[BuildId, bool]
    plan: Callable[[BuildId], PlannedBuild]


@dataclass(frozen=True)
class Means:
    """What a run works with.

    Attributes:
        spec: what builds are prepared from.
        options: options of the run.
        stage: packages that builds may see.
        store: the result cache.
        journal: memory of earlier runs.
        executor: executes jobs.
        results: directory of the run's own results.
    """

    spec: BuildSpec
    options: RunSpec
    stage: Stage
    store: ResultStore
    journal: Journal
    executor: Executor
    results: Path


@dataclass
class _Active:
    """A build that goes on."""

    node: Node
    build: PlannedBuild
    draft: Draft
    clock: Clock
    job: Job | None = None
    runs: bool = False


@dataclass
class _State:
    """The state of a build, over all rounds."""

    packages: BuiltPackages | None = None
    key: str = ""
    executed: int = 0
    staged: Staged | None = None
    outcome: Outcome = Outcome.UP_TO_DATE
    stages: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    log: Path | None = None


class Run:
    """One run; `run` makes it."""

    def __init__(self, work: Work, means: Means, monitor: events.Monitor) -> None:
        self._work, self._means, self._monitor = work, means, monitor
        graph = work.graph
        names: dict[str, set[str]] = {}
        for build in graph.summaries:
            names.setdefault(build.arch, set()).add(build.recipe)
        self._fresh = Freshness(
            means.spec, means.stage, means.journal, means.store, {arch: frozenset(own) for arch, own in names.items()}
        )
        self._nodes = Nodes(graph, work.chosen, rounds=means.options.stale == "inputs")
        self._view = View(graph, self._nodes, work.chosen, self._fresh, means.stage)
        self._schedule: Schedule[Node | Gate] = Schedule(means.options.max_failures)
        self._post = Post()
        self._active: dict[Node, _Active] = {}
        self._states: dict[BuildId, _State] = {build: _State() for build in work.chosen}
        self._reports: dict[BuildId, JobReport] = {}
        self._start = time.monotonic()

    @property
    def reports(self) -> Mapping[BuildId, JobReport]:
        """The builds that are settled, in order of settling."""
        return self._reports

    @property
    def staged(self) -> dict[BuildId, Staged]:
        """The settled builds whose packages the repository has not yet, in order of settling."""
        return {
            build: staged
            for build in self._reports
            if (staged := self._states[build].staged) and Outcome(self._reports[build].outcome).good
        }

    def execute(self) -> None:
        """Settle all builds, as far as failures let them.

        Raises:
            KeyboardInterrupt: the user has interrupted it; what went on is cancelled.
        """
        self._tell_start()
        durations = self._estimate()
        first = self._nodes.list_first()
        self._schedule.extend(first, {node: durations.get(node.build, 0.0) for node in first if isinstance(node, Node)})
        try:
            while True:
                self._advance()
                if not self._active:
                    break
                for act in self._post.take():
                    act()
        except BaseException:
            self._cancel()
            raise
        finally:
            self._post.close()
        self._settle_rest()

    def drain(self) -> None:
        """Let nothing more start; what goes on is finished."""
        self._schedule.stop()

    def _tell_start(self) -> None:
        graph = self._work.graph
        order = [build for build in graph.order if build in self._work.chosen]
        jobs = tuple(graph.summaries[build].job for build in order)
        waits = tuple(
            tuple(graph.summaries[need].job for need in graph.needs(build) if need in self._work.chosen)
            for build in order
        )
        self._monitor.emit(events.RunStarted("", len(jobs), self._means.options.workers, jobs, waits))

    def _estimate(self) -> dict[BuildId, float]:
        if len(self._work.chosen) == 1:
            return {}
        learned = self._means.journal.find_learned()
        return {build: learned[build].seconds if build in learned else 30.0 for build in self._work.chosen}

    def _advance(self) -> None:
        """Begin what can begin."""
        limit = self._means.options.workers + _FETCHES
        while len(self._active) < limit:
            node = next(self._schedule.ready(), None)
            if node is None:
                break
            self._schedule.start(node)
            if isinstance(node, Gate):
                self._pass(node)
            else:
                self._begin(node)
        running = sum(active.runs for active in self._active.values())
        for active in list(self._active.values()):
            if running < self._means.options.workers and active.job and not active.runs:
                running += 1
                self._submit(active)

    def _begin(self, node: Node) -> None:
        """Settle a build that is known, or begin to fetch its sources."""
        summary = self._work.graph.summaries[node.build]
        clock = Clock(summary.job, self._monitor)
        active: _Active | None = None
        build: PlannedBuild | None = None
        try:
            forced = self._means.options.force and self._work.chosen[node.build] and node.round == 1
            known = None if forced else self._find_known(node)
            if known is None:
                build = self._work.plan(node.build)
                draft = draft_build(
                    build, self._means.spec, self._means.stage.repositories, self._view.see(node), clock
                )
                known = None if forced else self._find_drafted(node, draft)
                if known is None:
                    self._refuse_known_failure(draft)
                    active = _Active(node, build, draft, clock)
                    self._active[node] = active
                    self._fetch(active)
        except MelpyError as error:
            self._active.pop(node, None)
            if build and clock.log is None:
                clock.begin(log_path(build, self._means.spec))
                self._monitor.emit(events.JobFinished(summary.job, clock.elapsed, ok=False))
            self._fail(node, error, build, clock)
            return
        if known:
            self._settle_known(node, known)

    def _find_known(self, node: Node) -> Known | None:
        """Return a build that is up to date or cached, as far as that can be told without its environment."""
        summary, rule = self._work.graph.summaries[node.build], self._means.options.stale
        if rule == "version":
            return self._fresh.find_version(summary)
        if rule == "recipe":
            return self._fresh.find_recipe(summary)
        stamp = self._fresh.find_stamp(summary, self._view.find_digest(node))
        key = self._means.journal.find_keys([stamp]).get(stamp) if stamp else None
        return self._fresh.find_key(key, summary) if key else None

    def _find_drafted(self, node: Node, draft: Draft) -> Known | None:
        """Return a build that is up to date or cached, by the key of its environment; remember the key."""
        if not draft.settled or self._means.spec.steps.from_step or self._means.options.stale != "inputs":
            return None
        self._remember(node, draft.inputs.key)
        return self._fresh.find_key(draft.inputs.key, self._work.graph.summaries[node.build])

    def _remember(self, node: Node, key: str) -> None:
        summary = self._work.graph.summaries[node.build]
        self._fresh.renew(summary.arch)
        stamp = self._fresh.find_stamp(summary, self._view.find_digest(node))
        if stamp:
            self._means.journal.add_keys({stamp: key})

    def _refuse_known_failure(self, draft: Draft) -> None:
        """Report a failure of an earlier run with the same inputs at once.

        Raises:
            MelpyError: the failure.
        """
        steps = self._means.spec.steps
        if self._means.options.retry_failed or len(self._work.chosen) == 1 or steps.from_step or not draft.settled:
            return
        failure = self._means.journal.find_failures([draft.inputs.key]).get(draft.inputs.key)
        if failure:
            error = make_error(failure)
            error.details = (*error.details, "  it failed so before, with the same inputs; --retry-failed tries again")
            raise error

    def _fetch(self, active: _Active) -> None:
        build, spec, clock = active.build, self._means.spec, active.clock
        check_build(build, spec, self._monitor)
        clock.begin(log_path(build, spec))
        with clock.stage("history"):
            revision = find_commit(build, spec, self._monitor)
        sources = tuple(build.plan.sources)

        def fetch() -> FetchedSources:
            with clock.stage("sources"):
                return fetch_sources(sources, spec.sources, self._monitor, build.plan.job, build.evaluation)

        def done(found: FetchedSources | BaseException) -> None:
            if isinstance(found, BaseException):
                self._end(active, None, found)
                return
            try:
                active.job = make_job(active.draft, found, revision, spec, self._means.results)
            except MelpyError as error:
                self._end(active, None, error)

        if sources:
            self._post.call(fetch, done)
        else:
            done(fetch())

    def _submit(self, active: _Active) -> None:
        job = active.job
        assert job
        known = None
        if not active.draft.settled and not self._means.options.force and job.run.first == 1:
            known = self._fresh.find_key(job.inputs.key, self._work.graph.summaries[active.node.build])
        if known:
            self._active.pop(active.node)
            self._monitor.emit(events.JobFinished(job.name, active.clock.elapsed, ok=True))
            self._settle_known(active.node, known)
            return
        active.runs = True
        self._means.executor.submit(job, self._monitor, self._post.wrap(lambda result: self._end(active, job, result)))

    def _end(self, active: _Active, job: Job | None, found: Result | BaseException) -> None:
        """Take in what a job came to."""
        self._active.pop(active.node, None)
        if isinstance(found, CancelledError):
            self._monitor.emit(events.JobFinished(active.build.plan.job, active.clock.elapsed, ok=False))
            self._schedule.settle(active.node, Outcome.INTERRUPTED)
            return
        if isinstance(found, BaseException) and not isinstance(found, MelpyError):
            raise found
        clock, build = active.clock, active.build
        result = None if isinstance(found, BaseException) else found
        failure = found if isinstance(found, MelpyError) else None
        for name, seconds in result.stages if result else ():
            clock.seconds[name] = clock.seconds.get(name, 0.0) + seconds
        if result and result.failure:
            failure = make_error(result.failure)
        kept: BuiltPackages | None = None
        try:
            if failure is None:
                assert job
                assert result
                kept = self._keep(active, job, result)
        except MelpyError as error:
            failure = error
        if job:  # a build that cannot be prepared has no record
            with suppress(*(() if failure is None else (OutputError,))):
                write_record(job, result, clock)
        self._monitor.emit(events.JobFinished(build.plan.job, clock.elapsed, failure is None))
        if failure:
            if job and isinstance(failure, StepFailedError) and job.run.first == 1 and active.draft.settled:
                self._means.journal.add_failure(job.inputs.key, job.name, describe_failure(failure))
            self._fail(active.node, failure, build, clock)
        elif kept:
            state = self._states[active.node.build]
            state.executed += 1
            state.outcome, state.stages, state.log = Outcome.BUILT, dict(clock.seconds), clock.log
            state.seconds += clock.elapsed
            self._settle(active.node, Outcome.BUILT, kept)

    def _keep(self, active: _Active, job: Job, result: Result) -> BuiltPackages:
        """Put a result into the cache, where later builds and publication find it."""
        means, summary = self._means, self._work.graph.summaries[active.node.build]
        root = job.run.locations.results
        if job.run.first == 1:
            stored = means.store.add(job, result)
            root, result = stored.root, stored.result
            means.journal.remove_failures([job.inputs.key])
            means.journal.add_keys({self._fresh.recipe_stamp(summary): job.inputs.key})
            memory = max((step.usage.memory for step in result.steps), default=0)
            cpu = sum(step.usage.cpu for step in result.steps)
            means.journal.add_sample(active.node.build, Sample(active.clock.elapsed, cpu, memory))
        state = self._states[active.node.build]
        state.key = job.inputs.key
        state.staged = Staged(
            job.name,
            summary.arch,
            job.inputs.revision.epoch,
            root,
            result.packages,
            job.run.locations.log,
            tuple(active.clock.seconds.items()),
        )
        return means.stage.take_unsigned(root, summary.arch, result.packages)

    def _settle_known(self, node: Node, known: Known) -> None:
        state = self._states[node.build]
        state.key = known.key
        state.staged = None
        if known.stored:
            summary = self._work.graph.summaries[node.build]
            stored = known.stored
            log = self._means.spec.out_dir / "logs" / summary.arch / f"{summary.name}-{summary.version}.log"
            state.staged = Staged(summary.job, summary.arch, stored.epoch, stored.root, stored.result.packages, log)
        if not state.executed:
            state.outcome = known.outcome
        self._settle(node, known.outcome, known.packages)

    def _settle(self, node: Node, outcome: Outcome, packages: BuiltPackages) -> None:
        self._states[node.build].packages = packages
        self._view.add(node, packages)
        self._schedule.settle(node, outcome)
        if self._nodes.find_cycle(node.build) is None:
            self._report(node.build)

    def _report(self, build: BuildId) -> None:
        state, summary = self._states[build], self._work.graph.summaries[build]
        self._reports[build] = JobReport(
            summary.job,
            summary.file,
            summary.arch,
            state.outcome.value,
            log=state.log,
            stages=tuple(state.stages.items()),
            seconds=state.seconds,
        )
        self._monitor.emit(events.JobSettled(summary.job, state.outcome.value, seconds=state.seconds))

    def _pass(self, gate: Gate) -> None:
        """Let a cycle on: into its first round, into another one, or to rest."""
        members = self._nodes.cycles[gate.cycle].members
        if gate.kind == "enter":
            self._schedule.settle(gate, Outcome.UP_TO_DATE)
            if not self._means.options.force:
                self._skip_rounds(gate.cycle)
        elif gate.kind == "rest":
            self._schedule.settle(gate, Outcome.UP_TO_DATE)
            for build in members:
                if build not in self._reports:
                    self._report(build)
        elif gate.round > 1 and not self._view.find_changed(gate.cycle, gate.round):
            self._schedule.settle(gate, Outcome.UP_TO_DATE)
        elif gate.round < _MOST_ROUNDS:
            self._schedule.extend(self._nodes.list_round(gate.cycle, gate.round + 1))
            self._schedule.settle(gate, Outcome.UP_TO_DATE)
        else:
            self._fail_cycle(gate, self._explain_unrest(gate))

    def _explain_unrest(self, gate: Gate) -> UnsettledError:
        """Return the error for a cycle whose packages differ in every round, with the files that differ."""
        changed = self._view.find_changed(gate.cycle, gate.round)
        details = []
        for build in changed[:_MOST_SHOWN]:
            *_, old, new = self._view.find_rounds(build)
            for before, after in zip(old.packages, new.packages, strict=False):
                name = f"{build.arch}/{after.name}-{after.version}.apk"
                files = find_differences(old.root / f"{build.arch}/{before.name}-{before.version}.apk", new.root / name)
                details += [f"  {after.name}: {shorten_list(files)}"] if files else []
        names = shorten_list([self._work.graph.summaries[build].job for build in changed])
        return UnsettledError(
            f"still differs after {_MOST_ROUNDS - 1} builds against one another: {names}",
            details=details,
            hint="find out what of these files depends on the hour, on chance, or on what was built before",
        )

    def _skip_rounds(self, cycle: int) -> None:
        """Settle a whole cycle whose members are all up to date as they see one another."""
        found: dict[BuildId, Known] = {}
        try:
            for build in self._nodes.cycles[cycle].members:
                known = self._find_known(Node(build, REST))
                if known is None:
                    drafted = self._draft_at_rest(build)
                    known = drafted if drafted and drafted.outcome is Outcome.UP_TO_DATE else None
                if known is None or known.outcome is not Outcome.UP_TO_DATE:
                    return
                found[build] = known
        except MelpyError:
            return  # the rounds tell what is wrong
        for build in self._nodes.cycles[cycle].members:
            self._schedule.settle(Node(build), Outcome.UP_TO_DATE)
            self._view.add(Node(build), found[build].packages)
            self._report(build)

    def _draft_at_rest(self, build: BuildId) -> Known | None:
        node = Node(build, REST)
        summary = self._work.graph.summaries[build]
        if self._fresh.find_version(summary) is None:
            return None
        clock = Clock(summary.job, events.Null())
        spec, repositories = self._means.spec, self._means.stage.repositories
        draft = draft_build(self._work.plan(build), spec, repositories, self._view.see(node), clock)
        return self._find_drafted(node, draft)

    def _fail(self, node: Node, failure: MelpyError, build: PlannedBuild | None, clock: Clock) -> None:
        if build:
            locate_failure(failure, build)
        summary = self._work.graph.summaries[node.build]
        failure.job = summary.job
        self._reports[node.build] = JobReport(
            summary.job,
            summary.file,
            summary.arch,
            Outcome.FAILED.value,
            failure=failure,
            log=clock.log,
            stages=tuple(clock.seconds.items()),
            seconds=clock.elapsed,
        )
        self._monitor.emit(events.JobSettled(summary.job, Outcome.FAILED.value, str(failure), clock.elapsed))
        self._skip(node)

    def _fail_cycle(self, gate: Gate, failure: MelpyError) -> None:
        for build in self._nodes.cycles[gate.cycle].members:
            summary = self._work.graph.summaries[build]
            self._reports[build] = JobReport(
                summary.job, summary.file, summary.arch, Outcome.FAILED.value, failure=failure
            )
            self._monitor.emit(events.JobSettled(summary.job, Outcome.FAILED.value, str(failure)))
        self._skip(gate)

    def _skip(self, failed: Node | Gate) -> None:
        """Settle what failed, and report all that is skipped because of it."""
        for skip in self._schedule.settle(failed, Outcome.FAILED):
            if isinstance(skip.node, Node) and skip.node.build not in self._reports:
                because = self._name(skip.because)
                summary = self._work.graph.summaries[skip.node.build]
                self._reports[skip.node.build] = JobReport(
                    summary.job, summary.file, summary.arch, Outcome.SKIPPED.value, because
                )
                self._monitor.emit(events.JobSettled(summary.job, Outcome.SKIPPED.value, because))
            elif isinstance(skip.node, Gate) and skip.node.kind == "rest":
                self._skip_members(skip.node.cycle, self._name(skip.because))

    def _skip_members(self, cycle: int, because: str) -> None:
        for build in self._nodes.cycles[cycle].members:
            if build not in self._reports:
                summary = self._work.graph.summaries[build]
                self._reports[build] = JobReport(
                    summary.job, summary.file, summary.arch, Outcome.SKIPPED.value, because
                )
                self._monitor.emit(events.JobSettled(summary.job, Outcome.SKIPPED.value, because))

    def _name(self, node: Node | Gate) -> str:
        build = node.build if isinstance(node, Node) else self._nodes.cycles[node.cycle].members[0]
        return self._work.graph.summaries[build].job

    def _settle_rest(self) -> None:
        """Report the builds that were never begun: after too many failures, or an interrupt."""
        for build in self._work.chosen:
            if build not in self._reports:
                summary = self._work.graph.summaries[build]
                self._reports[build] = JobReport(summary.job, summary.file, summary.arch, Outcome.INTERRUPTED.value)
                self._monitor.emit(events.JobSettled(summary.job, Outcome.INTERRUPTED.value))

    def _cancel(self) -> None:
        """End what goes on, and wait for that."""
        for active in list(self._active.values()):
            if active.runs and active.job:
                self._means.executor.cancel(active.job)
        while any(active.runs for active in self._active.values()):
            for act in self._post.take():
                with suppress(MelpyError, KeyboardInterrupt):
                    act()
        for active in self._active.values():
            self._monitor.emit(events.JobFinished(active.build.plan.job, active.clock.elapsed, ok=False))
        self._settle_rest()
