"""Several jobs, one after the other, each after those it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.build import build_job
from melpy.engine.range import check_ranges
from melpy.environment.repository import Repositories
from melpy.errors import CycleError, MelpyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from melpy.engine.model import BuildContext, BuildResult, Job


def order_jobs(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Return jobs in the order in which they can be built: architecture by architecture.

    Raises:
        CycleError: recipes need one another.
        RecipeError: two recipes make the same package.
    """
    if len(jobs) < 2:
        return tuple(jobs)
    from melpy.engine.cycle import explain_cycle  # noqa: PLC0415  # networkx takes 150 ms, one recipe needs no order
    from melpy.graph.order import order_plans  # noqa: PLC0415  # likewise

    ordered: list[Job] = []
    for arch in dict.fromkeys(job.arch for job in jobs):
        own = [job for job in jobs if job.arch == arch]
        by_name = {job.plan.name: job for job in own}
        try:
            ordered += [by_name[plan.name] for plan in order_plans([job.plan for job in own])]
        except CycleError as error:
            raise explain_cycle(error.edges, {job.plan.name: job.evaluation for job in own if job.evaluation}) from None
    return tuple(ordered)


def run_jobs(
    jobs: Sequence[Job], context: BuildContext, monitor: events.Monitor, on_result: Callable[[BuildResult], None]
) -> None:
    """Build all jobs in order, handing on each result; stop at the first that fails.

    Raises:
        FaultsError: ranges of recipes need packages that nobody has.
        MelpyError: what went wrong with it.
    """
    repositories = Repositories(context.repositories)
    monitor = events.Once(monitor)
    ordered = order_jobs(jobs)
    check_ranges(ordered, repositories)
    for number, job in enumerate(ordered, 1):
        try:
            on_result(build_job(job, context, repositories, monitor))
        except MelpyError as error:
            error.job = job.plan.job
            if number < len(ordered):
                names = ", ".join(other.plan.job for other in ordered[number:])
                monitor.emit(events.Warning("", f"not built, since {job.plan.job} failed: {names}"))
            raise
