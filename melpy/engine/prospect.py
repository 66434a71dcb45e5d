"""The prospect of a run: how long its builds are expected to take, in which order they matter, and when it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from melpy import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from melpy.engine.estimate import Estimate, Forecaster
    from melpy.engine.journal import Journal, Learned
    from melpy.engine.known import Work
    from melpy.graph.model import BuildId

    Left = Mapping[BuildId, Iterable[BuildId]]

_PAUSE = 5.0  # seconds between forecasts, at least
_SHARE = 0.02  # of the time that forecasts may take


class Prospect:
    """Expectations about the builds of a run; of a run over one build there are none.

    Args:
        work: the builds.
        journal: durations of earlier runs.
        workers: builds that may run at the same time.
    """

    def __init__(self, work: Work, journal: Journal, workers: int) -> None:
        self._work, self._journal, self._workers = work, journal, workers
        self._forecaster: Forecaster[BuildId] | None = None
        self._next = 0.0
        self.is_open = len(work.chosen) == 1
        self._learned: Mapping[BuildId, Learned] = {}
        self._estimates: Mapping[BuildId, Estimate] = {}

    def open(self, left: Left) -> Mapping[BuildId, float]:
        """Estimate builds; return the seconds by which each lengthens the longest chain that begins with it."""
        from melpy.engine.estimate import Forecaster, estimate_builds, find_spans  # noqa: PLC0415  # see `is_open`

        self.is_open = True
        summaries = {build: self._work.graph.summaries[build] for build in left}
        self._learned = self._journal.find_learned()
        self._estimates = estimate_builds(summaries, self._learned)
        self._forecaster = Forecaster(self._estimates)
        return find_spans(left, self._estimates)

    def find_memory(self, build: BuildId) -> int:
        """Return the bytes that a build was seen to use; 0 where that is not known."""
        return self._learned[build].memory if build in self._learned else 0

    def find_seconds(self, build: BuildId) -> float:
        """Return the seconds that a build is expected to take; 0 where nothing is expected."""
        return self._estimates[build].seconds if build in self._estimates else 0.0

    def end(self, build: BuildId, seconds: float) -> None:
        """Take note of the duration of a build."""
        if self._forecaster:
            self._forecaster.end(build, seconds)

    def tell(self, find_left: Callable[[], Left], running: Mapping[BuildId, float], monitor: events.Monitor) -> None:
        """Tell when the run is expected to end, now and then."""
        now = time.monotonic()
        if self._forecaster is None or now < self._next:
            return
        found = self._forecaster.forecast(find_left(), running, self._workers)
        taken = time.monotonic() - now
        self._next = now + max(_PAUSE, taken / _SHARE)
        monitor.emit(events.Forecast("", found.middle, found.low, found.high))
