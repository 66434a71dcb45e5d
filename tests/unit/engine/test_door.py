"""Jobs are let in to the machines of their architectures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from melpy import events
from melpy.engine.admission import Capacity
from melpy.engine.door import Door
from melpy.engine.node import Node
from melpy.graph.model import BuildId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from melpy.engine.job import Job
    from melpy.engine.means import Means
    from melpy.engine.model import Executor
    from melpy.engine.prospect import Prospect


class TwoMachines:
    """An executor with a machine for each architecture."""

    def __init__(self, **builds: int) -> None:
        self.builds = builds

    def find_machine(self, arch: str) -> str:
        return arch

    def find_capacities(self, work: Path, builds: int) -> Mapping[str, Capacity]:  # noqa: ARG002  # see `Executor`
        return {arch: Capacity(count, memory=8 << 30) for arch, count in self.builds.items()}


def make_door(executor: TwoMachines, told: events.Tape) -> Door:
    means = SimpleNamespace(spec=SimpleNamespace(cache_dir=None), options=SimpleNamespace(workers=1))
    prospect = SimpleNamespace(find_memory=lambda _build: 0, find_seconds=lambda _build: 1.0)
    return Door(cast("Means", means), cast("Executor", executor), cast("Prospect", prospect), told)


def job(name: str, arch: str, memory: int = 0) -> Job:
    requests: Any = SimpleNamespace(memory=memory, disk=0)
    plan = SimpleNamespace(arch=arch)
    made = SimpleNamespace(name=name, inputs=SimpleNamespace(plan=plan), run=SimpleNamespace(requests=requests))
    return cast("Job", made)


def node(name: str, arch: str) -> Node:
    return Node(BuildId(name, arch))


def test_each_machine_has_room_of_its_own() -> None:
    door = make_door(TwoMachines(x86_64=1, aarch64=2), events.Tape())
    names = [("a", "x86_64"), ("b", "x86_64"), ("c", "aarch64"), ("d", "aarch64"), ("e", "aarch64")]
    waiting = {node(*name): job(*name) for name in names}
    chosen = []
    while (one := door.choose(waiting)) is not None:
        chosen.append(one.build.recipe)
        del waiting[one]
    assert (chosen, door.builds) == (["a", "c", "d"], 3)
    door.leave([node("c", "aarch64")])
    assert door.choose(waiting) == node("e", "aarch64")
    assert door.choose(waiting) is None


def test_a_request_is_cut_to_what_its_machine_has() -> None:
    told = events.Tape()
    door = make_door(TwoMachines(x86_64=2), told)
    waiting = {node("a", "x86_64"): job("a", "x86_64", memory=64 << 30)}
    assert door.choose(waiting) == node("a", "x86_64")
    assert [event.text for event in told.events if isinstance(event, events.Note)] == [
        "asks for 68.7 GB of memory, and there are 8.6 GB"
    ]
