"""Measures the stages of a build, and tells of them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy import events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Clock:
    """The stages of a build so far.

    Attributes:
        job: name of the build.
        monitor: is told when a stage begins and ends.
        seconds: seconds of each stage, in order.
        start: when it began, `time.monotonic`.
        log: file that receives what the steps print; None before the build has begun.
    """

    job: str
    monitor: events.Monitor
    seconds: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.monotonic)
    log: Path | None = None
    _held: list[events.Event] = field(default_factory=list)

    def begin(self, log: Path) -> None:
        """Tell that the build begins, and what it has done so far: a build that is up to date never begins."""
        self.log = log
        self.monitor.emit(events.JobStarted(self.job, log))
        for event in self._held:
            self.monitor.emit(event)
        self._held.clear()

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.start

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; one that fails is not told to have ended."""
        self._tell(events.StageStarted(self.job, name))
        start = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
        self._tell(events.StageFinished(self.job, name, self.seconds[name]))

    def _tell(self, event: events.Event) -> None:
        if self.log:
            self.monitor.emit(event)
        else:
            self._held.append(event)
