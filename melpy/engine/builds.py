"""The builds of a run from beginning to end: stage, run, publication; an interrupt loses nothing that was built."""

from __future__ import annotations

import signal
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.index import read_entries
from melpy.codec import replace
from melpy.engine.builder import Bench
from melpy.engine.consistency import find_held
from melpy.engine.generated import find_generated, find_late
from melpy.engine.journal import Journal, find_journal
from melpy.engine.known import Means, Work
from melpy.engine.ledger import Ledger
from melpy.engine.model import RunReport
from melpy.engine.publish import publish
from melpy.engine.published import Made
from melpy.engine.resultdir import keep_results, open_results
from melpy.engine.resultstore import ResultStore
from melpy.engine.run import Run
from melpy.engine.runlock import hold_run
from melpy.engine.schedule import JobOutcome
from melpy.engine.stage import Stage
from melpy.errors import MelpyError
from melpy.repo.repository import load_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from melpy.engine.model import BuildResult, BuildSpec, Executor, JobReport, PublishSpec, RunSpec
    from melpy.engine.publish import Staged
    from melpy.engine.stage import BuiltPackages
    from melpy.environment.repository import Repositories
    from melpy.graph.model import BuildId

PUBLISH = ("consistent", "end", "each")
"""When packages are published; see docs/how-to/build-a-repository.md."""


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
    store = ResultStore(spec.cache_dir)
    with (
        hold_run(spec.out_dir),
        closing(Journal(find_journal(spec.cache_dir), monitor)) as journal,
        open_results(spec.cache_dir) as directory,
        store.hold(),
    ):
        means = Means(spec, options, Stage(repositories), store, journal)
        phases = _Phases(work, means, Bench(executor, directory), monitor)
        interrupted = False
        try:
            with _finish_first(phases, monitor, several=len(work.chosen) > 1) as asked:
                phases.execute()
            interrupted = bool(asked)
        except KeyboardInterrupt:
            interrupted = True
        report = _publish(phases, publication, means, directory, monitor, interrupted=interrupted)
    monitor.emit(events.RunFinished("", time.monotonic() - start))
    return report


class _Phases:
    """A run, and perhaps further ones: names that packages provide and no recipe states are known once they are built.

    Such are `so:`, `cmd:` and `pc:` names. A build that needs one which nobody has waits until the others are made.
    """

    def __init__(self, work: Work, means: Means, bench: Bench, monitor: events.Monitor) -> None:
        self._work, self._means, self._bench, self._monitor = work, means, bench, monitor
        self._ledger = Ledger(work.graph, monitor)
        self._runs: list[Run] = []
        self._drained = False
        self.staged: dict[BuildId, Staged] = {}

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
            part = Work(work.graph, now, work.plan, work.remake)
            run = Run(part, self._means, self._bench, self._ledger, self._monitor, made)
            self._runs.append(run)
            if self._drained:
                run.drain()
            try:
                run.execute()
            finally:
                self.staged |= run.staged
                made = run.made
            if not late or self._drained:
                for build in late:
                    self._ledger.settle(build, JobOutcome.INTERRUPTED)
                self._remember(work, made)
                return
            before = late
            left = {build: work.chosen[build] for build in work.chosen if build in late}
            work = Work(work.remake(find_generated(self.staged.values())), left, work.plan, work.remake)
            late = find_late(work)
            if late == before:  # nobody makes what they ask for, as their preparation tells
                late = frozenset()

    def _remember(self, work: Work, made: Mapping[BuildId, BuiltPackages]) -> None:
        """Remember the stamps that the next run will find builds by."""
        if not self.staged:
            return
        with suppress(MelpyError):  # the next run tells what is wrong
            graph = work.remake(find_generated(self.staged.values()))
            for run in self._runs:
                self._means.journal.add_keys(run.find_next_stamps(graph, self._work.chosen, made))

    def _tell_start(self) -> None:
        graph, chosen = self._work.graph, self._work.chosen
        order = [build for build in graph.order if build in chosen]
        jobs = tuple(map(self._ledger.name, order))
        waits = tuple(
            tuple(self._ledger.name(need) for need in graph.needs(build) if need in chosen) for build in order
        )
        self._monitor.emit(events.RunStarted("", len(jobs), self._means.options.workers, jobs, waits))


@contextmanager
def _finish_first(run: _Phases, monitor: events.Monitor, *, several: bool) -> Iterator[list[int]]:
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
        text = "interrupted: what goes on is finished, nothing else begins; interrupt once more to end at once"
        monitor.emit(events.Note("", text))

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _publish(
    run: _Phases,
    publication: PublishSpec,
    means: Means,
    directory: Path,
    monitor: events.Monitor,
    *,
    interrupted: bool,
) -> RunReport:
    """Publish what a run has built; keep what cannot be published, and say where."""
    staged = run.staged
    held = _find_held(staged, run.reports, publication) if means.options.publish == "consistent" else {}
    problem: MelpyError | None = None
    results: tuple[BuildResult, ...] = ()
    try:
        results = publish([one for one in staged.values() if one.job not in held], publication, monitor)
    except MelpyError as error:
        problem = error
        with suppress(OSError):
            place = keep_results(directory) if any(directory.iterdir()) else None
            if place:
                text = f"  the unsigned packages are in {place}, until melpy clean removes them"
                error.details = (*error.details, text)
    published = {result.job: result for result in results}
    means.journal.add_made(
        {
            package.entry.checksum: Made(one.key, package.content)
            for one in staged.values()
            if one.job in published
            for package in one.packages
        }
    )
    jobs = tuple(_complete(report, published, held) for report in run.reports.values())
    return RunReport(jobs, problem, interrupted)


def _complete(report: JobReport, published: Mapping[str, BuildResult], held: Mapping[str, str]) -> JobReport:
    if report.job in held:
        return replace(report, outcome=JobOutcome.HELD_BACK.value, because=held[report.job])
    if report.job not in published:
        return report
    result = published[report.job]
    return replace(report, stages=result.stages or report.stages, packages=result.packages)


def _find_held(
    staged: Mapping[BuildId, Staged], reports: Mapping[BuildId, JobReport], publication: PublishSpec
) -> dict[str, str]:
    """Return the builds that are not published, since that would break packages that could not be built again."""
    held: dict[str, str] = {}
    for arch in dict.fromkeys(build.arch for build in staged):
        failed = {
            build.recipe
            for build, report in reports.items()
            if build.arch == arch and not JobOutcome(report.outcome).good
        }
        if failed:
            known = read_entries(load_index(publication.root, arch, keyring=None))
            builds = {
                one.job: [package.entry for package in one.packages]
                for build, one in staged.items()
                if build.arch == arch
            }
            held |= find_held(known, builds, failed)
    return held
