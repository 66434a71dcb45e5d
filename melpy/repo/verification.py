"""Packages, indexes and whole repositories, checked against trusted keys: signatures, identities and contents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy.apk.index import read_entries, read_index
from melpy.apk.model import ADB_INDEX_NAME, INDEX_NAME, LARGEST_INDEX
from melpy.apk.segment import check_datahash, check_signatures, make_entry, read_segments
from melpy.bound import open_file, read_file, shorten
from melpy.errors import MelpyError, PackageFormatError, RepositoryError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Keyring

_INDEX_HINT = "write the index anew: melpy index"


def check_package(path: Path, keyring: Keyring) -> IndexEntry:
    """Check a package: one of its signatures is by a trusted key, and its data is what the signed part says.

    Raises:
        PackageFormatError: it is no package, or its data is not the one that was signed.
        SignatureError: it is not signed by a trusted key.
    """
    where = str(path)
    # One open file for all that is checked: nobody can exchange it in between.
    with open_file(path) as stream:
        segments = read_segments(stream, where=where)
        check_signatures(segments.signatures, segments.control, keyring, where=where)
        entry = make_entry(segments, os.fstat(stream.fileno()).st_size, where=where)
        check_datahash(stream, segments, where=where)
    return entry


def find_places(path: Path) -> Iterator[Path]:
    """Yield the packages and indexes that a path stands for.

    A directory is a repository, or the part of one for an architecture: its indexes stand for their packages.

    Raises:
        RepositoryError: it is neither, or not there.
    """
    if path.is_dir():
        names = (INDEX_NAME, ADB_INDEX_NAME)
        own = [path / name for name in names if (path / name).is_file()]
        indexes = own or sorted(found for name in names for found in path.glob(f"*/{name}"))
        if not indexes:
            raise RepositoryError("is no repository: it has no index", where=str(path), hint=f"one is {INDEX_NAME}")
        yield from indexes
    elif path.is_file():
        yield path
    else:
        raise RepositoryError("is not there", where=str(path))


def verify_place(path: Path, keyring: Keyring, *, whole: bool) -> Iterator[MelpyError | None]:
    """Yield None for each package and index that is as it should be, and an error for each that is not.

    Args:
        path: a package, or an index.
        keyring: trusted keys.
        whole: look at the packages of an index, too.
    """
    if path.name.endswith(".apk"):
        yield _attempt(path, keyring)
        return
    try:
        entries = read_entries(read_index(read_file(path, LARGEST_INDEX), keyring=keyring, where=str(path)))
    except MelpyError as error:
        yield error
        return
    except OSError as error:
        yield RepositoryError(f"cannot be read: {reason_of(error)}", where=str(path))
        return
    yield None
    for entry in entries if whole else ():
        name = entry.info.file_name
        if "/" in name or "\0" in name:
            yield RepositoryError(f"names a package that no file can be called: {shorten(name)}", where=str(path))
        else:
            yield _attempt(path.parent / name, keyring, entry)


def _attempt(path: Path, keyring: Keyring, expected: IndexEntry | None = None) -> MelpyError | None:
    if expected and not path.is_file():
        return RepositoryError("is in the index and not there", where=str(path))
    try:
        entry = check_package(path, keyring)
    except MelpyError as error:
        return error
    except OSError as error:
        return PackageFormatError(f"cannot be read: {reason_of(error)}", where=str(path))
    problem = _mismatch(path, entry, expected) if expected else ""
    return RepositoryError(problem, where=str(path), hint=_INDEX_HINT) if problem else None


def _mismatch(path: Path, entry: IndexEntry, expected: IndexEntry) -> str:
    """Return what an index says of a package that is not so."""
    if entry.checksum != expected.checksum:
        return "is not the package that the index names"
    if expected.info.arch == "noarch" != path.parent.name:
        return "is for noarch in the index, so that clients look for it elsewhere"
    return f"has {entry.size} bytes, the index says {expected.size}" if entry.size != expected.size else ""
