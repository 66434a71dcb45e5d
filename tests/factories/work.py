"""Jobs of a project, in processes of their own: `python -m tests.factories.work COMMAND …`.

A process that forks workers must not have threads, and pytest has some.

    prepare RECIPE...        print the jobs of recipes of the project in the working directory, a line of JSON each
    overhead                 print the seconds that a worker takes for the job of standard input beside the job's stages
    execute                  have a worker execute the jobs of standard input, all at once; print the results
"""

from __future__ import annotations

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from melpy.codec import decode, encode, replace
from melpy.engine.job import Job
from melpy.engine.worker import start_workers
from melpy.events import Event, Null, StepStarted


def prepare(names: list[str]) -> None:
    from melpy.arch import parse_arch
    from melpy.cli.planning import plan_recipes
    from melpy.cli.setup import make_spec
    from melpy.config.load import load_settings
    from melpy.engine.clock import Clock
    from melpy.engine.prepare import draft_build, find_commit, make_job
    from melpy.engine.resultdir import RESULTS
    from melpy.engine.source import fetch_sources
    from melpy.engine.stage import Stage
    from melpy.environment.repository import Repositories

    settings = load_settings({}, {}, Path.cwd())
    _, builds = plan_recipes([Path(name) for name in names], [parse_arch("x86_64")], settings, print)
    spec = make_spec(settings, Null())
    repositories = Repositories(spec.repositories)
    visible = Stage(repositories).see(())
    for build in builds:
        draft = draft_build(build, spec, repositories, visible, Clock(build.plan.job, Null()), lambda _: "")
        sources = fetch_sources(build.plan.sources, spec.sources, Null(), build.plan.job)
        job = make_job(draft, sources, find_commit(build, spec, Null()), spec, spec.cache_dir / RESULTS)
        sys.stdout.write(f"{encode(job).decode()}\n")


class Times:
    """A monitor that remembers when steps began."""

    def __init__(self) -> None:
        self.began: list[float] = []

    def emit(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self.began.append(time.monotonic())


def execute() -> None:
    jobs = [decode(line, Job) for line in sys.stdin.buffer]
    with start_workers() as workers, ThreadPoolExecutor(len(jobs)) as pool:
        for result in pool.map(lambda job: workers.execute(job, Times()), jobs):
            sys.stdout.write(f"{encode(result).decode()}\n")


def overhead() -> None:
    job = decode(sys.stdin.buffer.readline(), Job)
    # It fails at once, after its environment.
    job = replace(job, run=replace(job.run, locations=replace(job.run.locations, kept=Path("/nonexistent"))))
    seconds = []
    with start_workers() as workers:
        for _ in range(31):
            start = time.perf_counter()
            result = workers.execute(job, Null())
            seconds.append(time.perf_counter() - start - sum(taken for _, taken in result.stages))
    sys.stdout.write(f"{statistics.median(seconds)}\n")


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[2:])
    elif sys.argv[1] == "overhead":
        overhead()
    else:
        execute()
