"""The indexes behind snapshots: each is read once in a run, and its universe is shared by all environments.

A snapshot says by digest and checksum which packages there are; here is what the indexes say of them. What is built
here is read from the index of its repository, or told by `add_own` where it is in none yet.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.model import Index
from melpy.apk.stanza import render_stanza
from melpy.arch import parse_arch
from melpy.codec import replace
from melpy.environment.model import EnvironmentSpec, Snapshot, SnapshotIndex
from melpy.environment.shelf import Shelf
from melpy.errors import RepositoryError
from melpy.net import is_remote
from melpy.repo.layout import index_path
from melpy.repo.remote import load_keys, load_repository
from melpy.repo.repository import load_index
from melpy.rootfs.model import RootSpec
from melpy.solve.universe import LayeredUniverse, make_universe
from melpy.source.place import find_local

if TYPE_CHECKING:
    from collections.abc import Iterable

    from melpy.apk.model import IndexEntry
    from melpy.environment.model import RepositorySpec, VisiblePackage
    from melpy.environment.shelf import Stamp
    from melpy.repo.model import Location
    from melpy.solve.universe import IndexUniverse, Layer


class Repositories:
    """The repositories of a run; one thread at a time asks for them.

    Attributes:
        spec: where they are.
        signed_by: name and PEM of the key that signed the index of each location.
    """

    def __init__(self, spec: RepositorySpec) -> None:
        self.spec = spec
        self.signed_by: dict[str, tuple[str, str]] = {}
        self._read: dict[tuple[Location, str, tuple[str, ...]], SnapshotIndex] = {}
        self._universes: dict[tuple[SnapshotIndex, str], IndexUniverse] = {}
        self._near: defaultdict[str, set[str]] = defaultdict(set)  # for hints alone
        self._own: defaultdict[str, Shelf] = defaultdict(Shelf)
        self._supplied: defaultdict[str, Shelf] = defaultdict(Shelf)

    def take_snapshot(
        self,
        environment: EnvironmentSpec,
        own: tuple[VisiblePackage, ...] | None = None,
        origins: tuple[str, ...] = (),
    ) -> Snapshot:
        """Return what an environment may see now, before the supply is asked.

        Args:
            environment: the environment.
            own: packages built here that it may see; None for those that the index of their repository has.
            origins: recipes whose packages are taken from `own` and not from the repositories.

        Raises:
            RepositoryError: an index cannot be read.
            SignatureError: it is not signed by a trusted key.
            UnreachableError: the environment names a directory where it may not reach.
        """
        arch = environment.root.arch
        # The environment's own keys vouch for the environment's own repositories only.
        trusted = dict.fromkeys(self.spec.locations, self.spec.keyring)
        for location in environment.locations:
            if location not in trusted:
                self._check_reach(location.address)
            trusted.setdefault(location, (*self.spec.keyring, *environment.keyring))
        return Snapshot(
            arch,
            self.find_own(arch) if own is None else own,
            tuple(self._load(location, arch, keys) for location, keys in trusted.items()),
            origins=origins,
        )

    def offers(self, name: str, arch: str) -> bool:
        """Tell whether a repository of every environment or the supply has a name; the own one does not count.

        Raises:
            RepositoryError: an index cannot be read.
        """
        snapshot = self.take_snapshot(EnvironmentSpec(RootSpec(arch)), ())
        if self.find_universe(snapshot).providers(name):
            return True
        return self.spec.supply is not None and self.spec.supply.offers(name, parse_arch(arch))

    def find_own(self, arch: str) -> tuple[VisiblePackage, ...]:
        """Return the packages that the index of what is built here has now.

        Raises:
            RepositoryError: it cannot be read.
            PackageFormatError: it is broken.
        """
        shelf, root = self._own[arch], self.spec.own
        stamp = _find_stamp(root, arch)
        if stamp is None or shelf.stamp != stamp:
            shelf.listed = shelf.add(str(root), load_index(root, arch, keyring=None), arch)
            shelf.stamp = stamp
        return shelf.listed

    def add_own(self, root: Path, arch: str, entries: Iterable[IndexEntry]) -> tuple[VisiblePackage, ...]:
        """Take in packages that were built here and are in no index yet; return how snapshots name them.

        Args:
            root: the packages are in its directory of the architecture.
            arch: the architecture.
            entries: the packages.
        """
        index = Index(tuple(map(render_stanza, entries)), where=str(root))
        return self._own[arch].add(str(root), index, arch)

    def ask_supply(self, names: Iterable[str], snapshot: Snapshot) -> Snapshot:
        """Return a snapshot that sees what the supply makes for some names, too, and all that this depends on.

        Whatever else the supply made for others stays out of sight.

        Raises:
            SeedError, UnreachableError: the supply cannot make packages now.
            SignatureError: its index is not signed by its key.
        """
        supply = self.spec.supply
        if not supply:
            return snapshot
        asked, arch = sorted(names), parse_arch(snapshot.arch)
        answers = supply.extend(asked, arch)
        for name in asked:
            self._near[snapshot.arch].update(() if name in answers else supply.find_near(name, arch))
        shelf, root = self._supplied[snapshot.arch], supply.root
        stamp = _find_stamp(root, snapshot.arch)
        if stamp is not None and shelf.stamp != stamp:
            trusted = load_keys([str(supply.public_key)], self.spec.servers)
            index = load_index(root, snapshot.arch, keyring=trusted)
            self.signed_by[str(root)] = (index.signed_by, trusted.pem(index.signed_by))
            shelf.listed = shelf.add(str(root), index, snapshot.arch)
            shelf.stamp = stamp
        wanted = {*answers.values(), *(package.name for package in snapshot.supplied)}
        return replace(snapshot, supplied=shelf.close(wanted))

    def find_universe(self, snapshot: Snapshot) -> LayeredUniverse:
        """Return the packages of a snapshot: what is built here first, then the repositories, then the supply.

        Raises:
            RepositoryError: the snapshot names what was never read here.
        """
        arch = snapshot.arch
        layers: list[Layer] = [self._find_visible(snapshot.own, arch)]
        for index in snapshot.indexes:
            if (index, arch) not in self._universes:
                message = f"its index is not the one of SHA-256 {index.digest}, which an environment is to be found in"
                raise RepositoryError(message, where=index.location.address, hint="find the environment anew")
            layers.append(self._universes[index, arch])
        if snapshot.supplied:
            layers.append(self._supplied[arch].find_universe(snapshot.supplied))
        near = frozenset(self._near[arch]) if self.spec.supply else None
        return LayeredUniverse(layers, near, frozenset(snapshot.origins), len(snapshot.indexes))

    def list_stanzas(self, index: SnapshotIndex, arch: str) -> tuple[str, ...]:
        """Return the lines of each package of an index that a snapshot names."""
        return tuple(self._universes[index, arch].stanzas)

    def _find_visible(self, packages: tuple[VisiblePackage, ...], arch: str) -> Layer:
        shelf = self._own[arch]
        try:
            return shelf.find_universe(packages)
        except RepositoryError:
            self.find_own(arch)  # the snapshot may be older than this
        try:
            return shelf.find_universe(packages)
        except RepositoryError as error:
            error.where = f"{self.spec.own}/{arch}"
            raise

    def _check_reach(self, address: str) -> None:
        """Check that an environment may name a repository: on a server, or where the user lets recipes reach.

        Raises:
            UnreachableError: it may not.
        """
        if not is_remote(address) and Path(address).absolute() != self.spec.own.absolute():
            find_local(str(Path(address).absolute()), self.spec.local)

    def _load(self, location: Location, arch: str, keys: tuple[str, ...]) -> SnapshotIndex:
        known = self._read.get((location, arch, keys))
        if known is None:
            trusted = load_keys(keys, self.spec.servers) if self.spec.check_signatures else None
            spec = self.spec
            index, digest = load_repository(location.address, arch, spec.servers, keyring=trusted, note=spec.note)
            if trusted:
                self.signed_by[location.address] = (index.signed_by, trusted.pem(index.signed_by))
            known = self._read[location, arch, keys] = SnapshotIndex(location, digest)
            if (known, arch) not in self._universes:
                self._universes[known, arch] = make_universe([(location.address, location.tag, index)], arch)
        return known


def _find_stamp(root: Path, arch: str) -> Stamp | None:
    """Return what changes when an index is replaced; None where there is none, or it cannot be looked at."""
    try:
        info = index_path(root, arch).stat()
    except OSError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_size
