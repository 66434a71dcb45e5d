"""What a seed was made of, beside its index: `<root>/<arch>/seed.json`.

It records, for each package, the Debian package, its version and digest, and the digest of the suite's Release
file, so that a build's lock names bytes that can be told. It also says what was asked for so far, which lets the
next call answer without reading any list. Packages are written first, then this, then the index: when the index
is not the one named here, a run was interrupted, and the next one looks at everything again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import field

from melpy.apk.model import INDEX_NAME
from melpy.codec import Noun, asdict
from melpy.digest import sha256_hex
from melpy.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "seed.json"
FORMAT = 1

CONVERTER = 5
"""Version of the conversion: raised when the same input gives other bytes, so that packages are made again."""


class Made(Noun, frozen=True):
    """One package of the seed and where it comes from.

    Attributes:
        file: name of the APK.
        checksum: its identity in the index.
        identity: of the job that made it.
        debian: Debian's name of the package, or empty.
        version: Debian's version.
        architecture: Debian's architecture.
        sha256: of the Debian package.
    """

    file: str
    checksum: str
    identity: str
    debian: str = ""
    version: str = ""
    architecture: str = ""
    sha256: str = ""


class Manifest(Noun, frozen=True):
    """The state of a seed for one architecture.

    Attributes:
        suite: Debian suite.
        release: SHA-256 of its InRelease file.
        released: date in it.
        recipe: what names mean: digest of the table, and the converter's version.
        index: SHA-256 of the index that belongs to this.
        packages: by APK name.
        requests: names asked for so far, each with the APK package that answers it.
        unknown: names asked for that the suite has nothing for, each with names that are near.
    """

    suite: str = ""
    release: str = ""
    released: str = ""
    recipe: str = ""
    index: str = ""
    packages: Mapping[str, Made] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Tell whether this name was asked for before."""
        return name in self.requests or name in self.unknown


def load_manifest(directory: Path) -> Manifest:
    """Read the state of a seed; what is not there or cannot be read is an empty one, to be made anew."""
    try:
        value: dict[str, Any] = json.loads((directory / MANIFEST).read_bytes())
        if value.pop("format") != FORMAT:
            return Manifest()
        value["packages"] = {name: Made(**made) for name, made in value["packages"].items()}
        value["unknown"] = {name: tuple(near) for name, near in value["unknown"].items()}
        return Manifest(**value)
    except (OSError, ValueError, TypeError, KeyError):
        return Manifest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the state of a seed.

    Raises:
        OutputError: it cannot be written.
    """
    value = {"format": FORMAT} | asdict(manifest)
    write_file(directory / MANIFEST, json.dumps(value, indent=1, sort_keys=True) + "\n")


def is_current(directory: Path, manifest: Manifest) -> bool:
    """Tell whether the index is the one that belongs to the manifest."""
    try:
        return sha256_hex((directory / INDEX_NAME).read_bytes()) == manifest.index
    except OSError:
        return False
