"""The reports of a run: one for each job, told as an event when it is settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.model import JobReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from melpy.engine.clock import Clock
    from melpy.engine.result import UnsignedPackage
    from melpy.engine.schedule import JobOutcome
    from melpy.errors import MelpyError
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId


class Ledger:
    """Reports, in order of settling; a job is settled once, whatever is said of it afterwards."""

    def __init__(self, graph: Graph, monitor: events.Monitor) -> None:
        self._graph = graph
        self._monitor = monitor
        self._reports: dict[BuildId, JobReport] = {}

    @property
    def reports(self) -> Mapping[BuildId, JobReport]:
        """The reports, in order of settling."""
        return self._reports

    def name(self, build: BuildId) -> str:
        """Return the name of a job."""
        return self._graph.summaries[build].job

    def settle(
        self,
        build: BuildId,
        outcome: JobOutcome,
        because: str = "",
        *,
        failure: MelpyError | None = None,
        clock: Clock | None = None,
        log: Path | None = None,
        stages: Iterable[tuple[str, float]] = (),
        seconds: float = 0.0,
        packages: Iterable[UnsignedPackage] = (),
    ) -> None:
        """Report a job.

        Args:
            build: the build.
            outcome: what became of it.
            because: reason for the outcome.
            failure: error that ended it.
            clock: the time that it took, where it was not settled by another round.
            log: output of its steps.
            stages: seconds of each stage.
            seconds: time from start to end.
            packages: its packages.
        """
        if build in self._reports:
            return
        summary = self._graph.summaries[build]
        if clock:
            log, stages, seconds = clock.log, clock.seconds.items(), clock.elapsed
            if failure and not failure.step.number and "steps" not in clock.seconds:
                log = None  # the steps begin it, so that this one is of an earlier build, if it is there at all
        report = JobReport(
            summary.job,
            summary.file,
            summary.arch,
            outcome.value,
            because,
            failure=failure,
            log=log,
            stages=tuple(stages),
            seconds=seconds,
        )
        self._reports[build] = report
        told = because or (str(failure) if failure else "")
        made = tuple(
            events.MadePackage(package.entry.info.name, package.entry.size, package.entry.info.depends)
            for package in packages
        )
        self._monitor.emit(events.JobSettled(summary.job, outcome.value, told, seconds, made))
