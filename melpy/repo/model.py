"""The nouns of repositories and of indexing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Signer
    from melpy.errors import MelpyError


class Location(Noun, frozen=True):
    """A repository: a directory or URL, and the tag by which packages of it are asked for; empty for none."""

    address: str
    tag: str = ""


def parse_location(text: str) -> Location:
    """Read a repository as settings and recipes write it: `location` or `@tag location`."""
    if text.startswith("@"):
        tag, _, address = text[1:].partition(" ")
        return Location(address.strip().rstrip("/"), tag)
    return Location(text.rstrip("/") or text)


class Record(NamedTuple):
    """What is known of a package file.

    Attributes:
        file: its path, as it was named.
        stamp: its size, times and inode when it was read; see `melpy.repo.memory`.
        head: bytes before its data member; its stanza follows from these and its size.
        digest: BLAKE2b-128 of these, in hex.
        stanza: what an index says of it.
    """

    file: str
    stamp: str
    head: int
    digest: str
    stanza: str


class IndexSpec(Struct, frozen=True):
    """How an index is made.

    Attributes:
        path: the index.
        signer: loads the key that signs; None leaves it unsigned.
        signed_by: what changes when another key signs; empty where that cannot be told without loading it.
        memory: directory where is kept what was read; None keeps nothing.
        arch: architecture of the packages; others are left out. Empty for the one that they have.
        jobs: how many processes may read.
    """

    path: Path
    signer: Callable[[], Signer] | None
    signed_by: str = ""
    memory: Path | None = None
    arch: str = ""
    jobs: int = 1


class IndexReport(Noun, frozen=True):
    """What became of an index.

    Attributes:
        path: the index.
        packages: how many it has.
        read: how many packages were read, wholly or in part, since they are not as they were.
        written: whether it was written; it is not when it is right as it is.
        left_out: files of other architectures.
        repeated: files that hold the same package as another.
        signed: whether it is signed.
        lost: names of the keys that had signed the one whose place it took, and did not sign this one.
    """

    path: Path
    packages: int
    read: int
    written: bool
    left_out: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    signed: bool = True
    lost: tuple[str, ...] = ()


class Publication(Struct, frozen=True):
    """What publishing packages did to a repository.

    Attributes:
        index: the index.
        replaced: packages that took the place of others of the same name and version, but of other bytes.
        outdated: packages that are older than one of their name that is there, and that one.
        damaged: why files of the repository are not in the index: they are broken, or lie where no client looks.
        lost: names of the keys that had signed the index before, and did not sign this one.
    """

    index: Path
    replaced: tuple[IndexEntry, ...] = ()
    outdated: tuple[tuple[IndexEntry, IndexEntry], ...] = ()
    damaged: tuple[MelpyError, ...] = ()
    lost: tuple[str, ...] = ()
