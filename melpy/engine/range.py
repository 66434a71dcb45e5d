"""Whether the versions of a language that recipes range over can be had, found out before anything is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.engine.environment import make_environment
from melpy.errors import FaultsError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.engine.model import PlannedBuild
    from melpy.environment.repository import Repositories
    from melpy.plan.template import Spot


def check_ranges(jobs: Sequence[PlannedBuild], repositories: Repositories) -> None:
    """Check that the keys of ranges stand for packages that a repository has, the supply makes, or these jobs make.

    Raises:
        FaultsError: some do not.
        RepositoryError: a repository cannot be read.
    """
    supply = repositories.spec.supply
    if supply is None:
        return
    own = {package.name for job in jobs for package in job.plan.packages}
    faults: dict[str, RecipeError] = {}
    for job in jobs:
        for name, (spot, keys) in _find_ranges(job).items():
            unmet = supply.find_unmet(name, keys)
            missing = {key: package for key, package in unmet.items() if package not in own}
            if missing:
                snapshot = repositories.take_snapshot(make_environment(job.plan.environment, job.arch))
                universe = repositories.find_universe(snapshot)
                missing = {key: package for key, package in missing.items() if not universe.providers(package)}
            if missing:
                error = _explain(name, keys, missing, spot)
                faults[str(error)] = error
    if faults:
        raise FaultsError(faults.values())


def _find_ranges(job: PlannedBuild) -> dict[str, tuple[Spot, list[str]]]:
    """Return the first `range` that names each table, and the keys that subpackages are made for."""
    assert job.evaluation
    found = job.evaluation
    ranges: dict[str, tuple[Spot, list[str]]] = {}
    for model, scope, spot in zip(found.subpackages, found.scopes[1:], found.spots[1:], strict=True):
        if model.range:
            _, keys = ranges.setdefault(model.range, (spot.below("range"), []))
            keys += [] if scope["range.key"] in keys else [scope["range.key"]]
    return ranges


def _explain(name: str, keys: Sequence[str], missing: Mapping[str, str], spot: Spot) -> RecipeError:
    packages = list(missing.values())
    names = " and ".join(part for part in (", ".join(packages[:-1]), packages[-1]) if part)
    message = f"the range {name!r} needs {names}, which the seed cannot make and no repository has"
    kept = ",".join(key for key in keys if key not in missing)
    flag, setting = f"--range {name}={kept}", f'ranges = ["{name}={kept}"]'
    hint = f"leave out what needs them with {flag}, or write {setting} into melpy.toml"
    return spot.at(name, 0, RecipeError, message, hint if kept else "name a repository with -r, --repository-append")
