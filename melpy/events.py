"""What happens while melpy works, told to whoever watches.

Core code never prints: it emits events to a `Monitor`. The command line has monitors for terminals, for plain
lines and for JSON; tests have `Tape`, which remembers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from melpy.codec import Noun

# Escape sequences of terminals, and control characters but the tab: what a step prints must not drive ours.


class Event(Noun, frozen=True, tag=True):
    """Something happened. `job` names what it happened to, such as `hello-2.10-r0/x86_64`, or is empty."""

    job: str


class StageStarted(Event, frozen=True):
    """A stage of a job began: `history`, `environment`, `sources`, `root`, `steps`, `packages`."""

    stage: str
    detail: str = ""


class StageFinished(Event, frozen=True):
    """A stage of a job ended well."""

    stage: str
    seconds: float
    detail: str = ""


class StepStarted(Event, frozen=True):
    """A pipeline step began; steps count from 1."""

    label: str
    number: int
    total: int


class StepFinished(Event, frozen=True):
    """A pipeline step ended."""

    label: str
    number: int
    total: int
    seconds: float
    status: int


class Output(Event, frozen=True):
    """A step printed a line."""

    line: str


class JobStarted(Event, frozen=True):
    """A recipe began to be built for one architecture."""

    log: Path | None = None


class JobFinished(Event, frozen=True):
    """A recipe was built for one architecture, or failed."""

    seconds: float
    ok: bool


class RunStarted(Event, frozen=True):
    """A run over several jobs began. `job` is empty.

    Attributes:
        total: number of jobs.
        workers: number of jobs that may run at the same time.
        jobs: names of the jobs, in the planned order.
        waits: for each job, the jobs that it waits for.
    """

    total: int
    workers: int
    jobs: tuple[str, ...] = ()
    waits: tuple[tuple[str, ...], ...] = ()


class MadePackage(Noun, frozen=True):
    """A package of a job that is settled.

    Attributes:
        name: its name.
        size: bytes of its file.
        depends: constraints on packages that it needs when it is installed.
    """

    name: str
    size: int
    depends: tuple[str, ...] = ()


class JobSettled(Event, frozen=True):
    """The run has decided what becomes of a job; each job is settled once.

    Attributes:
        outcome: `built`, `cached` (taken from the result cache), `up-to-date`, `failed`, `skipped`, `held-back`,
            `stopped` (never begun, since enough others had failed) or `interrupted`.
        because: reason for the outcome: of a skipped job the job whose failure had it skipped, of a failed one what is
            wrong.
        seconds: time from start to end of the job.
        packages: its packages, if there are any, main package first.
    """

    outcome: str
    because: str = ""
    seconds: float = 0.0
    packages: tuple[MadePackage, ...] = ()


class Forecast(Event, frozen=True):
    """Estimate of the time that a run still takes. `job` is empty.

    Attributes:
        left: seconds, the median.
        low: seconds that it takes at least, with 90 % probability.
        high: seconds that it takes at most, with 90 % probability.
    """

    left: float
    low: float
    high: float


class RunFinished(Event, frozen=True):
    """A run ended, well or not. `job` is empty."""

    seconds: float


class Progress(Event, frozen=True):
    """Some of a countable amount of work is done."""

    what: str
    done: int
    total: int


class Transfer(Event, frozen=True):
    """Some bytes of a download have come.

    Attributes:
        what: the download; with the job, it tells those apart that run at the same time.
        done: bytes that have come.
        total: bytes that there are; 0 where that is not known.
        ended: nothing more comes.
    """

    what: str
    done: int
    total: int
    ended: bool = False


class Note(Event, frozen=True):
    """Something worth saying."""

    text: str


class Warning(Event, frozen=True):  # noqa: A001  # the field's word; it is always used as events.Warning
    """Something that may not be what the user wants."""

    text: str
    hint: str = ""


AnyEvent = (
    StageStarted
    | StageFinished
    | StepStarted
    | StepFinished
    | Output
    | JobStarted
    | JobFinished
    | RunStarted
    | JobSettled
    | Forecast
    | RunFinished
    | Progress
    | Transfer
    | Note
    | Warning
)
"""Every event, for the codec to tell which one it reads."""


class Monitor(Protocol):
    """Receives events. It may be called from several threads."""

    def emit(self, event: Event) -> None:
        """Take note of an event; must not raise."""


class Once:
    """Hands on events to another monitor; a warning that is of no job in particular is told once."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._told: set[str] = set()

    def emit(self, event: Event) -> None:
        """Hand on an event."""
        if isinstance(event, Warning) and not event.job:
            if event.text in self._told:
                return
            self._told.add(event.text)
        self._monitor.emit(event)


class Fan:
    """A monitor that hands on each event to several others."""

    def __init__(self, *monitors: Monitor) -> None:
        self._monitors = monitors

    def emit(self, event: Event) -> None:
        """Hand on an event."""
        for monitor in self._monitors:
            monitor.emit(event)


class Null:
    """A monitor that forgets."""

    def emit(self, event: Event) -> None:
        """Forget the event."""


@dataclass
class Tape:
    """A monitor that remembers, for tests."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        """Remember the event."""
        self.events.append(event)
