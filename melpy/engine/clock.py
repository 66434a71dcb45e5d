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

    def begin(self, log: Path) -> None:
        """Tell that the build begins."""
        self.log = log
        self.monitor.emit(events.JobStarted(self.job, log))

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.start

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; one that fails is not told to have ended."""
        self.monitor.emit(events.StageStarted(self.job, name))
        start = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
        self.monitor.emit(events.StageFinished(self.job, name, self.seconds[name]))
