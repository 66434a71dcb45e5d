"""The indexes behind snapshots: each is read once in a run, and its universe is shared by all environments.

A snapshot says by digest and checksum which packages there are; here is what the indexes say of them. What is built
here is read from the index of its repository, or told by `add_own` where it is in none yet.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.apk.model import Index
from melpy.apk.stanza import find_identity, find_items, render_stanza
from melpy.arch import parse_arch
from melpy.environment.model import Location, Snapshot, SnapshotIndex, VisiblePackage
from melpy.errors import PackageFormatError, RepositoryError
from melpy.net import is_remote
from melpy.repo.layout import index_path
from melpy.repo.remote import load_keys, load_repository
from melpy.repo.repository import load_index
from melpy.solve.universe import IndexUniverse, LayeredUniverse, make_universe
from melpy.source.place import find_local

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.apk.model import IndexEntry
    from melpy.environment.model import EnvironmentSpec, RepositorySpec

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
        self._own = _Shelf(spec.own)
        self._supplied = _Shelf(spec.supply.root if spec.supply else None)

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
        root = self.spec.own
        stamp = _find_stamp(root, arch)
        if stamp is None or self._own.stamps.get(arch) != stamp:
            self._own.add(root, load_index(root, arch, keyring=None), arch)
            self._own.stamps[arch] = stamp
        return self._own.listed.get(arch, ())

    def add_own(self, root: Path, arch: str, entries: Iterable[IndexEntry]) -> tuple[VisiblePackage, ...]:
        """Take in packages that were built here and are in no index yet; return how snapshots name them.

        Args:
            root: the packages are in its directory of the architecture.
            arch: the architecture.
            entries: the packages.
        """
        return self._own.add(root, Index(tuple(map(render_stanza, entries)), where=str(root)), arch, listed=False)

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
        stamp = _find_stamp(supply.root, snapshot.arch)
        if stamp and self._supplied.stamps.get(snapshot.arch) != stamp:
            trusted = load_keys([str(supply.public_key)], self.spec.servers)
            index = load_index(supply.root, snapshot.arch, keyring=trusted)
            self.signed_by[str(supply.root)] = (index.signed_by, trusted.pem(index.signed_by))
            self._supplied.add(supply.root, index, snapshot.arch)
            self._supplied.stamps[snapshot.arch] = stamp
        wanted = {*answers.values(), *(package.name for package in snapshot.supplied)}
        return dataclasses.replace(snapshot, supplied=tuple(self._supplied.close(wanted, snapshot.arch)))

    def find_universe(self, snapshot: Snapshot) -> LayeredUniverse:
        """Return the packages of a snapshot: what is built here first, then the repositories, then the supply.

        Raises:
            RepositoryError: the snapshot names what was never read here.
        """
        arch = snapshot.arch
        if not self._own.has(snapshot.own, arch):
            self.find_own(arch)
        layers = [self._own.find_universe(snapshot.own, arch)]
        for index in snapshot.indexes:
            if (index, arch) not in self._universes:
                raise RepositoryError("the index is not the one that is meant", where=index.location.root)
            layers.append(self._universes[index, arch])
        if snapshot.supplied:
            layers.append(self._supplied.find_universe(snapshot.supplied, arch))
        return LayeredUniverse(layers)

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


class _Shelf:
    """Packages of this machine's own making, of which each environment sees some."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self.stamps: dict[str, Stamp | None] = {}
        self.listed: dict[str, tuple[VisiblePackage, ...]] = {}
        self._stanzas: dict[tuple[str, VisiblePackage], tuple[Path, str]] = {}
        self._last: dict[str, tuple[tuple[VisiblePackage, ...], IndexUniverse]] = {}
        self._depends: dict[VisiblePackage, tuple[str, ...]] = {}

    def add(self, root: Path, index: Index, arch: str, *, listed: bool = True) -> tuple[VisiblePackage, ...]:
        """Take in the packages of an index, which is all that is there if it is to be listed."""
        universe = make_universe([(str(root), "", index)], arch)
        packages = []
        for stanza in universe.stanzas:
            checksum, name, version, _ = find_identity(stanza)
            package = VisiblePackage(name, version, checksum)
            self._stanzas[arch, package] = (root, stanza)
            packages.append(package)
        if listed:
            self.listed[arch] = tuple(packages)
            self._last[arch] = (self.listed[arch], universe)
        return tuple(packages)

    def has(self, packages: tuple[VisiblePackage, ...], arch: str) -> bool:
        """Tell whether all these packages are known; the same ones again are not looked at again."""
        last = self._last.get(arch)
        return (last is not None and last[0] == packages) or all(
            (arch, package) in self._stanzas for package in packages
        )

    def find_universe(self, packages: tuple[VisiblePackage, ...], arch: str) -> IndexUniverse:
        """Return these packages and no others; the same ones again are not looked at again."""
        last = self._last.get(arch)
        if last is None or last[0] != packages:
            last = self._last[arch] = (packages, make_universe(self._group(packages, arch), arch))
        return last[1]

    def _group(self, packages: Sequence[VisiblePackage], arch: str) -> Iterator[tuple[str, str, Index]]:
        for root, group in itertools.groupby(packages, key=lambda package: self._find(package, arch)[0]):
            stanzas = tuple(self._find(package, arch)[1] for package in group)
            yield str(root), "", Index(stanzas, where=str(index_path(root, arch)))

    def _find(self, package: VisiblePackage, arch: str) -> tuple[Path, str]:
        found = self._stanzas.get((arch, package))
        if found is None:
            message = f"has no {package.name}-{package.version} with the checksum {package.checksum}"
            raise RepositoryError(message, where=f"{self._root}/{arch}", hint="build it again")
        return found

    def close(self, names: Iterable[str], arch: str) -> Iterator[VisiblePackage]:
        """Yield the listed packages of these names and of all that they depend on by name, in the index's order."""
        listed = self.listed.get(arch, ())
        by_name = {package.name: package for package in listed}
        closed: set[str] = set()
        pending = [name for name in names if name in by_name]
        while pending:
            name = pending.pop()
            if name not in closed:
                closed.add(name)
                pending += [other for other in self._needs(by_name[name], arch) if other in by_name]
        yield from (package for package in listed if package.name in closed)

    def _needs(self, package: VisiblePackage, arch: str) -> tuple[str, ...]:
        if package not in self._depends:
            _, stanza = self._find(package, arch)
            self._depends[package] = tuple(_read_names(find_items(stanza, "D")))
        return self._depends[package]


def _read_names(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        try:
            atom = parse_dependency(text)
        except PackageFormatError:
            continue  # the package cannot be installed, and the resolver leaves it out
        if not atom.conflict:
            yield atom.name


def _find_stamp(root: Path, arch: str) -> Stamp | None:
    """Return what changes when an index is replaced; None where there is none, or it cannot be looked at."""
    try:
        info = index_path(root, arch).stat()
    except OSError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_size
