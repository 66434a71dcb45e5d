"""The builds of a run from beginning to end: stage, run, publication; an interrupt loses nothing that was built."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from melpy import events
from melpy.codec import replace
from melpy.engine.builder import Bench
from melpy.engine.freshness import Freshness
from melpy.engine.generated import find_generated, find_late, load_generated
from melpy.engine.ledger import Ledger
from melpy.engine.means import open_means
from melpy.engine.model import JobReport, RunReport
from melpy.engine.publication import Publisher
from melpy.engine.resultdir import keep_results, open_results
from melpy.engine.run import Run
from melpy.engine.runlock import hold_run
from melpy.engine.runstamp import RunStamps
from melpy.engine.schedule import JobOutcome
from melpy.errors import MelpyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import FrameType

    from melpy.engine.known import Work
    from melpy.engine.means import Means
    from melpy.engine.model import BuildSpec, Executor, PublishSpec, RunSpec
    from melpy.engine.stage import BuiltPackages
    from melpy.environment.repository import Repositories
    from melpy.graph.model import BuildId, Summary


def make_builds(
    work: Work,
    spec: BuildSpec,
    options: RunSpec,
    publication: PublishSpec,
    executor: Executor,
    repositories: Repositories,
    monitor: events.Monitor,
) -> RunReport:
    """Make all builds of a run, as far as failures let them, and publish what was built.

    Args:
        work: the builds.
        spec: what they are prepared from.
        options: options of the run.
        publication: where packages are published, and how they are signed.
        executor: executes the jobs.
        repositories: the repositories of the run.
        monitor: is told what happens.

    Raises:
        RepositoryError: the repository cannot be read.
        OutputError: the cache or the repository cannot be written, or another run writes the repository.
    """
    monitor = events.Once(monitor)
    start = time.monotonic()
    with (
        hold_run(spec.out_dir, alone=len(work.chosen) > 1),
        open_means(spec, options, repositories, monitor) as means,
        open_results(spec.cache_dir) as directory,
        means.store.hold(),
    ):
        with suppress(MelpyError):  # the builds that it is about tell what is wrong
            means.tips.find(source for build in work.chosen for source in work.graph.summaries[build].unpinned)
        publisher = Publisher(publication, options, repositories, means.journal, monitor)
        phases = _Phases(work, means, Bench(executor, directory), publisher, monitor)
        interrupted = False
        try:
            with _finish_first(phases, several=len(work.chosen) > 1) as asked:
                phases.execute()
            interrupted = bool(asked)
        except KeyboardInterrupt:
            interrupted = True
        jobs = publisher.finish(phases.reports)
        if not (publisher.problem or interrupted):
            phases.remember_rest(jobs)
        if publisher.problem and any(directory.iterdir()):
            with suppress(OSError):
                text = f"  unsigned packages are in {keep_results(directory)}, until melpy clean removes them"
                publisher.problem.details = (*publisher.problem.details, text)
    means.store.trim(options.result_limit)
    monitor.emit(events.RunFinished("", time.monotonic() - start))
    return RunReport(jobs, publisher.problem, interrupted)


def find_rest(
    summaries: Sequence[Summary],
    asked: str,
    spec: BuildSpec,
    options: RunSpec,
    repositories: Repositories,
    monitor: events.Monitor,
) -> RunReport | None:
    """Return the report of a run that has nothing to do; None where that cannot be told without its graph.

    Args:
        summaries: all recipes that the run knows.
        asked: digest of what the user asked for; empty where that is not all that the answer follows from.
        spec: what builds are prepared from.
        options: options of the run.
        repositories: the repositories of the run.
        monitor: is told what happens, if there is nothing to do.

    Raises:
        MelpyError: an index cannot be read, or another run writes the repository.
    """
    if len(summaries) < 2 or not asked or options.force or options.stale != "inputs":
        return None
    if not spec.out_dir.is_dir():
        return None  # a run that fails before it builds anything makes none
    start = time.monotonic()
    with (
        hold_run(spec.out_dir, alone=False),
        open_means(spec, options, repositories, monitor) as means,
    ):
        fresh = Freshness(means, {summary.id: summary for summary in summaries})
        found = RunStamps(means.journal, summaries, asked).find(fresh, spec.out_dir)
    if found is None:
        return None
    outcome = JobOutcome.UP_TO_DATE.value
    monitor.emit(
        events.RunStarted("", len(found), options.workers, tuple(summary.job for summary in found), ((),) * len(found))
    )
    for summary in found:
        monitor.emit(events.JobSettled(summary.job, outcome, "", 0.0))
    monitor.emit(events.RunFinished("", time.monotonic() - start))
    return RunReport(tuple(JobReport(summary.job, summary.file, summary.arch, outcome) for summary in found))


class _Phases:
    """A run, and perhaps further ones: names that packages provide and no recipe states are known once they are built.

    Such are `so:`, `cmd:` and `pc:` names. A build that needs one which nobody has waits until the others are made.
    """

    def __init__(self, work: Work, means: Means, bench: Bench, publisher: Publisher, monitor: events.Monitor) -> None:
        self._work, self._means, self._bench, self._monitor = work, means, bench, monitor
        self._publisher = publisher
        self._ledger = Ledger(work.graph, monitor)
        self._runs: list[Run] = []
        self._lasting: dict[BuildId, str] = {}  # keys of builds that the next run finds by a stamp
        self._drained = False

    @property
    def reports(self) -> Mapping[BuildId, JobReport]:
        """The builds that are settled, in order of settling."""
        return self._ledger.reports

    def drain(self) -> None:
        """Let nothing more start; what goes on is finished."""
        self._drained = True
        for run in self._runs:
            run.drain()

    def execute(self) -> None:
        """Settle all builds, as far as failures let them.

        Raises:
            KeyboardInterrupt: the user has interrupted it.
        """
        work, late = self._work, find_late(self._work)
        made: Mapping[BuildId, BuiltPackages] = {}
        self._tell_start()
        while True:
            now = {build: asked for build, asked in work.chosen.items() if build not in late}
            part = replace(work, chosen=now)
            run = Run(part, self._means, self._bench, self._ledger, self._monitor, made, self._publisher.take)
            self._runs.append(run)
            if self._drained:
                run.drain()
            try:
                run.execute()
            finally:
                made = run.made
            if not late or self._drained or run.is_exhausted:
                run.settle_unbegun(late)
                self._remember(work, made)
                return
            before = late
            left = {build: work.chosen[build] for build in work.chosen if build in late}
            graph = work.remake(find_generated(self._publisher.staged.values()))
            work = replace(work, graph=graph, chosen=left)
            late = find_late(work)
            if late == before:  # nobody makes what they ask for, as their preparation tells
                late = frozenset()

    def _remember(self, work: Work, made: Mapping[BuildId, BuiltPackages]) -> None:
        """Remember the stamps that the next run will find builds by."""
        if self._means.options.stale != "inputs":  # what another rule takes for up to date need not be
            return
        if not self._publisher.staged:
            self._lasting = {build: key for run in self._runs for build, key in run.find_stamped().items()}
            return
        with suppress(MelpyError):  # the next run tells what is wrong
            built = find_generated(self._publisher.staged.values())
            known = load_generated(self._means.spec.out_dir, {arch for _, arch in built})
            is_same = all(known.get(package) == facts for package, facts in built.items())
            graph = work.graph if is_same else work.remake(built)
            for run in self._runs:
                found = run.find_next_stamps(graph, self._work.chosen, made)
                self._means.journal.add_keys({stamp: key for stamp, key in found.values() if stamp})
                self._lasting |= {build: key for build, (_, key) in found.items()}

    def remember_rest(self, jobs: Iterable[JobReport]) -> None:
        """Remember that the same run would have nothing to do, if so; all has been published."""
        work, means = self._work, self._means
        if len(work.chosen) < 2 or self._lasting.keys() != work.chosen.keys():
            return
        if not all(JobOutcome(job.outcome).good for job in jobs):
            return
        summaries = work.graph.summaries
        fresh = Freshness(means, summaries)
        with suppress(MelpyError):  # the next run tells what is wrong
            if self._publisher.staged:
                found = {build: fresh.find_version(summaries[build]) for build in self._publisher.staged}
                if any(known is None or known.key != self._lasting[build] for build, known in found.items()):
                    return
            stamps = RunStamps(means.journal, tuple(summaries.values()), work.asked)
            stamps.add(fresh, means.spec.out_dir, work.chosen)

    def _tell_start(self) -> None:
        graph, chosen = self._work.graph, self._work.chosen
        order = [build for build in graph.order if build in chosen]
        jobs = tuple(map(self._ledger.name, order))
        waits = tuple(
            tuple(self._ledger.name(need) for need in graph.needs(build) if need in chosen) for build in order
        )
        self._monitor.emit(events.RunStarted("", len(jobs), self._means.options.workers, jobs, waits))


@contextmanager
def _finish_first(run: _Phases, *, several: bool) -> Iterator[list[int]]:
    """Let a first interrupt of a run over several builds finish what goes on; another one ends that, too."""
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if not several or not callable(before):
        yield asked
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            before(number, frame)
            return
        run.drain()

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
