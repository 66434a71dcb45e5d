"""The environments of recipes are locked to their exact packages, and builds take what was locked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from melpy.engine.missing import resolve_job
from melpy.environment.pin import LOCK_ANEW, check_complete, check_world, find_pinned, find_signers, pin_solution
from melpy.errors import LockError, UnresolvableError
from melpy.solve.lockfile import Lock, LockedEnvironment, LockedRecipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.engine.model import Job
    from melpy.environment.model import RepositorySpec
    from melpy.environment.repository import Repositories
    from melpy.plan.model import PlanEnvironment
    from melpy.solve.model import Solution


def lock_jobs(jobs: Sequence[Job], arch: Arch, repositories: Repositories, base: Path) -> Lock:
    """Return the exact packages of the environments of recipes for an architecture.

    A test's environment has the package that it tests only where that is built already.

    Args:
        jobs: the recipes.
        arch: the architecture.
        repositories: where packages come from.
        base: directory of the lock file; repositories below it are named relative to it.

    Raises:
        UnresolvableError: there is no such set of packages.
        RepositoryError: a repository cannot be read.
    """
    own = [job for job in jobs if job.arch == arch]
    recipes = {job.plan.name: _lock_recipe(job, repositories, base) for job in own}
    lock = Lock(arch.apk, {}, recipes)
    used = {package.repository for package in lock.packages()}
    return dataclasses.replace(lock, repositories=find_signers(used, repositories, base))


def _lock_recipe(job: Job, repositories: Repositories, base: Path) -> LockedRecipe:
    names = {package.name for package in job.plan.packages}
    tests = {}
    for test in job.plan.tests:
        try:
            tests[test.package] = _lock(job, test.environment, repositories, base)
        except UnresolvableError:
            # What is tested may not be there yet.
            others = [text for text in test.environment.packages if text not in names]
            tests[test.package] = _lock(job, test.environment.with_packages(others), repositories, base)
    return LockedRecipe(_lock(job, job.plan.environment, repositories, base), tests)


def _lock(job: Job, environment: PlanEnvironment, repositories: Repositories, base: Path) -> LockedEnvironment:
    solution = resolve_job(job, environment, repositories)
    return pin_solution(environment.packages, solution, job.arch.apk, repositories.spec, base)


def find_locked(job: Job, lock: Lock, spec: RepositorySpec, where: Path) -> Solution:
    """Return the packages that a recipe's environment is locked to.

    Args:
        job: the recipe.
        lock: what was locked.
        spec: where packages are.
        where: the lock file.

    Raises:
        LockError: the recipe is not locked, asks for something else by now, or a package is another one.
        UnreachableError: a package is gone.
    """
    plan = job.plan
    recipe = lock.recipes.get(plan.name)
    if recipe is None or lock.arch != plan.arch:
        raise LockError(f"does not lock {plan.name} for {plan.arch}", where=str(where), hint=LOCK_ANEW)
    world = plan.environment.packages
    check_world(plan.name, world, recipe.build, where)
    solution = find_pinned(recipe.build, lock, spec, where)
    check_complete(plan.name, world, solution, where)
    return solution
