"""The packages of a closure are made: what is there is reused, the rest is fetched and converted side by side.

Conversions run in other processes, as most of their time is Python's; what goes there and comes back is text.
"""

from __future__ import annotations

from concurrent.futures import as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.bootstrap.convert import Content, Job, Place, convert_package, flush_files, open_unpacking, render_job
from melpy.bootstrap.manifest import Made
from melpy.bootstrap.model import Deb
from melpy.bootstrap.version import map_version, readable_version
from melpy.codec import Noun
from melpy.errors import SeedError
from melpy.events import Monitor, Progress
from melpy.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.bootstrap.closure import Node
    from melpy.bootstrap.table import Table

_SMALL = 256 << 10  # as much as is converted while another process would still be starting


class Task(Noun, frozen=True):
    """A package that is to be in the seed: how it is made, and the Debian package it is made from, if any."""

    job: Job
    deb: Deb | None

    @property
    def size(self) -> int:
        """How much work it is, in bytes of the Debian package."""
        return self.deb.size if self.deb else 0


class Workshop(Struct, frozen=True):
    """Where packages are made.

    Attributes:
        key: private key that signs them.
        destination: directory of the repository they go to.
        jobs: how many at the same time.
        fetch: brings Debian packages and returns their files by SHA-256.
        monitor: is told what happens.
    """

    key: Path
    destination: Path
    jobs: int
    fetch: Callable[[list[Deb]], Mapping[str, Path]]
    monitor: Monitor


def plan_tasks(closed: Mapping[str, Node], table: Table, arch: Arch) -> dict[str, Task]:
    """Return what has to be done to have each package of a closure.

    Raises:
        SeedError: the table has a name without a version.
    """
    return {name: Task(_job(node, closed, table, arch), node.deb) for name, node in closed.items()}


def _job(node: Node, closed: Mapping[str, Node], table: Table, arch: Arch) -> Job:
    depends = tuple(name for name in node.depends if name in closed)
    common = {"name": node.name, "arch": arch.apk, "depends": depends}
    if node.deb is not None:
        change = node.change
        content = Content(
            files=change.files,
            links=change.links,
            concatenate=change.concatenate,
            edits=change.edits,
            omit=(*change.omit, *(link for link, owner in table.alternatives.items() if owner != node.deb.name)),
            drop=table.drop,
        )
        return Job(
            **common,  # type: ignore[arg-type]  # these three are of the right types
            version=map_version(node.deb.version),
            deb=node.deb.sha256,
            content=content,
            rivals=node.rivals,
            provides=tuple(f"{name}={readable_version(node.deb.version)}" for name in change.provides),
            replaces=change.replaces,
            description=node.deb.description,
            url=node.deb.homepage,
            origin=node.deb.source,
        )
    assert node.made is not None
    made = node.made
    return Job(
        **common,  # type: ignore[arg-type]  # these three are of the right types
        version=made.version or _model_version(node, closed),
        deb="",
        content=Content(directories=made.directories, files=made.files, links=made.links),
        provides=made.provides,
        description=f"{' '.join(depends)} under the name that recipes use" if depends else "part of the seed",
    )


def _model_version(node: Node, closed: Mapping[str, Node]) -> str:
    name = node.name
    while node.deb is None:
        if node.made is not None and node.made.version:
            return node.made.version
        if node.model not in closed:
            raise SeedError("nothing gives it a version", where=name, hint="the table must name a version")
        node = closed[node.model]
    return readable_version(node.deb.version)


def make_packages(tasks: Mapping[str, Task], workshop: Workshop) -> dict[str, Made]:
    """Fetch what is needed, make the packages, and return them by name.

    Raises:
        SeedError: the suite has moved on since its lists were fetched.
        UnreachableError: the mirror does not answer.
        ExtractError: a Debian package is broken.
        OutputError: a package cannot be written.
    """
    if not tasks:
        return {}
    # The largest first, so that no process ends long after the others.
    ordered = sorted(tasks.values(), key=lambda task: (-task.size, task.job.name))
    with open_unpacking(workshop.destination) as scratch, _open_pool(ordered, workshop) as pool:
        debs = workshop.fetch([task.deb for task in ordered if task.deb])
        texts = {task.job.name: render_job(task.job, _place(task, debs, workshop, scratch)) for task in ordered}
        made = {}
        for name, checksum in _run(texts, pool):
            made[name] = _made(tasks[name], checksum)
            workshop.monitor.emit(Progress("seed", "packages converted", len(made), len(tasks)))
        flush_files(workshop.destination / item.file for item in made.values())
        return made


def _place(task: Task, debs: Mapping[str, Path], workshop: Workshop, scratch: Path) -> Place:
    deb = str(debs[task.deb.sha256]) if task.deb else ""
    return Place(deb, str(workshop.key), str(workshop.destination), str(scratch))


def _made(task: Task, checksum: str) -> Made:
    job, deb = task.job, task.deb
    if deb is None:
        return Made(job.file_name, checksum, job.identity)
    return Made(job.file_name, checksum, job.identity, deb.name, deb.version, deb.architecture, deb.sha256)


@contextmanager
def _open_pool(tasks: list[Task], workshop: Workshop) -> Iterator[Executor | None]:
    """Start processes while the packages are still on their way; for a little work there are none."""
    if workshop.jobs < 2 or sum(task.size for task in tasks) < _SMALL:
        yield None
        return
    # Not forked: melpy may have threads by now, and a fork of those can hang.
    pool = open_pool(workshop.jobs, "spawn")
    try:
        for _ in range(workshop.jobs):
            pool.submit(int)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _run(texts: Mapping[str, str], pool: Executor | None) -> Iterator[tuple[str, str]]:
    if pool is None:
        yield from ((name, convert_package(text)) for name, text in texts.items())
        return
    names = {pool.submit(convert_package, text): name for name, text in texts.items()}
    for future in as_completed(names):
        yield names[future], future.result()
