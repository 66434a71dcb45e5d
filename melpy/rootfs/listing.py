"""Files of a package without a root that is made of it: from the store, else from the package.

It answers which packages have the same paths; what an installed tree would be is `melpy.rootfs.tree`'s matter.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from typing import IO, TYPE_CHECKING, NamedTuple

from melpy.apk.segment import check_identity, make_entry
from melpy.bound import open_file
from melpy.errors import ExtractError, MelpyError, PackageFormatError, StoreError
from melpy.rootfs.extraction import q1
from melpy.rootfs.layout import layer_path
from melpy.rootfs.manifest import list_entries, load_manifest
from melpy.rootfs.member import DataReader
from melpy.rootfs.model import Manifest
from melpy.rootfs.replacement import Verdict, judge_file
from melpy.unpack import UNPACK_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.apk.segment import Segments

_HEADERS = 1 << 30  # bytes of headers; the listing is of packages that are built or trusted here


class Listing(NamedTuple):
    """Files and symlinks of a package.

    Attributes:
        manifest: facts about the package.
        files: kind and checksum, as `melpy.rootfs.model.Entry` has them, by path.
    """

    manifest: Manifest
    files: Mapping[str, tuple[str, str]]


def find_listing(store: Path, checksum: str, package: Path | None, largest: int) -> Listing | None:
    """Return the files of a package; None where neither the store nor a file that is small enough has them.

    Args:
        store: the store.
        checksum: identity of the package.
        package: its file; None where it is on a server.
        largest: bytes that the file may have.
    """
    try:
        manifest = load_manifest(layer_path(store, checksum).parent)
    except (StoreError, PackageFormatError):
        return _read_package(package, checksum, largest) if package else None
    return Listing(
        manifest,
        {path: (one.kind, one.checksum) for path, one in list_entries(manifest).items() if one.kind != "d"},
    )


def find_clashes(one: Listing, other: Listing) -> Iterator[str]:
    """Yield the paths that two packages have with other content, where neither may overwrite the other's."""
    if judge_file(one.manifest, other.manifest) is Verdict.CONFLICT:
        yield from (path for path, what in one.files.items() if other.files.get(path, what) != what)


def _read_package(package: Path, checksum: str, largest: int) -> Listing | None:
    where = str(package)
    try:
        with open_file(package) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > largest:
                return None
            segments = check_identity(stream, checksum, where=where)
            entry = make_entry(segments, size, where=where)
            return Listing(_make_manifest(entry), _read_files(stream, segments))
    except (OSError, ValueError, MelpyError):
        return None  # whoever installs it says what is wrong


def _make_manifest(package: IndexEntry) -> Manifest:
    """Return the facts that decide whose a path is; see `judge_file`."""
    info = package.info
    return Manifest(
        name=info.name,
        version=info.version,
        origin=info.origin,
        checksum=package.checksum,
        replaces=tuple(info.replaces),
        replaces_priority=int(info.replaces_priority or 0),
        triggers=(),
        modes={},
        libraries=(),
        directories=[],
        links=[],
        targets=[],
        files=[],
        installed="",
    )


def _read_files(stream: IO[bytes], segments: Segments) -> dict[str, tuple[str, str]]:
    stream.seek(segments.data_offset)
    found: dict[str, tuple[str, str]] = {}
    for member in DataReader(stream, UNPACK_LIMIT.size, _HEADERS).members():
        path = member.path.removeprefix("./").strip("/")
        if path.startswith("."):
            continue  # apk leaves it out, too
        if member.type == tarfile.SYMTYPE:
            found[path] = "l", q1(hashlib.sha1(os.fsencode(member.link)).digest())
        elif member.type == tarfile.LNKTYPE:
            target = member.link.removeprefix("./").strip("/")
            if target not in found:
                raise ExtractError(f"has {path!r} as another name of {member.link!r}, which is not in it")
            found[path] = found[target]
        elif member.type in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            found[path] = "f", q1(bytes.fromhex(member.checksum)) if member.checksum else ""
    return found
