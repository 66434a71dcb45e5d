"""Environments are locked to their exact packages, and builds take what was locked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.apk.segment import read_entry
from melpy.apk.signature import Keyring, parse_keyring
from melpy.codec import replace
from melpy.engine.environment import CONNECTIONS
from melpy.engine.missing import resolve_job
from melpy.errors import LockError, MelpyError, UnresolvableError
from melpy.net import is_remote
from melpy.repo.remote import fetch_package, load_keys
from melpy.solve.lockfile import (
    OUT_DIR,
    SEED,
    Lock,
    LockedEnvironment,
    LockedPackage,
    LockedRecipe,
    LockedRepository,
)
from melpy.solve.model import Offer, Solution

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.apk.atom import Atom
    from melpy.arch import Arch
    from melpy.engine.environment import Repositories
    from melpy.engine.model import BuildContext, Job
    from melpy.plan.model import Plan, PlanEnvironment

_ANEW = "lock it anew: melpy lock RECIPE"


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
    signed_by = {_name_place(place, repositories.context, base): one for place, one in repositories.signed_by.items()}
    signed_by.pop(SEED, None)  # each machine makes a key of its own for it
    used = {package.repository for package in lock.packages()}
    return replace(lock, repositories={place: LockedRepository(*signed_by.get(place, ("", ""))) for place in used})


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
    packages = tuple(
        LockedPackage(
            offer.name,
            offer.version,
            offer.entry.checksum,
            _name_place(offer.repository, repositories.context, base),
            "" if offer.entry.info.arch in {job.arch.apk, ""} else offer.entry.info.arch,
        )
        for offer in solution.offers
    )
    return LockedEnvironment(environment.packages, packages)


def _name_place(place: str, context: BuildContext, base: Path) -> str:
    """Return what a lock file calls a repository."""
    if place == str(context.out_dir):
        return OUT_DIR
    if context.supply and place == str(context.supply.root):
        return SEED
    below = not is_remote(place) and Path(place).is_relative_to(base)
    return f"./{Path(place).relative_to(base)}" if below else place


def find_locked(job: Job, lock: Lock, context: BuildContext, where: Path) -> Solution:
    """Return the packages that a recipe's environment is locked to.

    Args:
        job: the recipe.
        lock: what was locked.
        context: where packages are.
        where: the lock file.

    Raises:
        LockError: the recipe is not locked, asks for something else by now, or a package is another one.
        UnreachableError: a package is gone.
    """
    plan = job.plan
    recipe = lock.recipes.get(plan.name)
    if recipe is None or lock.arch != plan.arch:
        raise LockError(f"does not lock {plan.name} for {plan.arch}", where=str(where), hint=_ANEW)
    _check_world(plan, recipe.build, where)
    finder = _Finder(lock, job.arch, context, where)
    finder.extend_seed(recipe.build.packages)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        offers = tuple(pool.map(finder.find, recipe.build.packages))
    _check_complete(plan, offers, where)
    return Solution(offers)


def _check_complete(plan: Plan, offers: Sequence[Offer], where: Path) -> None:
    """Check that what was locked goes together and has all that it needs: somebody may have edited it."""
    needs: list[tuple[Offer | None, Atom]] = [(None, parse_dependency(text)) for text in plan.environment.packages]
    needs += [(offer, atom) for offer in offers for atom in offer.depends]
    lines = []
    for asker, atom in needs:
        there = any(offer.satisfies(atom) for offer in offers if not (atom.conflict and offer is asker))
        if there == atom.conflict:
            verb = "excludes" if atom.conflict else "needs"
            lines.append(f"  {asker or 'the recipe'} {verb} {str(atom).removeprefix('!')}")
    if lines:
        message = f"locks packages for {plan.name} that do not go together"
        raise LockError(message, where=str(where), details=lines, hint=_ANEW)


def _check_world(plan: Plan, locked: LockedEnvironment, where: Path) -> None:
    now, then = set(plan.environment.packages), set(locked.world)
    if now == then:
        return
    lines = [f"  {text} is asked for now" for text in sorted(now - then)]
    lines += [f"  {text} was asked for when it was locked" for text in sorted(then - now)]
    raise LockError(f"locks another environment of {plan.name}", where=str(where), details=lines, hint=_ANEW)


@dataclass(frozen=True)
class _Finder:
    """Finds the packages of a lock."""

    lock: Lock
    arch: Arch
    context: BuildContext
    where: Path

    def extend_seed(self, packages: Iterable[LockedPackage]) -> None:
        """Have the seed make what it does not have."""
        supply = self.context.supply
        own = [package for package in packages if package.repository == SEED] if supply else []
        missing = [package for package in own if not Path(self._location(package)).is_file()]
        if supply and missing:
            supply.extend([f"{package.name}={package.version}" for package in missing], self.arch)

    def find(self, package: LockedPackage) -> Offer:
        """Return a package, fetched first when it is on a server."""
        location = self._location(package)
        try:
            path = fetch_package(location, package.checksum, 0, self.context.servers)
            if not path.is_file():
                raise LockError(f"{package.name}-{package.version} is not there any more", where=location, hint=_ANEW)
            entry = read_entry(path, keyring=self._keyring(package))
        except MelpyError as error:
            error.details = (*error.details, f"  it is locked in {self.where}")
            raise
        info = entry.info
        if (entry.checksum, info.name, info.version) != (package.checksum, package.name, package.version):
            message = f"is another {package.name}-{package.version} than {self.where} locks"
            raise LockError(message, where=location, hint=f"bring back the one that was locked, or {_ANEW}")
        placed = replace(info, arch=package.arch or self.arch.apk)
        return Offer(replace(entry, info=placed), self._root(package))

    def _keyring(self, package: LockedPackage) -> Keyring | None:
        """Return the key that a package must be signed with; None for what this machine made, and with no checks."""
        if package.repository in {OUT_DIR, SEED} or not self.context.check_signatures:
            return None
        repository = self.lock.repositories[package.repository]
        if not repository.key:
            hint = "lock it anew with its key, or build with --ignore-signatures"
            raise LockError(f"has no key for {package.repository}", where=str(self.where), hint=hint)
        locked = parse_keyring(repository.key, repository.pem, str(self.where))
        return Keyring((*self._trusted.keys, *locked.keys))

    @cached_property
    def _trusted(self) -> Keyring:
        """The keys of the settings: a package need not be signed by who signed the index."""
        return load_keys(self.context.keyring, self.context.servers)

    def _location(self, package: LockedPackage) -> str:
        arch = package.arch or self.arch.apk
        return f"{self._root(package)}/{arch}/{package.name}-{package.version}.apk"

    def _root(self, package: LockedPackage) -> str:
        context, place = self.context, package.repository
        if place == OUT_DIR:
            return str(context.out_dir)
        if place == SEED:
            if not context.supply:
                message = f"{package.name} is locked to the seed, and there is none"
                raise LockError(message, where="seed", hint='write seed = "trixie"')
            return str(context.supply.root)
        return place if is_remote(place) else str(self.where.absolute().parent / place)
