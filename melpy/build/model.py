"""The nouns of a build: what a run leaves behind."""

from __future__ import annotations

import enum
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

from melpy.codec import Noun
from melpy.plan.model import Source
from melpy.run import Usage
from melpy.sandbox.model import NO_LIMITS, Emulator, IdRange, Limits, NativeTools
from melpy.source.git import Pinned
from melpy.unpack import UNPACK_LIMIT, Limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from melpy.errors import MelpyError
    from melpy.plan.git import GitSource
    from melpy.plan.model import PlanStep


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


class StepRecord(Noun, frozen=True):
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


@dataclass(frozen=True)
class StepsOutcome:
    """What the steps of a plan did.

    Attributes:
        records: what each step did, up to the one that failed.
        trees: the files of each package, in the plan's order; empty where a step failed.
        failure: why a step failed.
    """

    records: tuple[StepRecord, ...]
    trees: tuple[OutputTree, ...] = ()
    failure: MelpyError | None = None


class StepOptions(Noun, frozen=True):
    """How the steps of a build run; nothing of it is part of what a package is made from.

    Attributes:
        limits: what the steps may use.
        network: whether all of them see the network, not only those that say so.
        debug: whether they print each command before they run it.
        unpack_limit: how much an archive may become.
        processors: numbers of the processors that they may use; empty for all.
        share: file that has the numbers of the processors that a step may use when it starts, in place of `processors`;
            None for no such file.
    """

    limits: Limits = NO_LIMITS
    network: bool = False
    debug: bool = False
    unpack_limit: Limit = UNPACK_LIMIT
    processors: tuple[int, ...] = ()
    share: Path | None = None

    def has_network(self, step: PlanStep) -> bool:
        """Tell whether a step sees the network."""
        return self.network or step.network


class Machine(Noun, frozen=True):
    """How programs run on this machine.

    Attributes:
        emulator: runs foreign programs; None where there are none.
        tools: programs of this machine that run in place of foreign ones.
        ids: ids beside the user's own.
    """

    emulator: Emulator | None = None
    tools: NativeTools | None = None
    ids: IdRange | None = None


class FetchedFile(Noun, frozen=True):
    """A source and its verified file on this machine."""

    source: Source
    path: Path


class FetchedSources(Noun, frozen=True):
    """What was fetched for a build: verified files, and commits in mirrors."""

    files: tuple[FetchedFile, ...] = ()
    checkouts: tuple[Pinned, ...] = ()

    def find_file(self, source: Source) -> Path:
        """Return the file of a source."""
        return next(file.path for file in self.files if file.source == source)

    def find_commit(self, source: GitSource) -> Pinned:
        """Return the commit of a git source."""
        return next(pinned for pinned in self.checkouts if pinned.source == source)


@dataclass(frozen=True)
class Session:
    """Inputs for running a plan.

    Attributes:
        name: name of the build and its attempt, by which its control group is told from those of others.
        directory: a directory of this machine, for the workspace and the root's changes: empty, or that of an earlier
            run whose steps before `first` are not run again.
        layers: the environment's packages, extracted; dependencies first.
        source_dir: the recipe's own files, copied into the workspace, if there are any.
        sources: what was fetched.
        epoch: SOURCE_DATE_EPOCH.
        log: receives everything that the steps print.
        machine: how programs run.
        options: how steps run.
        first: number of the first step that is run.
        cache: what steps see as /var/cache/melange, and is kept.
    """

    name: str
    directory: Path
    layers: Sequence[Path]
    source_dir: Path | None
    sources: FetchedSources
    epoch: int
    log: Path
    machine: Machine
    options: StepOptions
    first: int = 1
    cache: Path | None = None

    @property
    def workspace(self) -> Path:
        """The workspace on this machine."""
        return self.directory / "workspace"
