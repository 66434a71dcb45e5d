"""A recording as spans of time: what each job did, when, on which worker slot, and what it waited for.

Input: a `Recording`, also one that a kill cut off. Output: a `Timeline`, from which traces and report pages are made.
Pure. A job that is built several times, as within a cycle, has several spans.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy import events
from melpy.bound import clamp_time
from melpy.build.cause import find_cause
from melpy.codec import Noun

if TYPE_CHECKING:
    from melpy.engine.recording import Recording


class Piece(Noun, frozen=True):
    """A stage or a step of a build.

    Attributes:
        name: name of the stage, or label of the step.
        start: seconds since the run began.
        end: likewise.
        number: number of the step; 0 for a stage.
        status: exit status of the step.
    """

    name: str
    start: float
    end: float
    number: int = 0
    status: int = 0


class Span(Noun, frozen=True):
    """One build of a job, from its begin to its end.

    Attributes:
        start: seconds since the run began.
        end: likewise.
        slot: number of the row that shows it; spans of a row do not overlap.
        ok: whether it ended well; None where the recording does not say.
        pieces: its stages and steps, in order of their begin.
    """

    start: float
    end: float
    slot: int
    ok: bool | None = None
    pieces: tuple[Piece, ...] = ()


class JobHistory(Noun, frozen=True):
    """What became of a job.

    Attributes:
        job: its name.
        outcome: as `melpy.events.JobSettled` has it; `running` or `queued` where the run was killed before.
        because: reason for the outcome.
        settled: seconds after which the outcome was known.
        seconds: time that it took.
        waits: positions of the jobs that it waits for.
        blocker: position of the one of these that was settled last; None without any.
        spans: its builds.
        log: what its steps printed; empty without any.
        step: the step that failed.
        cause: the line that tells why.
        tail: last lines of the failed step.
        packages: its packages.
    """

    job: str
    outcome: str = "running"
    because: str = ""
    settled: float = 0.0
    seconds: float = 0.0
    waits: tuple[int, ...] = ()
    blocker: int | None = None
    spans: tuple[Span, ...] = ()
    log: str = ""
    step: str = ""
    cause: str = ""
    tail: tuple[str, ...] = ()
    packages: tuple[events.MadePackage, ...] = ()

    @property
    def name(self) -> str:
        """Name of the job without its architecture."""
        return self.job.rpartition("/")[0] or self.job

    @property
    def arch(self) -> str:
        """Its architecture."""
        return self.job.rpartition("/")[2] if "/" in self.job else ""


class Timeline(Noun, frozen=True):
    """A run as spans of time.

    Attributes:
        start: when it began, in seconds since 1970.
        seconds: how long it took.
        workers: number of jobs that could run at the same time.
        is_whole: whether the run came to its end.
        jobs: the jobs, in the planned order; those that were not planned follow.
        stages: stages of the run itself, such as publishing.
        warnings: its warnings, each with the job.
    """

    start: float
    seconds: float
    workers: int
    is_whole: bool
    jobs: tuple[JobHistory, ...] = ()
    stages: tuple[Piece, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()


@dataclass
class _Build:
    """A build that is being read."""

    start: float
    stage: tuple[str, float] | None = None
    step: tuple[str, float, int] | None = None
    pieces: list[Piece] = field(default_factory=list)

    def end_stage(self, at: float) -> None:
        self.end_step(at, 0)
        if self.stage:
            self.pieces.append(Piece(self.stage[0], self.stage[1], at))
        self.stage = None

    def end_step(self, at: float, status: int) -> None:
        if self.step:
            label, start, number = self.step
            self.pieces.append(Piece(label, start, at, number, status))
        self.step = None


@dataclass
class _Job:
    """A job that is being read."""

    name: str
    waits: tuple[str, ...] = ()
    build: _Build | None = None
    spans: list[tuple[_Build, float, bool | None]] = field(default_factory=list)
    settled: events.JobSettled | None = None
    at: float = 0.0
    log: str = ""
    step: str = ""
    tail: list[str] = field(default_factory=list)

    def close(self, at: float, *, ok: bool | None) -> None:
        if self.build:
            self.build.end_stage(at)
            self.spans.append((self.build, at, ok))
        self.build = None


class _Reader:
    """Reads events one after the other."""

    def __init__(self) -> None:
        self.jobs: dict[str, _Job] = {}
        self.workers = 0
        self.begin = 0.0
        self.last = 0.0
        self.is_whole = False
        self.run = _Build(0.0)
        self.warnings: list[tuple[str, str]] = []

    def read(self, at: float, event: events.Event) -> None:
        self.last = max(self.last, at)
        match event:
            case events.RunStarted(workers=workers, jobs=jobs, waits=waits):
                self.workers, self.begin = workers, at
                for number, name in enumerate(jobs):
                    self.jobs[name] = _Job(name, waits[number] if number < len(waits) else ())
            case events.RunFinished():
                self.is_whole = True
            case events.Warning(job=job, text=text):
                self.warnings.append((job, text))
            case events.StageStarted(job=job, stage=stage) if not self._is_job(job):
                self.run.stage = (f"{job} {stage}".lstrip(), at)
            case events.StageFinished(job=job) if not self._is_job(job):
                self.run.end_stage(at)
            case events.JobSettled():
                settled = self._job(event.job)
                settled.close(at, ok=event.outcome == "built")
                settled.settled, settled.at = event, at
            case events.Forecast() | events.Note():
                pass
            case _ if self._is_job(event.job) or isinstance(event, events.JobStarted):
                self._read_job(self._job(event.job), at, event)

    def _is_job(self, name: str) -> bool:
        """Tell whether a name is of a job: a run names its jobs, and the seed works for all of them."""
        return bool(name) and (name in self.jobs or not self.workers)

    def _job(self, name: str) -> _Job:
        return self.jobs.setdefault(name, _Job(name))

    def _read_job(self, job: _Job, at: float, event: events.Event) -> None:
        if isinstance(event, events.Output):
            job.tail.append(event.line)
            return
        build = job.build
        if isinstance(event, events.JobStarted) or build is None:
            job.close(at, ok=None)
            build = job.build = _Build(at)
        match event:
            case events.JobStarted(log=log):
                job.log, job.step, job.tail = str(log or ""), "", []
            case events.JobFinished(ok=ok):
                job.close(at, ok=ok)
            case events.StageStarted(stage=stage):
                build.stage = (stage, at)
            case events.StageFinished():
                build.end_stage(at)
            case events.StepStarted(label=label, number=number):
                build.step = (label, at, number)
                job.tail = []
            case events.StepFinished(label=label, number=number, total=total, status=status):
                build.end_step(at, status)
                job.step = f"{number}/{total} {label}, status {status}" if status else ""

    def finish(self) -> None:
        for job in self.jobs.values():
            job.close(self.last, ok=None)
        self.run.end_stage(self.last)


def make_timeline(recording: Recording) -> Timeline:
    """Return the spans of a recording."""
    reader = _Reader()
    for one in recording.events:
        reader.read(clamp_time(one.at), one.event)
    reader.finish()
    jobs = list(reader.jobs.values())
    positions = {job.name: number for number, job in enumerate(jobs)}
    slots = _find_slots(jobs)
    return Timeline(
        start=clamp_time(recording.header.start),
        seconds=reader.last,
        workers=reader.workers,
        is_whole=reader.is_whole
        or bool(jobs and not reader.workers and all(_find_outcome(job) in _ENDS for job in jobs)),
        jobs=tuple(_make_history(job, jobs, positions, slots) for job in jobs),
        stages=tuple(reader.run.pieces),
        warnings=tuple(reader.warnings),
    )


def _find_slots(jobs: list[_Job]) -> dict[int, int]:
    """Return the row of each build, by its identity: the lowest one that is free when it begins."""
    builds = sorted(((build.start, end, id(build)) for job in jobs for build, end, _ in job.spans))
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    slots: dict[int, int] = {}
    for start, end, key in builds:
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, slot))
        slots[key] = slot
    return slots


def _make_history(job: _Job, jobs: list[_Job], positions: dict[str, int], slots: dict[int, int]) -> JobHistory:
    waits = tuple(sorted(positions[name] for name in set(job.waits) if name in positions))
    begin = job.spans[0][0].start if job.spans else job.at
    # Within a cycle a job may begin before one that it waits for in the end is settled.
    before = [number for number in waits if jobs[number].settled and jobs[number].at <= begin]
    settled = job.settled or events.JobSettled(job.name, _find_outcome(job))
    failed = settled.outcome == "failed"
    return JobHistory(
        job=job.name,
        outcome=settled.outcome,
        because=settled.because,
        settled=job.at,
        seconds=clamp_time(settled.seconds) or sum(end - build.start for build, end, _ in job.spans),
        waits=waits,
        blocker=max(before, key=lambda number: jobs[number].at) if before else None,
        spans=tuple(
            Span(build.start, end, slots[id(build)], ok, tuple(sorted(build.pieces, key=_piece_order)))
            for build, end, ok in job.spans
        ),
        log=job.log,
        step=job.step if failed else "",
        cause=(find_cause(job.tail) if job.step else settled.because) if failed else "",
        tail=tuple(job.tail) if failed else (),
        packages=settled.packages,
    )


_ENDS = ("built", "failed")


def _find_outcome(job: _Job) -> str:
    """Return the outcome of a job that was not settled: a run of a single build settles none, a killed one not all."""
    if not job.spans:
        return "queued"
    _, _, ok = job.spans[-1]
    return "running" if ok is None else "built" if ok else "failed"


def _piece_order(piece: Piece) -> tuple[float, bool, float]:
    return piece.start, bool(piece.number), -piece.end
