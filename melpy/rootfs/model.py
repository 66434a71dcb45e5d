"""The nouns of the store and of assembly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from melpy.codec import Noun
from melpy.plan.model import PlanGroup, PlanUser

MANIFEST = "manifest"
"""File of a store entry that says what is in it."""

FILES = "root"
"""Directory of a store entry with its files: an overlay layer."""

SCRIPTS = "scripts"
"""File of a store entry with its scripts, as a piece of the database's scripts.tar; only where there are any."""

PACKAGES = "packages"
"""File of a store entry that is an environment: the entries that it lies upon. Its time is that of the last use."""


class StoredPackage(Noun, frozen=True):
    """A package file and the identity that a trusted index gives it."""

    path: Path
    checksum: str


class Entry(NamedTuple):
    """One path of a package.

    Attributes:
        path: relative, without a slash at either end.
        kind: `d` directory, `f` file, `l` symlink.
        mode: permission bits as the package has them; those of symlinks mean nothing.
        uid, gid: owner as the package has it. On disk everything belongs to the user.
        target: where a symlink points to.
        checksum: `Q1` and the base64 of the SHA-1 of a file's content or a symlink's target.
    """

    path: str
    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    target: str = ""
    checksum: str = ""


class Library(NamedTuple):
    """A shared library, as the dynamic loader's cache has it.

    Attributes:
        path: where it is.
        soname: what programs ask for; its file name where it says nothing.
        flags: kind of library: architecture and ABI; 0 is a symlink whose name is that of a library.
    """

    path: str
    soname: str
    flags: int


class Manifest(Noun, frozen=True):
    """What a package is and holds, read from the store.

    Attributes:
        name, version, origin: of the package.
        checksum: its identity.
        replaces: packages whose files it may overwrite, with constraints on their versions.
        replaces_priority: decides between packages that replace each other.
        triggers: directories that its trigger script watches.
        modes: mode and owner of directories that are not root's with 0755.
        libraries: its shared libraries.
        directories: its directories, those above files included.
        links: its symlinks.
        targets: where they point to, in the same order.
        files: its regular files.
        installed: its part of the database of installed packages, without the empty line after it.
    """

    name: str
    version: str
    origin: str
    checksum: str
    replaces: tuple[str, ...]
    replaces_priority: int
    triggers: tuple[str, ...]
    modes: Mapping[str, tuple[int, int, int]]
    libraries: tuple[Library, ...]
    directories: list[str]
    links: list[str]
    targets: list[str]
    files: list[str]
    installed: str

    @property
    def full_name(self) -> str:
        """Name and version."""
        return f"{self.name}-{self.version}"


class RootSpec(Noun, frozen=True):
    """A root beside the files of its packages.

    Attributes:
        arch: APK architecture.
        world: constraints that it was asked for by.
        users, groups: accounts in place of the packages' own of the same names.
        default_users, default_groups: accounts that it has unless packages or those above have their names.
    """

    arch: str
    world: tuple[str, ...] = ()
    users: tuple[PlanUser, ...] = ()
    groups: tuple[PlanGroup, ...] = ()
    default_users: tuple[PlanUser, ...] = ()
    default_groups: tuple[PlanGroup, ...] = ()
