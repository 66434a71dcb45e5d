"""Whether the versions of a language that recipes range over can be had, found out before anything is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import FaultsError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.engine.environment import Repositories
    from melpy.engine.model import Job
    from melpy.plan.range import RangeUse


def check_ranges(jobs: Sequence[Job], repositories: Repositories) -> None:
    """Check that the keys of ranges stand for packages that a repository has, the supply makes, or these jobs make.

    Raises:
        FaultsError: some do not.
        RepositoryError: a repository cannot be read.
    """
    supply = repositories.context.supply
    if supply is None:
        return
    own = {package.name for job in jobs for package in job.plan.packages}
    faults: dict[str, RecipeError] = {}
    for job in jobs:
        for use in job.ranges:
            unmet = supply.find_unmet(use.name, use.keys)
            missing = {key: name for key, name in unmet.items() if name not in own}
            if missing:
                universe = repositories.universe(job.plan.environment, job.arch.apk, supplied=False)
                missing = {key: name for key, name in missing.items() if not universe.providers(name)}
            if missing:
                error = _explain(use, missing)
                faults[str(error)] = error
    if faults:
        raise FaultsError(faults.values())


def _explain(use: RangeUse, missing: dict[str, str]) -> RecipeError:
    names = _join(list(missing.values()))
    message = f"the range {use.name!r} needs {names}, which the seed cannot make and no repository has"
    kept = ",".join(key for key in use.keys if key not in missing)
    other = "name a repository that has them with --repository-append"
    restriction = f"{use.name}={kept}"
    hint = f'leave out what needs them with --range {restriction}, or ranges = ["{restriction}"] in melpy.toml'
    return use.spot.at(use.name, 0, RecipeError, message, hint if kept else other)


def _join(names: list[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
