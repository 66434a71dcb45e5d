"""An executor that builds nothing: it writes tiny packages at once, so that a run shows its own cost and order.

    python -m tests.factories.pretend [ARGUMENT...]

runs `melpy build ARGUMENT...` with it in the working directory, and prints the seconds that the run took for a job
beside the executor. All that decides keys is real: environments are resolved, and packages have their inputs.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.model import PackageInfo
from melpy.apk.segment import read_segments
from melpy.build.model import OutputTree
from melpy.build.tree import add_file
from melpy.digest import file_digest
from melpy.engine.capacity import find_capacity
from melpy.engine.inputs import render_build_inputs
from melpy.engine.result import Result, UnsignedPackage
from melpy.pack.content import find_content
from melpy.pack.package import write_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.engine.admission import Capacity
    from melpy.engine.inputs import EnvironmentPackage, Inputs
    from melpy.engine.job import Job
    from melpy.events import Monitor
    from melpy.plan.model import PackagePlan


class Pretender:
    """Writes the packages of jobs; each has a list of the packages that its build saw.

    A main package has a program and a library of its name, `NAME-dev` a file of pkg-config, and what is built with the
    latter needs the library.

    Of those the list says whether they were made here or come from outside, and no more: builds that need one another
    come to rest.

    Args:
        wait: is called with a job before it is executed.
    """

    def __init__(self, wait: Callable[[Job], object] = lambda _job: None) -> None:
        self._wait = wait
        self._lock = threading.Lock()
        self.jobs: list[Job] = []
        self.seconds = 0.0

    def execute(self, job: Job, monitor: Monitor) -> Result:  # noqa: ARG002  # see `Executor`
        """See `melpy.engine.model.Executor`."""
        self._wait(job)
        start = time.perf_counter()
        packages = tuple(_write(job, package) for package in job.inputs.plan.packages)
        with self._lock:
            self.jobs.append(job)
            self.seconds += time.perf_counter() - start
        return Result(job.name, packages)

    def find_machine(self, arch: str) -> str:  # noqa: ARG002  # likewise
        """See `melpy.engine.model.Executor`."""
        return "pretended"

    def find_capacities(self, work: Path, builds: int) -> dict[str, Capacity]:
        """See `melpy.engine.model.Executor`."""
        return {"pretended": find_capacity(work, builds)}

    def cancel(self, job: Job) -> None:
        """See `melpy.engine.model.Executor`; a job takes too little time to be cancelled."""


def _write(job: Job, package: PackagePlan) -> UnsignedPackage:
    inputs, plan = job.inputs, job.inputs.plan
    directory = job.run.locations.results / plan.package_arch
    info = PackageInfo(
        name=package.name,
        version=plan.full_version,
        arch=plan.package_arch,
        origin=plan.name,
        depends=(*package.runtime, *_find_needed(package.name, inputs)),
        provides=(*package.provides, *_find_provided(plan.name, package.name)),
        replaces=package.replaces,
        provider_priority=package.provider_priority,
    )
    tree = add_file(OutputTree(package.name, directory, ()), f"usr/share/saw/{package.name}", _render_saw(inputs))
    entry = write_package(tree, info, directory, mtime=0, inputs=render_build_inputs(inputs), level=1, durable=False)
    path = directory / info.file_name
    with path.open("rb") as stream:
        content = find_content(read_segments(stream, where=str(path)))
    return UnsignedPackage(entry, content, file_digest(path))


def _find_provided(recipe: str, package: str) -> tuple[str, ...]:
    if package == recipe:
        return f"cmd:{recipe}=1", f"so:lib{recipe}.so.1=1"
    return (f"pc:{recipe}=1",) if package == f"{recipe}-dev" else ()


def _find_needed(package: str, inputs: Inputs) -> tuple[str, ...]:
    if package != inputs.plan.name:
        return (f"so:lib{inputs.plan.name}.so.1",) if package == f"{inputs.plan.name}-dev" else ()
    made = [package.name for package in inputs.environment if package.content and package.name.endswith("-dev")]
    asked = {text for text in inputs.plan.environment.packages if text in made}
    return tuple(f"so:lib{name.removesuffix('-dev')}.so.1" for name in made if name in asked)


def _render_saw(inputs: Inputs) -> bytes:
    return "".join(map(_describe, inputs.environment)).encode()


def _describe(package: EnvironmentPackage) -> str:
    return f"{package.name} {package.version} {'here' if package.content else 'outside'}\n"


def main() -> None:
    """Run `melpy build` in the working directory."""
    from melpy.cli.main import main as melpy
    from melpy.engine import worker

    pretender = Pretender()

    @contextmanager
    def start(*_arguments: object, **_options: object) -> Iterator[Pretender]:
        yield pretender

    worker.start_workers = start  # type: ignore[assignment]  # it is what jobs are given to
    sys.argv[1:1] = ["build"]
    begin = time.perf_counter()
    try:
        melpy()
    finally:
        seconds, count = time.perf_counter() - begin, len(pretender.jobs)
        sys.stderr.write(f"{count} jobs, {seconds:.1f} s, of which {pretender.seconds:.1f} s to write packages\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
