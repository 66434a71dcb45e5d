"""Admission of the jobs of a run to this machine: slots, memory and disk, with what is known of each build."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.admission import Admission, Demand, Request, clamp
from melpy.engine.capacity import find_capacity
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.engine.job import Job
    from melpy.engine.known import Means
    from melpy.engine.node import Node
    from melpy.engine.prospect import Prospect

_RENEWED = 10.0  # seconds after which the free disk is looked at again


class Door:
    """Lets jobs in, the most urgent first, as far as the machine has room for them.

    Args:
        means: what the run works with.
        prospect: expectations about builds.
        monitor: is told of requests that the machine cannot meet.
    """

    def __init__(self, means: Means, prospect: Prospect, monitor: events.Monitor) -> None:
        self._means, self._prospect, self._monitor = means, prospect, monitor
        self._capacity = find_capacity(means.spec.cache_dir, means.options.workers)
        self._admission: Admission[Node] = Admission(self._capacity)
        self._looked = time.monotonic()
        self._told: set[str] = set()

    def choose(self, waiting: Mapping[Node, Job]) -> Node | None:
        """Return the job that may start next, and take note that it does; None where none may.

        Args:
            waiting: jobs that are ready to be executed, the most urgent first.
        """
        now = time.monotonic()
        if now - self._looked > _RENEWED:
            # What runs has taken its disk already; memory of what runs is counted as it was asked for.
            self._looked = now
            disk = find_capacity(self._means.spec.cache_dir, self._means.options.workers).disk
            self._capacity = self._capacity.with_disk(disk)
            self._admission.refresh(self._capacity)
        node = self._admission.choose(waiting, lambda node: self._find_request(node, waiting[node]), now)
        if node is not None:
            self._admission.start(node, self._find_request(node, waiting[node]), now)
        return node

    def leave(self, nodes: Iterable[Node]) -> None:
        """Take note that jobs have ended."""
        for node in nodes:
            self._admission.end(node)

    def _find_request(self, node: Node, job: Job) -> Request:
        learned = self._prospect.find_memory(node.build)
        asked = Demand(learned or job.run.requests.memory, job.run.requests.disk)
        demand = clamp(asked, self._capacity)
        if demand.memory < asked.memory and not learned and job.name not in self._told:
            self._told.add(job.name)
            text = f"asks for {size_text(asked.memory)} of memory, and there are {size_text(demand.memory)}"
            self._monitor.emit(events.Note(job.name, text))
        return Request(demand, self._prospect.find_seconds(node.build))
