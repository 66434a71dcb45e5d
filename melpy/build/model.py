"""The nouns of a build: what a run leaves behind."""

from __future__ import annotations

import enum
import io
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from melpy.run import Usage


class Kind(enum.Enum):
    """The type of a file."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER_DEVICE = "character-device"
    BLOCK_DEVICE = "block-device"
    FIFO = "fifo"


@dataclass(frozen=True)
class Entry:
    """One file of an output tree.

    Attributes:
        path: path below the tree's root, without a leading slash: `usr/bin/hello`.
        kind: type of the file.
        mode: permission bits, setuid, setgid and sticky included (0o7777).
        uid: owner in the package.
        gid: group in the package.
        user: name of the owner, which apk goes by; empty when the environment knows none.
        group: name of the group, likewise.
        size: bytes of a regular file, length of a symlink's target, else 0.
        target: what a symlink points to, else empty.
        device: major and minor number of a device.
        inode: identity of the file on disk; regular files with the same one are hard links of each other.
        xattrs: extended attributes that belong into the package, sorted by name.
        content: content of a regular file that is not on disk, such as the SBOM.
    """

    path: str
    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    inode: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    content: bytes | None = None
    user: str = "root"
    group: str = "root"

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The path of the directory that holds it; empty for the root."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class OutputTree:
    """The files of one package, before it is packed.

    Attributes:
        package: name of the package.
        root: directory on this machine that holds the files.
        entries: every file but the root, parents before children, bytewise sorted within a directory.
    """

    package: str
    root: Path
    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        """Every entry under its path."""
        return {entry.path: entry for entry in self.entries}

    def open(self, entry: Entry) -> IO[bytes]:
        """Open a regular file."""
        return io.BytesIO(entry.content) if entry.content is not None else (self.root / entry.path).open("rb")

    def read(self, entry: Entry, limit: int = -1) -> bytes:
        """Return the content of a regular file, or its first `limit` bytes."""
        with self.open(entry) as stream:
            return stream.read(limit)


@dataclass(frozen=True)
class Owner:
    """Whose a file is in the package: ids and names."""

    uid: int
    gid: int
    user: str
    group: str


@dataclass(frozen=True)
class StepRecord:
    """What a step did and used.

    Attributes:
        label: what it is called.
        package: name of the package that it is for.
        status: exit status; negative: the signal that killed it.
        network: whether it saw the network.
        usage: what it used.
        changed: what it changed in the build root, outside of the workspace and of places for temporary files.
    """

    label: str
    package: str
    status: int
    network: bool
    usage: Usage
    changed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return it as JSON-able values."""
        return {
            "step": self.label,
            "package": self.package,
            "status": self.status,
            "network": self.network,
            "seconds": round(self.usage.seconds, 3),
            "cpu-seconds": round(self.usage.cpu, 3),
            "memory": self.usage.memory,
            "changed": list(self.changed),
        }
