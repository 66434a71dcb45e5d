"""Differences between two packages of the same name, file by file, for messages about builds that never rest."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from melpy.apk.segment import read_segments
from melpy.bound import open_file
from melpy.errors import MelpyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHECKSUM = "APK-TOOLS.checksum.SHA1"


def find_differences(first: Path, second: Path) -> tuple[str, ...]:
    """Return the paths of files that two packages do not have in common, and `.PKGINFO` where facts differ.

    A package that cannot be read has nothing in common with another.
    """
    old, new = dict(_read(first)), dict(_read(second))
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _read(package: Path) -> Iterator[tuple[str, object]]:
    try:
        with open_file(package) as stream:
            segments = read_segments(stream, where=str(package))
            facts = segments.files.get(".PKGINFO", b"").decode(errors="replace").splitlines()
            yield ".PKGINFO", [line for line in facts if line.split(" =")[0] not in {"commit", "builddate", "datahash"}]
            stream.seek(segments.data_offset)
            with tarfile.open(fileobj=stream, mode="r|gz") as archive:
                for member in archive:
                    if not member.name.startswith("var/lib/db/sbom/"):
                        what = member.pax_headers.get(_CHECKSUM, member.size)
                        yield member.name, (member.type, member.mode, member.linkname, what)
    except (OSError, MelpyError, tarfile.TarError):
        return
