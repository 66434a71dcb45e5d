"""Executors: they take jobs, tell events, and say what each job came to. The local one has worker processes.

An executor calls back from threads of its own. It decides nothing about order: the run does that.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from melpy.interrupt import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.engine.job import Job
    from melpy.engine.result import Result
    from melpy.engine.worker import Workers
    from melpy.events import Monitor


class Executor(Protocol):
    """Executes jobs, several at the same time."""

    def submit(self, job: Job, monitor: Monitor, done: Callable[[Result | BaseException], None]) -> None:
        """Begin to execute a job.

        Args:
            job: the job.
            monitor: receives its events, from any thread.
            done: is called once, from any thread, with the result or with the error that left none.
        """

    def cancel(self, job: Job) -> None:
        """End a job that was submitted; its `done` is still called. One that has ended stays as it is."""


class LocalExecutor:
    """Executes jobs in worker processes of this machine."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def submit(self, job: Job, monitor: Monitor, done: Callable[[Result | BaseException], None]) -> None:
        """See `Executor`."""

        def carry() -> None:
            try:
                result: Result | BaseException = self._workers.execute(job, monitor)
            except BaseException as error:  # the run is told, and shows it
                result = error
            done(result)

        # It starts no programs, and signals are for the main thread.
        start_thread(threading.Thread(target=carry, name=job.name, daemon=True))

    def cancel(self, job: Job) -> None:
        """See `Executor`."""
        self._workers.cancel(job)
