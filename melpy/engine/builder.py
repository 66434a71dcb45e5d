"""Builds that go on: each gets its environment, its sources, a worker, and a place in the result cache.

The main thread does all of this but fetching and executing, for which others leave post.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy import events
from melpy.codec import replace
from melpy.engine.attempt import Attempts
from melpy.engine.clock import Clock
from melpy.engine.door import Door
from melpy.engine.journal import Sample
from melpy.engine.locate import locate_failure
from melpy.engine.prepare import check_build, find_commit, log_path, make_job
from melpy.engine.publish import Staged
from melpy.engine.record import write_record
from melpy.engine.result import describe_failure, make_error
from melpy.engine.source import fetch_sources
from melpy.errors import CancelledError, MelpyError, OutputError, StepFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from melpy.build.model import FetchedSources
    from melpy.engine.freshness import Freshness, Known
    from melpy.engine.job import Job
    from melpy.engine.known import Finder, Work
    from melpy.engine.means import Means
    from melpy.engine.model import Executor, PlannedBuild
    from melpy.engine.node import Node
    from melpy.engine.post import Post
    from melpy.engine.prepare import BuildDraft
    from melpy.engine.prospect import Prospect
    from melpy.engine.result import Result
    from melpy.engine.stage import BuiltPackages
    from melpy.graph.model import BuildId

FETCHES = 2
"""Builds whose sources are fetched, or that wait for a worker, at the same time."""


class EndedBuild(Struct, frozen=True):
    """A build that went on and does no more: one of `known`, `packages` and `failure` is there.

    Attributes:
        node: the build.
        clock: the time that it took.
        key: key of its inputs; empty after a failure, and where not all steps were run.
        stamped: whether its key follows from what a stamp tells.
        known: a result of the cache, which was found when its sources were there.
        packages: its packages.
        staged: its packages, for publication.
        failure: the error that ended it.
    """

    node: Node
    clock: Clock
    key: str = ""
    stamped: bool = False
    known: Known | None = None
    packages: BuiltPackages | None = None
    staged: Staged | None = None
    failure: MelpyError | None = None


class Bench(Struct, frozen=True):
    """Where jobs are executed.

    Attributes:
        executor: executes jobs.
        results: directory of the run's own results.
    """

    executor: Executor
    results: Path


class _Active:
    """A build that goes on: its job is there once its sources are, and it runs once it has a worker."""

    def __init__(self, node: Node, build: PlannedBuild, draft: BuildDraft, clock: Clock) -> None:
        self.node, self.build, self.draft, self.clock = node, build, draft, clock
        self.job: Job | None = None
        self.runs = False


class Builder:
    """The builds that go on.

    Args:
        work: the builds of the run.
        means: what the run works with.
        finder: looks for builds that need not be executed.
        fresh: the state of the repository.
        bench: where jobs are executed.
        prospect: expectations about builds.
        post: brings calls of other threads to the main one.
        on_end: is told how each ended.
        monitor: is told what happens.
    """

    def __init__(
        self,
        work: Work,
        means: Means,
        finder: Finder,
        fresh: Freshness,
        bench: Bench,
        prospect: Prospect,
        post: Post,
        on_end: Callable[[EndedBuild], None],
        monitor: events.Monitor,
    ) -> None:
        self._work, self._means, self._finder, self._fresh, self._bench = work, means, finder, fresh, bench
        self._post, self._on_end, self._monitor = post, on_end, monitor
        self._prospect = prospect
        self._door = Door(means, bench.executor, prospect, monitor)
        self._active: dict[Node, _Active] = {}
        several = len(work.chosen) > 1
        self._attempts = Attempts(several=several, post=post, monitor=monitor, begin=self._begin_anew)

    @property
    def count(self) -> int:
        """How many builds go on, or wait to be begun anew."""
        return len(self._active) + len(self._attempts)

    @property
    def running(self) -> Mapping[BuildId, float]:
        """Seconds since the start of each build that has a worker."""
        return {active.node.build: active.clock.elapsed for active in self._active.values() if active.runs}

    @property
    def is_full(self) -> bool:
        """Whether another build could be prepared, but would only wait."""
        return len(self._active) >= self._door.builds + FETCHES

    def begin(self, node: Node) -> Known | None:
        """Return a build that is known; else prepare it and begin to fetch its sources.

        What goes wrong with it is told as its end.
        """
        summary = self._work.graph.summaries[node.build]
        clock = Clock(summary.job, self._monitor)
        build: PlannedBuild | None = None
        try:
            forced = self._finder.is_forced(node)
            known = None if forced else self._finder.find(node)
            if known:
                return known
            build = self._work.plan(node.build)
            draft = self._finder.draft(node, build, clock)
            known = None if forced else self._finder.find_drafted(node, draft)
            if known:
                return known
            self._refuse_known_failure(draft)
            check_build(build, self._means.spec, self._monitor)
            self._fetch(_Active(node, build, draft, clock))
        except MelpyError as error:
            self._active.pop(node, None)
            if self._attempts.wait(node, summary.job, error):
                return None
            if build:
                if clock.log is None:
                    clock.begin(log_path(build, self._means.spec))
                self._monitor.emit(events.JobFinished(summary.job, clock.elapsed, ok=False))
                locate_failure(error, build)
            error.job = summary.job
            self._on_end(EndedBuild(node, clock, failure=error))
        return None

    def _refuse_known_failure(self, draft: BuildDraft) -> None:
        """Report a failure of an earlier run with the same inputs at once.

        Raises:
            MelpyError: the failure.
        """
        failure = self._finder.find_failure(draft)
        if failure:
            error = make_error(failure)
            error.details = (*error.details, "  it failed so before, with the same inputs; --retry-failed tries again")
            raise error

    def _begin_anew(self, node: Node) -> None:
        known = self.begin(node)
        if known:
            clock = Clock(self._work.graph.summaries[node.build].job, self._monitor)
            self._on_end(EndedBuild(node, clock, known.key, known=known))

    def _fetch(self, active: _Active) -> None:
        build, spec, clock = active.build, self._means.spec, active.clock
        clock.begin(log_path(build, spec))
        with clock.stage("history"):
            revision = find_commit(build, spec, self._monitor)
        sources = tuple(build.plan.sources)
        self._active[active.node] = active

        def fetch() -> FetchedSources:
            with clock.stage("sources"):
                return fetch_sources(sources, spec.sources, self._monitor, build.plan.job, build.evaluation)

        def done(found: FetchedSources | BaseException) -> None:
            if active.node not in self._active:
                return  # it was dropped meanwhile
            if isinstance(found, BaseException):
                self._end(active, found)
                return
            try:
                job = make_job(active.draft, found, revision, spec, self._bench.results)
                known = self._find_late(active, job)
            except MelpyError as error:
                self._end(active, error)
                return
            active.job = job
            if known:
                del self._active[active.node]
                self._monitor.emit(events.JobFinished(job.name, clock.elapsed, ok=True))
                self._on_end(EndedBuild(active.node, clock, known=known))

        if sources:
            self._post.call(fetch, done, starts_programs=True)
        else:
            done(fetch())

    def submit(self) -> None:
        """Give jobs that wait to workers, as long as there are any."""
        while waiting := {node: active.job for node, active in self._active.items() if active.job and not active.runs}:
            node = self._door.choose(waiting)
            if node is None:
                return
            self._submit(self._active[node], waiting[node])

    def _find_late(self, active: _Active, job: Job) -> Known | None:
        """Return a result whose key is known only now that the sources are there."""
        if active.draft.settled or self._means.options.force or job.run.first > 1:
            return None
        return self._fresh.find_key(job.inputs.key, self._work.graph.summaries[active.node.build])

    def _submit(self, active: _Active, job: Job) -> None:
        active.runs = True
        job = replace(job, run=replace(job.run, weight=self._prospect.find_seconds(active.node.build)))

        def end(found: Result | BaseException) -> None:
            self._end(active, found)

        executor, monitor = self._bench.executor, self._monitor
        self._post.call(lambda: executor.execute(job, monitor), end, starts_programs=False)

    def _end(self, active: _Active, found: Result | BaseException) -> None:
        """Take what a job came to, or the error that it has not come to."""
        self._active.pop(active.node, None)
        if active.runs:
            self._door.leave([active.node])
        if isinstance(found, BaseException) and not isinstance(found, MelpyError):
            raise found
        if self._attempts.take(active.node, active.build.plan.job, found, runs=active.runs):
            self._monitor.emit(events.JobFinished(active.build.plan.job, active.clock.elapsed, ok=False))
        else:
            self._take_in(active, found)

    def _take_in(self, active: _Active, found: Result | MelpyError) -> None:
        """Report the end of a build, which is the last one unless a step is to be tried again."""
        clock, build, job = active.clock, active.build, active.job
        result = None if isinstance(found, MelpyError) else found
        failure = found if isinstance(found, MelpyError) else None
        ended: EndedBuild | None = None
        if result:
            for name, seconds in result.stages:
                clock.seconds[name] = clock.seconds.get(name, 0.0) + seconds
            failure = make_error(result.failure) if result.failure else None
        try:
            if job:  # a build that cannot be prepared has no record
                with suppress(*(() if failure is None else (OutputError,))):
                    write_record(job, result, clock)
            if failure is None:
                assert job
                assert result
                ended = self._keep(active, job, result)
        except MelpyError as error:
            failure = error
        if job and isinstance(failure, StepFailedError) and job.run.attempt <= self._means.options.retry_steps:
            text = f"failed, and is tried again (attempt {job.run.attempt + 1}): {failure.message}"
            self._monitor.emit(events.Warning(job.name, text))
            active.job, active.runs = replace(job, run=replace(job.run, attempt=job.run.attempt + 1)), False
            self._active[active.node] = active
            return
        self._monitor.emit(events.JobFinished(build.plan.job, clock.elapsed, failure is None))
        if failure:
            if job and isinstance(failure, StepFailedError) and job.run.first == 1:
                self._means.journal.add_failure(job.inputs.key, job.name, describe_failure(failure))
            if not isinstance(failure, CancelledError):
                locate_failure(failure, build)
            failure.job = build.plan.job
            ended = EndedBuild(active.node, clock, failure=failure)
        assert ended
        self._on_end(ended)

    def _keep(self, active: _Active, job: Job, result: Result) -> EndedBuild:
        """Put a result into the cache, where later builds and publication find it."""
        means, summary = self._means, self._work.graph.summaries[active.node.build]
        root, packages, key = job.run.locations.results, result.packages, job.inputs.key
        # A branch may have moved since its tip was looked for.
        stamped = active.draft.settled and job.run.first == 1 and key == active.draft.inputs.key
        if job.run.first == 1:
            stored = means.store.add(job, result)
            means.store.keep_log(stored, job.run.locations.log)
            root, packages = stored.root, stored.result.packages
            means.journal.remove_failures([key])
            if stamped or not summary.unpinned:
                stamps = self._fresh.list_recipe_stamps(summary, files=job.inputs.files)
                means.journal.add_keys(dict.fromkeys(stamps, key))
            memory = max((step.usage.memory for step in result.steps), default=0)
            cpu = sum(step.usage.cpu for step in result.steps)
            means.journal.add_sample(active.node.build, Sample(active.clock.elapsed, cpu, memory, job.run.attempt - 1))
        epoch, log = job.inputs.revision.epoch, job.run.locations.log
        stages = tuple(active.clock.seconds.items())
        key = key if job.run.first == 1 else ""
        staged = Staged(job.name, summary.arch, summary.arches, epoch, root, packages, log, stages, key)
        built = means.stage.take_unsigned(root, summary.arches, packages)
        return EndedBuild(active.node, active.clock, key, stamped, packages=built, staged=staged)

    def drop(self) -> None:
        """Give up the builds that have not come to a worker."""
        for node in self._attempts.drop():
            name = self._work.graph.summaries[node.build].job
            self._on_end(EndedBuild(node, Clock(name, self._monitor), failure=CancelledError("waited", where=name)))
        for active in [active for active in self._active.values() if not active.runs]:
            del self._active[active.node]
            name = active.build.plan.job
            self._monitor.emit(events.JobFinished(name, active.clock.elapsed, ok=False))
            self._on_end(EndedBuild(active.node, active.clock, failure=CancelledError("was not begun", where=name)))

    def cancel(self) -> None:
        """End what goes on, and wait for that."""
        for active in self._active.values():
            if active.runs and active.job:
                self._bench.executor.cancel(active.job)
        while any(active.runs for active in self._active.values()):
            for act in self._post.take():
                with suppress(MelpyError, KeyboardInterrupt):
                    act()
        self.drop()
