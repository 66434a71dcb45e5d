"""The environments of recipes are locked to their exact packages, and builds take what was locked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from melpy.engine.missing import resolve_build
from melpy.environment.pin import LOCK_ANEW, check_complete, check_world, find_pinned, find_signers, pin_solution
from melpy.errors import LockError, UnresolvableError
from melpy.solve.lockfile import Lock, LockedEnvironment, LockedRecipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.engine.model import PlannedBuild
    from melpy.environment.model import RepositorySpec
    from melpy.environment.repository import Repositories
    from melpy.plan.model import PlanEnvironment
    from melpy.solve.model import Solution


def lock_builds(builds: Sequence[PlannedBuild], arch: Arch, repositories: Repositories, base: Path) -> Lock:
    """Return the exact packages of the environments of recipes for an architecture.

    A test's environment has the package that it tests only where that is built already.

    Args:
        builds: the recipes.
        arch: the architecture.
        repositories: where packages come from.
        base: directory of the lock file; repositories below it are named relative to it.

    Raises:
        UnresolvableError: there is no such set of packages.
        RepositoryError: a repository cannot be read.
    """
    own = [build for build in builds if build.arch == arch]
    recipes = {build.plan.name: _lock_recipe(build, repositories, base) for build in own}
    lock = Lock(arch.apk, {}, recipes)
    used = {package.repository for package in lock.packages()}
    return dataclasses.replace(lock, repositories=find_signers(used, repositories, base))


def _lock_recipe(build: PlannedBuild, repositories: Repositories, base: Path) -> LockedRecipe:
    names = {package.name for package in build.plan.packages}
    tests = {}
    for test in build.plan.tests:
        try:
            tests[test.package] = _lock(build, test.environment, repositories, base)
        except UnresolvableError:
            # What is tested may not be there yet.
            others = [text for text in test.environment.packages if text not in names]
            tests[test.package] = _lock(build, test.environment.with_packages(others), repositories, base)
    return LockedRecipe(_lock(build, build.plan.environment, repositories, base), tests)


def _lock(
    build: PlannedBuild, environment: PlanEnvironment, repositories: Repositories, base: Path
) -> LockedEnvironment:
    solution = resolve_build(build, environment, repositories)
    return pin_solution(environment.packages, solution, build.arch.apk, repositories.spec, base)


def find_locked(
    build: PlannedBuild, lock: Lock, spec: RepositorySpec, where: Path, *, staged: Sequence[Path] = ()
) -> Solution:
    """Return the packages that a recipe's environment is locked to.

    Args:
        build: the recipe.
        lock: what was locked.
        spec: where packages are.
        where: the lock file.
        staged: repositories of packages that were built here and are not published yet.

    Raises:
        LockError: the recipe is not locked, asks for something else by now, or a package is another one.
        UnreachableError: a package is gone.
    """
    plan = build.plan
    recipe = lock.recipes.get(plan.name)
    if recipe is None or lock.arch != plan.arch:
        raise LockError(f"does not lock {plan.name} for {plan.arch}", where=str(where), hint=LOCK_ANEW)
    world = plan.environment.packages
    check_world(plan.name, world, recipe.build, where)
    solution = find_pinned(recipe.build, lock, spec, where, staged)
    check_complete(plan.name, world, solution, where)
    return solution
