"""Streams of events as a run over many recipes emits them, made from a number."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.recording import Recorder, Recording, load_recording

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHES = ("x86_64", "aarch64")
STEPS = ("fetch", "autoconf/configure", "autoconf/make", "autoconf/make-install", "strip")
NOISE = "| x86_64-pc-linux-gnu-gcc -DHAVE_CONFIG_H -I. -I./lib -O2 -Wall -c -o src/main-{0}.o src/main-{0}.c"
FAILURES = (
    ("| main.c:3:10: fatal error: zlib.h: No such file or directory", "| make: *** [Makefile:3: main.o] Error 1"),
    ("| main.o: in function `main':", "| main.c:(.text+0x5): undefined reference to `f'"),
    ("| <script>alert(1)</script> error: \u202eevil", "| sh: cargo: not found"),
)
NAMES = ("lib", "py3-", "go-", "perl-", "rust-", "gtk-", "x11-", "")

Timed = tuple[float, events.Event]


@dataclass
class FakeRun:
    """A run: its jobs, what they wait for, and what becomes of them.

    Args:
        recipes: number of recipes; each is built for two architectures.
        workers: jobs that run at the same time.
        seed: what the rest is made from.
        failing: share of jobs that fail.
        fresh: share of recipes that are up to date.
        output: lines that each step prints.
        waits: builds that a job waits for, on average.
    """

    recipes: int = 20
    workers: int = 4
    seed: int = 1
    failing: float = 0.05
    fresh: float = 0.2
    output: int = 3
    waits: int = 4
    jobs: list[str] = field(default_factory=list)
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._make_jobs()

    def _make_jobs(self) -> None:
        made: dict[str, list[str]] = {arch: [] for arch in ARCHES}
        for number in range(self.recipes):
            name = f"{self.random.choice(NAMES)}{self.random.choice(['glib', 'foo', 'render', 'net', 'crypt'])}{number}"
            version = f"{self.random.randrange(10)}.{self.random.randrange(30)}.{number % 7}-r{number % 4}"
            reach = self.random.randrange(2 * self.waits + 1)
            # Most builds need a few that many need.
            places = {int(number * self.random.random() ** 2) for _ in range(reach)} if number else set()
            for arch in ARCHES:
                job = f"{name}-{version}/{arch}"
                self.needs[job] = tuple(made[arch][place] for place in sorted(places))
                made[arch].append(job)
                self.jobs.append(job)

    def play(self) -> Iterator[Timed]:
        """Yield the events, each with the seconds since the beginning, in order."""
        start = events.RunStarted(
            "", len(self.jobs), self.workers, tuple(self.jobs), tuple(self.needs[job] for job in self.jobs)
        )
        yield 0.0, start
        run = _State(self)
        while run.ready or run.running:
            run.start_ready()
            if run.running:
                yield from run.settle_next()
        yield run.now, events.RunFinished("", run.now)

    def play_job(self, job: str, now: float) -> tuple[float, str, list[Timed]]:
        if self.random.random() < self.fresh:
            return now, "up-to-date", [(now, events.JobSettled(job, "up-to-date"))]
        if self.random.random() < self.fresh / 4:
            return now + 0.1, "cached", [(now + 0.1, events.JobSettled(job, "cached", seconds=0.1))]
        told = _Teller(job, now)
        name, _, arch = job.partition("/")
        told.say(events.JobStarted(job, Path(f"out/logs/{arch}/{name}.log")))
        for stage in ("history", "environment", "sources", "root"):
            told.say(events.StageStarted(job, stage))
            told.at += self.random.lognormvariate(-2, 1)
            told.say(events.StageFinished(job, stage, 0.2))
        fails = self.random.randrange(len(STEPS)) if self.random.random() < self.failing else -1
        told.say(events.StageStarted(job, "steps"))
        if self.random.random() < 0.05:
            told.say(events.Warning(job, "expected-commit is no commit of the tag", "name the tag's commit"))
        for number, label in enumerate(STEPS):
            self._play_step(told, label, number, fails=number == fails)
            if number == fails:
                return told.end("failed", f"step {number + 1} of {len(STEPS)}, '{label}', ended with status 2")
        told.say(events.StageFinished(job, "steps", told.at - now))
        told.say(events.StageStarted(job, "packages"))
        told.at += 0.3
        told.say(events.StageFinished(job, "packages", 0.3))
        return told.end("built", packages=self._make_packages(name))

    def _make_packages(self, name: str) -> tuple[events.MadePackage, ...]:
        stem = name.rsplit("-", 2)[0]
        depends = tuple(f"so:lib{self.random.randrange(300)}.so.1" for _ in range(self.random.randrange(6)))
        size = self.random.randrange(1000, 9_000_000)
        made = [events.MadePackage(stem, size, depends)]
        return (*made, *(events.MadePackage(f"{stem}-{end}", size // 7, (stem,)) for end in ("dev", "doc")))

    def _play_step(self, told: _Teller, label: str, number: int, *, fails: bool) -> None:
        told.say(events.StepStarted(told.job, label, number + 1, len(STEPS)))
        seconds = self.random.lognormvariate(1, 1)
        for line in range(self.output):
            told.at += seconds / self.output
            told.say(events.Output(told.job, NOISE.format(line)))
        if fails:
            for text in FAILURES[self.random.randrange(len(FAILURES))]:
                told.say(events.Output(told.job, text))
        told.say(events.StepFinished(told.job, label, number + 1, len(STEPS), seconds, 2 if fails else 0))


class _State:
    """How far a run has come."""

    def __init__(self, run: FakeRun) -> None:
        self.run = run
        self.now = 0.0
        self.left = {job: set(needs) for job, needs in run.needs.items()}  # those that are not settled
        self.users: dict[str, list[str]] = {job: [] for job in run.jobs}
        for job, needs in run.needs.items():
            for need in needs:
                self.users[need].append(job)
        self.ready = [job for job, needs in self.left.items() if not needs]
        self.running: list[tuple[float, str, str]] = []
        self._queue: list[tuple[float, int, events.Event]] = []
        self._count = 0

    def start_ready(self) -> None:
        while self.ready and len(self.running) < self.run.workers:
            job = self.ready.pop(0)
            ended, outcome, told = self.run.play_job(job, self.now)
            for at, event in told:
                self._count += 1
                heapq.heappush(self._queue, (at, self._count, event))
            heapq.heappush(self.running, (ended, job, outcome))

    def settle_next(self) -> Iterator[Timed]:
        self.now, job, outcome = heapq.heappop(self.running)
        while self._queue and self._queue[0][0] <= self.now:
            at, _, event = heapq.heappop(self._queue)
            yield at, event
        del self.left[job]
        if outcome == "failed":
            for skipped in self._dependents(job):
                if self.left.pop(skipped, None) is not None:
                    yield self.now, events.JobSettled(skipped, "skipped", job)
        for user in self.users[job]:
            if user in self.left:
                self.left[user].discard(job)
                if not self.left[user]:
                    self.ready.append(user)
        if outcome != "up-to-date":
            guess = len(self.left) * 20.0 / self.run.workers
            yield self.now, events.Forecast("", guess, guess * 0.7, guess * 1.6)

    def _dependents(self, job: str) -> Iterator[str]:
        seen, stack = {job}, [job]
        while stack:
            for user in self.users[stack.pop()]:
                if user not in seen:
                    seen.add(user)
                    stack.append(user)
                    yield user


@dataclass
class _Teller:
    """Events of one job."""

    job: str
    at: float
    told: list[Timed] = field(default_factory=list)
    start: float = 0.0

    def __post_init__(self) -> None:
        self.start = self.at

    def say(self, event: events.Event) -> None:
        self.told.append((self.at, event))

    def end(
        self, outcome: str, because: str = "", packages: tuple[events.MadePackage, ...] = ()
    ) -> tuple[float, str, list[Timed]]:
        seconds = self.at - self.start
        self.say(events.JobFinished(self.job, seconds, outcome == "built"))
        self.say(events.JobSettled(self.job, outcome, because, seconds, packages))
        return self.at, outcome, self.told


def record(path: Path, run: FakeRun) -> Recording:
    """Return what was recorded of a run, at its own times."""
    now = 0.0
    with Recorder(path, lambda: now) as recorder:
        for now, event in run.play():  # noqa: B007  # the clock reads it
            recorder.emit(event)
    return load_recording(path)
