"""Admission of the jobs of a run to the machines that execute them: by slots, memory, disk, and what builds took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.admission import Admission, Demand, Request, clamp
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.engine.admission import Capacity
    from melpy.engine.job import Job
    from melpy.engine.means import Means
    from melpy.engine.model import Executor
    from melpy.engine.node import Node
    from melpy.engine.prospect import Prospect

_RENEWED = 10.0  # seconds after which the free disk is looked at again


class Door:
    """Lets jobs in, the most urgent first, as far as the machine of their architecture has room for them.

    Args:
        means: what the run works with.
        executor: tells which machines there are.
        prospect: expectations about builds.
        monitor: is told of requests that a machine cannot meet.
    """

    def __init__(self, means: Means, executor: Executor, prospect: Prospect, monitor: events.Monitor) -> None:
        self._means, self._executor, self._prospect, self._monitor = means, executor, prospect, monitor
        self._capacities = self._find_capacities()
        self._admissions: dict[str, Admission[Node]] = {
            machine: Admission(capacity) for machine, capacity in self._capacities.items()
        }
        self._places: dict[Node, str] = {}  # machines of the jobs that run
        self._looked = time.monotonic()
        self._told: set[str] = set()

    @property
    def builds(self) -> int:
        """How many builds may run at the same time, on all machines."""
        return sum(capacity.builds for capacity in self._capacities.values())

    def choose(self, waiting: Mapping[Node, Job]) -> Node | None:
        """Return the job that may start next, and take note that it does; None where none may.

        Args:
            waiting: jobs that are ready to be executed, the most urgent first.
        """
        now = time.monotonic()
        if now - self._looked > _RENEWED:
            self._looked = now
            self._renew()
        machines = {node: self._executor.find_machine(job.inputs.plan.arch) for node, job in waiting.items()}
        for machine in dict.fromkeys(machines.values()):
            own = [node for node in waiting if machines[node] == machine]
            admission = self._admissions[machine]
            node = admission.choose(own, lambda node: self._find_request(node, waiting[node], machines[node]), now)
            if node is not None:
                admission.start(node, self._find_request(node, waiting[node], machine), now)
                self._places[node] = machine
                return node
        return None

    def leave(self, nodes: Iterable[Node]) -> None:
        """Take note that jobs have ended."""
        for node in nodes:
            self._admissions[self._places.pop(node)].end(node)

    def _find_capacities(self) -> Mapping[str, Capacity]:
        return self._executor.find_capacities(self._means.spec.cache_dir, self._means.options.workers)

    def _renew(self) -> None:
        """Look at the free disk again: what runs has taken its part, but memory counts as it was asked for."""
        found = self._find_capacities()
        self._capacities = {
            machine: capacity.with_disk(found[machine].disk) for machine, capacity in self._capacities.items()
        }
        for machine, capacity in self._capacities.items():
            self._admissions[machine].refresh(capacity)

    def _find_request(self, node: Node, job: Job, machine: str) -> Request:
        learned = self._prospect.find_memory(node.build)
        asked = Demand(learned or job.run.requests.memory, job.run.requests.disk)
        demand = clamp(asked, self._capacities[machine])
        if demand.memory < asked.memory and not learned and job.name not in self._told:
            self._told.add(job.name)
            text = f"asks for {size_text(asked.memory)} of memory, and there are {size_text(demand.memory)}"
            self._monitor.emit(events.Note(job.name, text))
        return Request(demand, self._prospect.find_seconds(node.build))
