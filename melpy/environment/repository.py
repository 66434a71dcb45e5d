"""The indexes behind snapshots: each is read once in a run, and its universe is shared by all environments.

A snapshot says by digest and checksum which packages there are; here is what the indexes say of them. What is built
here is read from the index of its repository, or told by `add_own` where it is in none yet.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.model import Index
from melpy.apk.stanza import render_stanza
from melpy.arch import parse_arch
from melpy.environment.model import Snapshot, SnapshotIndex
from melpy.environment.shelf import Shelf
from melpy.errors import RepositoryError
from melpy.net import is_remote
from melpy.repo.layout import index_path
from melpy.repo.remote import load_keys, load_repository
from melpy.repo.repository import load_index
from melpy.solve.universe import LayeredUniverse, make_universe
from melpy.source.place import find_local

if TYPE_CHECKING:
    from collections.abc import Iterable

    from melpy.apk.model import IndexEntry
    from melpy.environment.model import EnvironmentSpec, Location, RepositorySpec, VisiblePackage
    from melpy.solve.universe import IndexUniverse, Layer

Stamp = tuple[int, int, int]
"""Inode, time and size of an index, which is replaced as a whole."""


class Repositories:
    """The repositories of a run.

    Attributes:
        spec: where they are.
        signed_by: name and PEM of the key that signed the index of each location.
    """

    def __init__(self, spec: RepositorySpec) -> None:
        self.spec = spec
        self.signed_by: dict[str, tuple[str, str]] = {}
        self._read: dict[tuple[Location, str, tuple[str, ...]], SnapshotIndex] = {}
        self._universes: dict[tuple[SnapshotIndex, str], IndexUniverse] = {}
        self._stamps: dict[Path, Stamp] = {}
        self._own: defaultdict[str, Shelf] = defaultdict(Shelf)
        self._supplied: defaultdict[str, Shelf] = defaultdict(Shelf)

    def take_snapshot(self, environment: EnvironmentSpec, own: tuple[VisiblePackage, ...] | None = None) -> Snapshot:
        """Return what an environment may see now, before the supply is asked.

        Args:
            environment: the environment.
            own: packages built here that it may see; None for those that the index of their repository has.

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
                self._check_reach(location.root)
            trusted.setdefault(location, (*self.spec.keyring, *environment.keyring))
        return Snapshot(
            arch,
            self.find_own(arch) if own is None else own,
            tuple(self._load(location, arch, keys) for location, keys in trusted.items()),
        )

    def find_own(self, arch: str) -> tuple[VisiblePackage, ...]:
        """Return the packages that the index of what is built here has now.

        Raises:
            RepositoryError: it cannot be read.
            PackageFormatError: it is broken.
        """
        shelf = self._own[arch]
        if self._has_changed(self.spec.own, arch):
            shelf.listed = shelf.add(str(self.spec.own), load_index(self.spec.own, arch, keyring=None), arch)
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
        answers = supply.extend(sorted(names), parse_arch(snapshot.arch))
        shelf, root = self._supplied[snapshot.arch], supply.root
        if self._has_changed(root, snapshot.arch) and index_path(root, snapshot.arch).is_file():
            trusted = load_keys([str(supply.public_key)], self.spec.servers)
            index = load_index(root, snapshot.arch, keyring=trusted)
            self.signed_by[str(root)] = (index.signed_by, trusted.pem(index.signed_by))
            shelf.listed = shelf.add(str(root), index, snapshot.arch)
        wanted = {*answers.values(), *(package.name for package in snapshot.supplied)}
        return dataclasses.replace(snapshot, supplied=shelf.close(wanted))

    def find_universe(self, snapshot: Snapshot) -> LayeredUniverse:
        """Return the packages of a snapshot: what is built here first, then the repositories, then the supply.

        Raises:
            RepositoryError: the snapshot names what was never read here.
        """
        arch = snapshot.arch
        layers: list[Layer] = [self._find_visible(snapshot.own, arch)]
        for index in snapshot.indexes:
            if (index, arch) not in self._universes:
                raise RepositoryError("the index is not the one that is meant", where=index.location.root)
            layers.append(self._universes[index, arch])
        if snapshot.supplied:
            layers.append(self._supplied[arch].find_universe(snapshot.supplied))
        return LayeredUniverse(layers)

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

    def _has_changed(self, root: Path, arch: str) -> bool:
        """Tell whether an index may be another than when this was asked before."""
        path = index_path(root, arch)
        try:
            info = path.stat()
        except OSError:
            return True  # reading it says what is wrong
        stamp = info.st_ino, info.st_mtime_ns, info.st_size
        changed = self._stamps.get(path) != stamp
        self._stamps[path] = stamp
        return changed

    def _check_reach(self, root: str) -> None:
        """Check that an environment may name a repository: on a server, or where the user lets recipes reach.

        Raises:
            UnreachableError: it may not.
        """
        if not is_remote(root) and Path(root).absolute() != self.spec.own.absolute():
            find_local(str(Path(root).absolute()), self.spec.local)

    def _load(self, location: Location, arch: str, keys: tuple[str, ...]) -> SnapshotIndex:
        known = self._read.get((location, arch, keys))
        if known is None:
            trusted = load_keys(keys, self.spec.servers) if self.spec.check_signatures else None
            index, digest = load_repository(location.root, arch, self.spec.servers, keyring=trusted)
            if trusted:
                self.signed_by[location.root] = (index.signed_by, trusted.pem(index.signed_by))
            known = self._read[location, arch, keys] = SnapshotIndex(location, digest)
            if (known, arch) not in self._universes:
                self._universes[known, arch] = make_universe([(location.root, location.tag, index)], arch)
        return known
