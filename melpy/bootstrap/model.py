"""The nouns of the seed: what is asked for, what Debian offers, what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import field

from melpy.apk.model import INDEX_NAME
from melpy.codec import Noun

if TYPE_CHECKING:
    from melpy.arch import Arch


class SeedRepository(Noun, frozen=True):
    """The repository that a seed is.

    Attributes:
        root: directory with `<arch>/APKINDEX.tar.gz`.
        public_key: the key that its index and packages are signed with; made with the first package.
    """

    root: Path
    public_key: Path

    def exists(self, arch: Arch) -> bool:
        """Tell whether there is an index for this architecture."""
        return (self.root / arch.apk / INDEX_NAME).is_file()


class SeedSpec(Noun, frozen=True):
    """Where a seed comes from and where it lies.

    Attributes:
        suite: name of the Debian suite, `trixie`.
        directory: where seeds live, each below its suite's name.
        mirror: URI of a Debian archive; empty: that of the machine's own apt sources.
        jobs: how many packages are converted at the same time.
    """

    suite: str
    directory: Path
    mirror: str = ""
    jobs: int = 2

    @property
    def home(self) -> Path:
        """The directory of this suite's seed."""
        return self.directory / self.suite

    @property
    def key(self) -> Path:
        """The seed's private key."""
        return self.home / "key" / f"melpy-seed-{self.suite}.rsa"

    @property
    def repository(self) -> SeedRepository:
        """The repository that the seed is."""
        return SeedRepository(self.home / "repository", self.key.with_name(f"{self.key.name}.pub"))


class SeedReport(Noun, frozen=True):
    """What extending a seed did.

    Attributes:
        added: APK names that are new in the index.
        reused: how many packages of the closure were there already.
        answers: the APK package that answers each name that was asked for, where there is one.
        unknown: names that the suite has nothing for, each with names that are near.
        downloaded: bytes of Debian packages fetched.
        seconds: wall clock.
    """

    added: tuple[str, ...] = ()
    reused: int = 0
    answers: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    downloaded: int = 0
    seconds: float = 0.0


class WantedSource(Noun, frozen=True):
    """An upstream archive that a recipe names by digest.

    Attributes:
        algorithm: `sha256` or `sha512`.
        digest: in hex.
        uri: where the recipe would fetch it; its last part tells what the file is called upstream.
    """

    algorithm: str
    digest: str
    uri: str


class Deb(Noun, frozen=True):
    """A binary package of a suite, as its Packages list describes it.

    Attributes:
        name: Debian's name.
        version: Debian's version, epoch included.
        architecture: `amd64`, or `all`.
        source: name of its source package.
        depends: what it needs, Pre-Depends included: groups of alternatives, names only.
        file_name: path in the archive.
        size: bytes of the file.
        sha256: of the file.
        description: one line.
        homepage: of the upstream project.
        provides: virtual packages that it is as well.
        conflicts: packages that it cannot be installed beside, whatever their version.
    """

    name: str
    version: str
    architecture: str
    source: str
    depends: tuple[tuple[str, ...], ...]
    file_name: str
    size: int
    sha256: str
    description: str = ""
    homepage: str = ""
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
