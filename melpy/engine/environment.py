"""The build environment of a plan: from repositories to exact packages to layers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.atom import parse_dependency
from melpy.apk.model import Index
from melpy.errors import FileConflictError, PackageFormatError, UnresolvableError
from melpy.meter import open_meter
from melpy.net import is_remote
from melpy.repo.layout import index_path
from melpy.repo.remote import fetch_package, load_keys, load_repository, split_tag
from melpy.repo.repository import load_index
from melpy.rootfs.assembly import assemble
from melpy.rootfs.layout import STORE, layer_path, share_store
from melpy.rootfs.model import Setting, StoredPackage
from melpy.rootfs.store import ensure_layers, find_absent
from melpy.solve.resolver import solve
from melpy.solve.universe import make_universe
from melpy.source.place import find_local

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.apk.signature import Keyring
    from melpy.arch import Arch
    from melpy.engine.model import BuildContext, Supply
    from melpy.plan.model import PlanEnvironment
    from melpy.solve.model import Offer, Solution
    from melpy.solve.universe import Universe


CONNECTIONS = 4
"""Packages that are fetched from a server at the same time."""


@dataclass
class Repositories:
    """The repositories of a run, their indexes read once for each architecture.

    Attributes:
        context: how they are found.
        signed_by: name and PEM of the key that signed the index of each place.
    """

    context: BuildContext
    signed_by: dict[str, tuple[str, str]] = field(default_factory=dict)
    _indexes: dict[tuple[str, ...], Index] = field(default_factory=dict)

    def universe(self, environment: PlanEnvironment, arch: str, *, supplied: bool = True) -> Universe:
        """Return what an environment may consist of: what was built before, and all repositories.

        Args:
            environment: the environment.
            arch: its architecture.
            supplied: whether the supply is one of them.
        """
        context = self.context
        sources = [(str(context.out_dir), "", load_index(context.out_dir, arch, keyring=None))]
        # The recipe's own keys vouch for the recipe's own repositories only.
        trusted = dict.fromkeys(context.repositories, context.keyring)
        for line in environment.repositories:
            if line not in trusted:
                _check_reach(split_tag(line)[1], context)
            trusted.setdefault(line, (*context.keyring, *environment.keyring))
        for line, keys in trusted.items():
            tag, place = split_tag(line)
            sources.append((place, tag, self._index(place, arch, keys)))
        if context.supply and supplied:
            sources.append((str(context.supply.root), "", self._supplied(context.supply, arch)))
        return make_universe(sources, arch)

    def forget_supplied(self) -> None:
        """Read the supply's index again next time."""
        if self.context.supply:
            root = str(self.context.supply.root)
            self._indexes = {key: index for key, index in self._indexes.items() if key[0] != root}

    def _index(self, place: str, arch: str, keys: tuple[str, ...]) -> Index:
        key = (place, arch, *keys)
        if key not in self._indexes:
            trusted = load_keys(keys, self.context.servers) if self.context.check_signatures else None
            self._remember(key, load_repository(place, arch, self.context.servers, keyring=trusted), trusted)
        return self._indexes[key]

    def _remember(self, key: tuple[str, ...], index: Index, keyring: Keyring | None) -> None:
        self._indexes[key] = index
        if keyring:
            self.signed_by[key[0]] = (index.signed_by, keyring.pem(index.signed_by))

    def _supplied(self, supply: Supply, arch: str) -> Index:
        key = (str(supply.root), arch)
        if not index_path(supply.root, arch).is_file():
            return Index(())  # nothing was asked of it yet
        if key not in self._indexes:
            trusted = load_keys([str(supply.public_key)], self.context.servers)
            self._remember(key, load_index(supply.root, arch, keyring=trusted), trusted)
        return self._indexes[key]


def _check_reach(place: str, context: BuildContext) -> None:
    """Check that a recipe may name a repository: on a server, or where the user lets recipes reach on this machine.

    Raises:
        UnreachableError: it may not.
    """
    if not is_remote(place) and Path(place).absolute() != context.out_dir.absolute():
        find_local(str(Path(place).absolute()), context.places.local)


def resolve_environment(
    environment: PlanEnvironment, arch: Arch, repositories: Repositories, *, where: str, choosy: bool = False
) -> Solution:
    """Return the exact packages of an environment; the supply makes those that are missing.

    Args:
        environment: the environment.
        arch: its architecture.
        repositories: where packages come from.
        where: who asks, for messages.
        choosy: see `melpy.solve.resolver.solve`.

    Raises:
        UnresolvableError: there is no such set of packages.
        RepositoryError: a repository cannot be read.
    """
    universe = supplied_universe(environment, arch, repositories)
    try:
        return solve(environment.packages, universe, where=where, choosy=choosy)
    except UnresolvableError:
        # What there is of a name may need what nobody has; the supply's own package of that name need not.
        atoms = map(parse_dependency, environment.packages)
        names = {atom.name for atom in atoms if not atom.conflict}
        supply = repositories.context.supply
        if not supply or not supply.extend(sorted(names), arch):
            raise
        repositories.forget_supplied()
        universe = repositories.universe(environment, arch.apk)
        return solve(environment.packages, universe, where=where, choosy=choosy)


def supplied_universe(environment: PlanEnvironment, arch: Arch, repositories: Repositories) -> Universe:
    """Return what an environment may consist of, when the supply has made what it asks for and nobody else has.

    Raises:
        RepositoryError: a repository cannot be read.
    """
    world = environment.packages
    supply = repositories.context.supply
    universe = repositories.universe(environment, arch.apk, supplied=False)
    asked: set[str] = set()
    # The supply is asked every time, since it also sees to it that what it has is still as it would make it.
    while supply:
        missing = find_missing(world, universe) - asked
        if missing and supply.extend(sorted(missing), arch):
            repositories.forget_supplied()
        asked |= missing
        universe = repositories.universe(environment, arch.apk)
        if find_missing(world, universe) <= asked:
            break
    return universe


def find_missing(world: Iterable[str], universe: Universe) -> set[str]:
    """Return the names that a world asks for, directly or through dependencies, and that nothing has."""
    missing: set[str] = set()
    seen: set[str] = set()
    pending = list(world)
    while pending:
        try:
            atom = parse_dependency(pending.pop())
        except PackageFormatError:
            continue  # the resolver reports it
        if atom.conflict or atom.name in seen:
            continue
        seen.add(atom.name)
        offers = universe.providers(atom.name)
        if not offers:
            missing.add(atom.name)
        pending += [text for offer, _ in offers for text in offer.entry.info.depends]
    return missing


@contextmanager
def ensure_environment(
    solution: Solution,
    environment: PlanEnvironment,
    arch: Arch,
    context: BuildContext,
    monitor: events.Monitor,
    job: str,
) -> Iterator[tuple[Path, ...]]:
    """Give the layers of an environment, topmost last, and keep them from being pruned meanwhile.

    What is not there yet is downloaded, extracted and assembled.

    Args:
        solution: its exact packages.
        environment: what was asked for.
        arch: its architecture.
        context: where packages are kept.
        monitor: is told of what takes long.
        job: whose environment it is, for messages.

    Raises:
        FileConflictError: two of the packages do not go together.
        PackageFormatError: a package is damaged or is not the one that the index means.
        StoreError: the store is damaged.
    """
    store = context.cache_dir / STORE
    with share_store(store):
        layers = _ensure_packages(store, solution, context, monitor, job)
        checksums = [offer.entry.checksum for offer in solution.offers]
        try:
            held = assemble(store, checksums, _setting(environment, arch), big_endian=arch.big_endian)
        except FileConflictError as error:
            error.details = (*error.details, f"  environment of {job}")
            raise
    with closing(held):
        yield (*layers, held.layer)


@contextmanager
def open_packages(
    solution: Solution, context: BuildContext, monitor: events.Monitor, job: str
) -> Iterator[tuple[Path, ...]]:
    """Give the files of packages, each in a layer of its own, and keep them from being pruned meanwhile.

    What is not there yet is downloaded and extracted.

    Raises:
        PackageFormatError: a package is damaged or is not the one that the index means.
    """
    store = context.cache_dir / STORE
    with share_store(store):
        yield _ensure_packages(store, solution, context, monitor, job)


def _ensure_packages(
    store: Path, solution: Solution, context: BuildContext, monitor: events.Monitor, job: str
) -> tuple[Path, ...]:
    absent = find_absent(store, [offer.entry.checksum for offer in solution.offers])
    missing = [offer for offer in solution.offers if offer.entry.checksum in absent]
    paths = _fetch_packages(missing, context, monitor, job) if missing else {}
    packages = [StoredPackage(paths[offer.entry.checksum], offer.entry.checksum) for offer in missing]
    try:
        ensure_layers(store, packages, monitor, job, context.jobs)
    except PackageFormatError as error:
        damaged = next((offer for offer in missing if offer.location == error.where), None)
        if damaged and damaged.repository == str(context.out_dir):
            error.hint = f"build {damaged.entry.info.origin or damaged.name} again, which replaces it"
        elif damaged and not error.hint:
            error.hint = f"the repository {damaged.repository} has a damaged file; get it whole from its origin"
        raise
    return tuple(layer_path(store, offer.entry.checksum) for offer in solution.offers)


def _setting(environment: PlanEnvironment, arch: Arch) -> Setting:
    return Setting(arch.apk, tuple(sorted(environment.packages)), environment.users, environment.groups)


def _fetch_packages(
    offers: Sequence[Offer], context: BuildContext, monitor: events.Monitor, job: str
) -> dict[str, Path]:
    """Return the files of packages, by their checksums: servers answer several requests at once."""
    paths: dict[str, Path] = {}
    size = sum(offer.entry.size for offer in offers if is_remote(offer.location))
    with open_meter(monitor, job, "fetching packages", size) as meter, ThreadPoolExecutor(CONNECTIONS) as pool:
        fetching = [
            pool.submit(fetch_package, offer.location, offer.entry.checksum, offer.entry.size, context.servers, meter)
            for offer in offers
        ]
        for offer, future in zip(offers, fetching, strict=True):
            paths[offer.entry.checksum] = future.result()
    if size:
        monitor.emit(events.Progress(job, "fetching packages", len(offers), len(offers)))
    return paths
