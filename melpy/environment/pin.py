"""Environments are pinned to their exact packages, and taken again from where they were pinned."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.apk.segment import read_entry
from melpy.apk.signature import Keyring, parse_keyring
from melpy.arch import NOARCH, parse_arch
from melpy.codec import replace
from melpy.environment.layer import CONNECTIONS
from melpy.errors import LockError, MelpyError
from melpy.net import is_remote
from melpy.repo.remote import fetch_package, load_keys
from melpy.solve.lockfile import OUT_DIR, SEED, LockedEnvironment, LockedPackage, LockedRepository
from melpy.solve.model import Offer, Solution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from melpy.apk.atom import Atom
    from melpy.environment.model import RepositorySpec
    from melpy.environment.repository import Repositories
    from melpy.solve.lockfile import Lock

LOCK_ANEW = "lock it anew: melpy lock RECIPE"


def pin_solution(
    world: tuple[str, ...], solution: Solution, arch: str, spec: RepositorySpec, base: Path
) -> LockedEnvironment:
    """Return what a lock file says of an environment.

    Args:
        world: what was asked for.
        solution: the packages that answer it.
        arch: APK architecture.
        spec: where packages come from.
        base: directory of the lock file; repositories below it are named relative to it.
    """
    packages = tuple(
        LockedPackage(
            offer.name,
            offer.version,
            offer.entry.checksum,
            _name_location(offer.repository, spec, base),
            "" if offer.entry.info.arch in {arch, ""} else offer.entry.info.arch,
        )
        for offer in solution.offers
    )
    return LockedEnvironment(world, packages)


def find_signers(used: Iterable[str], repositories: Repositories, base: Path) -> Mapping[str, LockedRepository]:
    """Return who signed the repositories that a lock file names; the seed's key is each machine's own."""
    signed_by = {
        _name_location(address, repositories.spec, base): one for address, one in repositories.signed_by.items()
    }
    signed_by.pop(SEED, None)
    return {name: LockedRepository(*signed_by.get(name, ("", ""))) for name in used}


def _name_location(address: str, spec: RepositorySpec, base: Path) -> str:
    """Return what a lock file calls a repository."""
    if address == str(spec.own):
        return OUT_DIR
    if spec.supply and address == str(spec.supply.root):
        return SEED
    below = not is_remote(address) and Path(address).is_relative_to(base)
    return f"./{Path(address).relative_to(base)}" if below else address


def find_pinned(
    locked: LockedEnvironment, lock: Lock, spec: RepositorySpec, where: Path, staged: Sequence[Path] = ()
) -> Solution:
    """Return the packages that an environment is pinned to.

    Args:
        locked: the environment.
        lock: the lock that it is part of.
        spec: where packages are.
        where: the lock file.
        staged: repositories of packages that were built here and are not published yet.

    Raises:
        LockError: a package is another one, or has no key that it could be checked by.
        UnreachableError: a package is gone.
    """
    finder = _Finder(lock, spec, where, staged)
    finder.extend_seed(locked.packages)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return Solution(tuple(pool.map(finder.find, locked.packages)))


def check_complete(name: str, world: Sequence[str], solution: Solution, where: Path) -> None:
    """Check that what was pinned goes together and has all that it needs: somebody may have edited it.

    Args:
        name: what is built in the environment, for messages.
        world: what is asked for.
        solution: the packages.
        where: the lock file.

    Raises:
        LockError: it does not.
    """
    needs: list[tuple[Offer | None, Atom]] = [(None, parse_dependency(text)) for text in world]
    needs += [(offer, atom) for offer in solution.offers for atom in offer.depends]
    lines = []
    for asker, atom in needs:
        there = any(offer.satisfies(atom) for offer in solution.offers if not (atom.conflict and offer is asker))
        if there == atom.conflict:
            verb = "excludes" if atom.conflict else "needs"
            lines.append(f"  {asker or 'the recipe'} {verb} {str(atom).removeprefix('!')}")
    if lines:
        message = f"locks packages for {name} that do not go together"
        raise LockError(message, where=str(where), details=lines, hint=LOCK_ANEW)


def check_world(name: str, world: Sequence[str], locked: LockedEnvironment, where: Path) -> None:
    """Check that an environment is asked for as it was when it was pinned.

    Args:
        name: what is built in the environment, for messages.
        world: what is asked for.
        locked: the environment as it was pinned.
        where: the lock file.

    Raises:
        LockError: something else is asked for.
    """
    now, then = set(world), set(locked.world)
    if now == then:
        return
    lines = [f"  {text} is asked for now" for text in sorted(now - then)]
    lines += [f"  {text} was asked for when it was locked" for text in sorted(then - now)]
    raise LockError(f"locks another environment of {name}", where=str(where), details=lines, hint=LOCK_ANEW)


@dataclass(frozen=True)
class _Finder:
    """Finds the packages of a lock."""

    lock: Lock
    spec: RepositorySpec
    where: Path
    staged: Sequence[Path] = ()

    def extend_seed(self, packages: Iterable[LockedPackage]) -> None:
        """Have the seed make what it does not have."""
        supply = self.spec.supply
        own = [package for package in packages if package.repository == SEED] if supply else []
        missing = [package for package in own if not Path(self._location(package)).is_file()]
        if supply and missing:
            supply.extend([f"{package.name}={package.version}" for package in missing], parse_arch(self.lock.arch))

    def find(self, package: LockedPackage) -> Offer:
        """Return a package, fetched first when it is on a server."""
        location = self._location(package)
        try:
            path = fetch_package(location, package.checksum, 0, self.spec.servers)
            if not path.is_file():
                raise LockError(
                    f"{package.name}-{package.version} is not there any more", where=location, hint=LOCK_ANEW
                )
            entry = read_entry(path, keyring=self._keyring(package))
        except MelpyError as error:
            error.details = (*error.details, f"  it is locked in {self.where}")
            raise
        info = entry.info
        if (entry.checksum, info.name, info.version) != (package.checksum, package.name, package.version):
            message = f"is another {package.name}-{package.version} than {self.where} locks"
            raise LockError(message, where=location, hint=f"bring back the one that was locked, or {LOCK_ANEW}")
        address, arch = self._find_place(package)
        return Offer(replace(entry, info=replace(info, arch=arch)), address)

    def _keyring(self, package: LockedPackage) -> Keyring | None:
        """Return the key that a package must be signed with; None for what this machine made, and with no checks."""
        if package.repository in {OUT_DIR, SEED} or not self.spec.check_signatures:
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
        return load_keys(self.spec.keyring, self.spec.servers)

    def _location(self, package: LockedPackage) -> str:
        address, arch = self._find_place(package)
        return f"{address}/{arch}/{package.name}-{package.version}.apk"

    def _find_place(self, package: LockedPackage) -> tuple[str, str]:
        """Return the repository that has a package, and the directory of it: an architecture or `noarch`."""
        spec, name, arch = self.spec, package.repository, package.arch or self.lock.arch
        if name == OUT_DIR:
            file = f"{package.name}-{package.version}.apk"
            # Before they are published, packages for every architecture lie in a directory of their own.
            places = ((root, place) for root in self.staged for place in (arch, NOARCH))
            root, place = next((one for one in places if Path(*one, file).is_file()), (spec.own, arch))
            return str(root), place
        if name == SEED:
            if not spec.supply:
                message = f"{package.name} is locked to the seed, and there is none"
                raise LockError(message, where="seed", hint='write seed = "trixie"')
            return str(spec.supply.root), arch
        return (name if is_remote(name) else str(self.where.absolute().parent / name)), arch
