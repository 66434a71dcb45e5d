"""Facts about the packages that a repository of one's own has: which build made them, and from which inputs.

Input is the index of an architecture; keys and contents are in the packages' `.melpy.json`. They are read once for each
checksum: a memo (the journal's) remembers them from one run to the next.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, Protocol

from melpy.apk.segment import read_segments
from melpy.apk.stanza import find_field, find_identity
from melpy.bound import open_file
from melpy.environment.model import VisiblePackage
from melpy.errors import MelpyError
from melpy.pack.content import find_made
from melpy.repo.repository import load_index

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from melpy.graph.model import Summary

_MANY = 10  # times that a memo is asked for the packages of a build, before it is asked for all: 15,000 take 60 ms


class Made(NamedTuple):
    """How a package was made.

    Attributes:
        key: key of the inputs, SHA-256 in hex; empty where the package does not say.
        content: content digest; empty where the package does not say.
    """

    key: str
    content: str


class Memo(Protocol):
    """Remembers how packages were made, by checksum."""

    def find_made(self, checksums: Collection[str]) -> Mapping[str, Made]:
        """Return what is known of packages."""

    def add_made(self, made: Mapping[str, Made]) -> None:
        """Remember more packages."""


class PublishedPackage(NamedTuple):
    """A package of an index.

    Attributes:
        package: its name, version and checksum.
        origin: name of the recipe's main package; empty where the index does not say.
        file: path of its file.
        size: bytes that the file must have.
    """

    package: VisiblePackage
    origin: str
    file: Path
    size: int


class Published:
    """The packages of one architecture of a repository, as its index was when this was made."""

    def __init__(self, root: Path, arch: str, memo: Memo) -> None:
        """Read the index.

        Raises:
            RepositoryError: it cannot be read.
            PackageFormatError: it is malformed.
        """
        self.root = root
        self._memo = memo
        self._made: dict[str, Made] = {}
        self._times = 0
        self._by_name: dict[tuple[str, str], PublishedPackage] = {}
        self._by_origin: defaultdict[str, list[PublishedPackage]] = defaultdict(list)
        for stanza in load_index(root, arch, keyring=None).stanzas:
            checksum, name, version, _ = find_identity(stanza)
            size = find_field(stanza, "S")
            found = PublishedPackage(
                VisiblePackage(name, version, checksum),
                find_field(stanza, "o"),
                root / arch / f"{name}-{version}.apk",
                int(size) if size.isdecimal() else -1,
            )
            self._by_name[name, version] = found
            self._by_origin[found.origin].append(found)

    def find_build(self, summary: Summary) -> tuple[PublishedPackage, ...]:
        """Return the packages of a build in its version; nothing unless all of them are there, with their files."""
        found = [self._by_name.get((package.name, summary.version)) for package in summary.packages]
        whole = tuple(package for package in found if package and _is_there(package))
        return whole if len(whole) == len(found) else ()

    def find_key(self, summary: Summary) -> str:
        """Return the key that a build in its version was made with; empty where its packages do not agree on one."""
        keys = {one.key for one in self.find_made(self.find_build(summary))}
        return keys.pop() if len(keys) == 1 else ""

    def find_others(self, origins: Iterable[str]) -> tuple[PublishedPackage, ...]:
        """Return the packages of all recipes but some."""
        left = set(self._by_origin) - set(origins)
        return tuple(package for origin in sorted(left) for package in self._by_origin[origin])

    def find_origin(self, origin: str) -> tuple[PublishedPackage, ...]:
        """Return the packages of a recipe, in all versions that are there."""
        return tuple(self._by_origin.get(origin, ()))

    def find_made(self, packages: Iterable[PublishedPackage]) -> tuple[Made, ...]:
        """Return how packages were made; a file that cannot be read says nothing."""
        wanted = tuple(packages)
        missing = [package for package in wanted if package.package.checksum not in self._made]
        if missing:
            self._made |= self._memo.find_made(self._choose(missing))
            read = {
                package.package.checksum: _read_made(package)
                for package in missing
                if package.package.checksum not in self._made
            }
            self._made |= read
            if read:
                self._memo.add_made(read)
        return tuple(self._made[package.package.checksum] for package in wanted)

    def _choose(self, packages: Iterable[PublishedPackage]) -> list[str]:
        """Return checksums that the memo is to be asked for: all, rather than asking thousands of times."""
        self._times += 1
        asked = self._by_name.values() if self._times == _MANY else packages
        return [package.package.checksum for package in asked if package.package.checksum not in self._made]


def _is_there(package: PublishedPackage) -> bool:
    try:
        return package.file.stat().st_size == package.size
    except OSError:
        return False


def _read_made(package: PublishedPackage) -> Made:
    try:
        with open_file(package.file) as stream:
            return Made(*find_made(read_segments(stream, where=str(package.file))))
    except (OSError, MelpyError):
        return Made("", "")
