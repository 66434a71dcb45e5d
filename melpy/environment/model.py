"""The nouns of environments: where packages come from, what is asked for, and what may be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from melpy.codec import Noun, asdict, replace
from melpy.repo.model import Location
from melpy.repo.remote import ServerCache
from melpy.rootfs.layout import STORE
from melpy.rootfs.model import RootSpec
from melpy.solve.model import Offer, Solution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from melpy.arch import Arch

TOOLS = "tools-1"
"""Directory of native tools in the cache."""


class Supply(Protocol):
    """A repository that makes packages when they are asked for, such as the seed.

    Its packages depend on one another by name.
    """

    @property
    def root(self) -> Path:
        """Directory of the repository."""

    @property
    def public_key(self) -> Path:
        """Key that it is signed with."""

    def extend(self, names: Sequence[str], arch: Arch) -> Mapping[str, str]:
        """Make the packages for these names; return the package that answers each, for those that it has one for.

        The answer to a name depends on the name, the architecture and what packages are made of. It does not depend
        on what was asked for before.
        """

    def find_state(self, arch: Arch) -> str:
        """Return a digest of what its packages are made of, which all of its answers follow from."""

    def offers(self, name: str, arch: Arch) -> bool:
        """Tell whether it can make a package for a name, as far as that is known before it is made."""

    def find_near(self, name: str, arch: Arch) -> Sequence[str]:
        """Return names that it has something for and that were perhaps meant by one that it has nothing for."""

    def find_unmet(self, table: str, keys: Sequence[str]) -> Mapping[str, str]:
        """Return the keys of a range that stand for packages which it cannot make, each with the package."""


@dataclass(frozen=True)
class RepositorySpec:
    """Where the packages of environments come from.

    Attributes:
        own: repository of the packages that are built here.
        servers: how servers are asked for indexes, keys and packages.
        locations: repositories of every environment, in order of preference.
        keyring: files and URLs of the public keys that they are trusted by.
        check_signatures: whether indexes must be signed by a trusted key.
        local: directories of this machine below which the locations that an environment names itself may be.
        supply: repository that makes what the others lack. It lives, so it is no part of any JSON.
        note: is told where a server is asked again. It is no part of any JSON either.
    """

    own: Path
    servers: ServerCache
    locations: tuple[Location, ...] = ()
    keyring: tuple[str, ...] = ()
    check_signatures: bool = True
    local: tuple[Path, ...] = ()
    supply: Supply | None = None
    note: Callable[[str], object] | None = field(default=None, compare=False)


class StoreSpec(Noun, frozen=True):
    """Where packages lie extracted, and how they get there.

    Attributes:
        cache_dir: melpy's cache.
        servers: how servers are asked for packages.
        workers: how many packages are extracted at once.
        own: repository of the packages that are built here; for messages only.
    """

    cache_dir: Path
    servers: ServerCache
    workers: int = 2
    own: Path | None = None

    @property
    def store(self) -> Path:
        """The store of extracted packages."""
        return self.cache_dir / STORE

    @property
    def tools(self) -> Path:
        """Directory of native tools."""
        return self.cache_dir / TOOLS


class EnvironmentSpec(Noun, frozen=True):
    """An environment that is asked for.

    Attributes:
        root: architecture, world and accounts of its root.
        locations: repositories beyond those of every environment.
        keyring: files and URLs of the public keys that these are trusted by, beyond those of every environment.
    """

    root: RootSpec
    locations: tuple[Location, ...] = ()
    keyring: tuple[str, ...] = ()

    def with_world(self, world: Iterable[str], arch: str = "") -> EnvironmentSpec:
        """Return the same with another world, each constraint once, and perhaps for another architecture."""
        root = replace(self.root, world=tuple(dict.fromkeys(world)), arch=arch or self.root.arch)
        return replace(self, root=root)


class SnapshotIndex(Noun, frozen=True):
    """An index at one time: its repository, and the SHA-256 of its file."""

    location: Location
    digest: str


class VisiblePackage(Noun, frozen=True):
    """A package of this machine's own making that an environment may have, by its checksum as in indexes."""

    name: str
    version: str
    checksum: str


class Snapshot(Noun, frozen=True):
    """All that the exact packages of an environment depend on, beside its world.

    Attributes:
        arch: APK architecture.
        own: packages that were built here.
        indexes: repositories, in order of preference.
        supplied: packages that the supply made for this environment.
        origins: recipes whose packages are taken from `own` and not from the repositories.
    """

    arch: str
    own: tuple[VisiblePackage, ...] = ()
    indexes: tuple[SnapshotIndex, ...] = ()
    supplied: tuple[VisiblePackage, ...] = ()
    origins: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class Resolution:
    """The exact packages of an environment, and what they follow from: `resolve(world, snapshot, …)` gives them."""

    snapshot: Snapshot
    solution: Solution


class ToolChoice(Noun, frozen=True):
    """The packages of this machine that native tools for a foreign environment are made of.

    Attributes:
        chosen: name of a package of the environment, and the one of this machine whose programs stand for its own.
        solution: those packages with all that they depend on.
    """

    chosen: tuple[tuple[str, Offer], ...]
    solution: Solution
