"""A repository on disk: `<root>/<arch>/<name>-<version>.apk` and `<root>/<arch>/APKINDEX.tar.gz`.

Packages are written first and the index last, each by an atomic rename; the index is computed from the bytes that
are there.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from melpy.apk.index import read_entries, read_index, write_index
from melpy.apk.model import LARGEST_INDEX, Index, IndexEntry
from melpy.apk.segment import check_datahash, read_entry, read_segments
from melpy.apk.version import compare_versions, version_key
from melpy.bound import open_file, read_file
from melpy.codec import replace
from melpy.errors import MelpyError, OutputError, PackageFormatError, RepositoryError, SignatureError, reason_of
from melpy.files import output_error, remove_leftovers, write_file
from melpy.repo.layout import index_path
from melpy.repo.model import Publication
from melpy.repo.signing import find_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from melpy.apk.signature import Keyring, Signer

T = TypeVar("T")


def load_index(root: Path, arch: str, *, keyring: Keyring | None) -> Index:
    """Read the index of an architecture; a repository that has none yet is empty.

    Raises:
        RepositoryError: the index cannot be read.
        PackageFormatError: it is broken.
        SignatureError: it is not signed by a trusted key.
    """
    path = index_path(root, arch)
    try:
        data = read_file(path, LARGEST_INDEX)
    except FileNotFoundError:
        return Index(())
    except OSError as error:
        hints = {IsADirectoryError: "move the directory away", PermissionError: "change its owner or mode"}
        raise RepositoryError(
            f"cannot be read: {reason_of(error)}", where=str(path), hint=hints.get(type(error))
        ) from None
    try:
        return read_index(data, keyring=keyring, where=str(path))
    except SignatureError:
        raise
    except PackageFormatError as error:
        error.hint = error.hint or f"write it anew from the packages that are there: melpy index {root}"
        raise


def write_repository_index(
    root: Path, arch: str, entries: Iterable[IndexEntry], *, signer: Signer | None, description: str = ""
) -> Path:
    """Replace the index of an architecture and return its path; entries are sorted by name and version.

    Raises:
        OutputError: it cannot be written.
    """
    path = index_path(root, arch)
    write_file(path, write_index(sort_entries(entries), signer=signer, description=description))
    return path


def publish_packages(
    root: Path, arch: str, staged: Path, entries: Sequence[IndexEntry], *, signer: Signer | None
) -> Publication:
    """Move packages from a directory beside it into a repository, then replace its index.

    One process at a time does this. Packages that the index does not know as they are, since a process ended between
    the two, are read anew; those that are gone, or that no client could install, are left out.

    Raises:
        OutputError: the repository cannot be written.
        PackageFormatError: the index that is there is broken.
    """
    directory = root / arch
    with locked(directory):
        for entry in entries:
            _clear_place(directory / entry.info.file_name)
        known, damaged = _current_entries(root, arch, {entry.info.file_name for entry in entries})
        for entry in entries:
            (staged / entry.info.file_name).replace(directory / entry.info.file_name)
        path = index_path(root, arch)
        remove_leftovers(path)
        before = path.read_bytes() if path.exists() else b""
        index = write_repository_index(root, arch, merge_entries(known, entries), signer=signer)
        lost = find_lost(before, path.read_bytes(), str(path))
    replaced, outdated = _find_replaced(known, entries), _find_outdated(known, entries)
    return Publication(index, tuple(replaced), tuple(outdated), tuple(damaged), lost)


def remove_packages(root: Path, arch: str, names: AbstractSet[str], *, signer: Signer | None) -> None:
    """Replace the index of an architecture with one that has not some packages, then remove their files.

    Args:
        root: the repository.
        arch: the architecture.
        names: file names of the packages.
        signer: signs the index.

    Raises:
        OutputError: the repository cannot be written.
        PackageFormatError: the index that is there is broken.
    """
    directory = root / arch
    with locked(directory):
        current, _ = _current_entries(root, arch, names)
        left = [entry for entry in current if entry.info.file_name not in names]
        write_repository_index(root, arch, left, signer=signer)
        for name in sorted(names):
            path = directory / name
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise output_error(path, error) from None


def _clear_place(path: Path) -> None:
    """Make way for a package where an empty directory has its name; one that has files is its owner's to move.

    Raises:
        OutputError: there is such a directory. No package has been replaced then.
    """
    if not path.is_dir() or path.is_symlink():
        return
    try:
        path.rmdir()
    except OSError as error:
        hint = "move it away, and build again"
        raise OutputError(
            f"a directory is in the package's place: {reason_of(error)}", where=str(path), hint=hint
        ) from None


def _find_replaced(known: Iterable[IndexEntry], entries: Iterable[IndexEntry]) -> Iterator[IndexEntry]:
    """Yield the new entries whose name and version another package had; with another signature it is the same."""
    before = {entry.info.full_name: entry.checksum for entry in known}
    for entry in entries:
        if before.get(entry.info.full_name, entry.checksum) != entry.checksum:
            yield entry


def _find_outdated(
    known: Iterable[IndexEntry], entries: Iterable[IndexEntry]
) -> Iterator[tuple[IndexEntry, IndexEntry]]:
    """Yield the new entries that are older than a known one of their name, and the newest of these."""
    newest: dict[str, IndexEntry] = {}
    for entry in sort_entries(known):
        newest[entry.info.name] = entry
    for entry in entries:
        there = newest.get(entry.info.name)
        if there and compare_versions(entry.info.version, there.info.version) < 0:
            yield entry, there


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep others from publishing in a directory.

    Raises:
        OutputError: it is none, or may not be read.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise output_error(directory, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _current_entries(root: Path, arch: str, renewed: AbstractSet[str]) -> tuple[list[IndexEntry], list[MelpyError]]:
    """Return the index's entries as their packages are now, and why other packages that are there have none.

    Args:
        root: the repository.
        arch: the architecture.
        renewed: names of files that are about to be replaced; if they cannot be read, nothing is lost.
    """
    index = load_index(root, arch, keyring=None)
    path = index_path(root, arch)
    written = path.stat().st_mtime_ns if path.exists() else 0
    known = {entry.info.file_name: entry for entry in read_entries(index)}
    current, damaged = [], []
    for package in sorted((root / arch).glob("*.apk")):
        # A rename changes ctime, whenever the file was written.
        entry, info = known.get(package.name), package.lstat()
        if entry and entry.size == info.st_size and info.st_ctime_ns < written:
            current.append(entry)
        elif entry or info.st_ctime_ns >= written:
            try:
                current.append(_read_current(package, arch, entry))
            except MelpyError as error:
                damaged += [] if package.name in renewed else [error]
    return current, damaged


def _read_current(package: Path, arch: str, known: IndexEntry | None) -> IndexEntry:
    """Read a package that is not as the index knows it.

    Raises:
        PackageFormatError: it is damaged, is for another architecture, or has the name of another file.
    """
    entry = read_entry(package)
    where = str(package)
    if entry.info.file_name != package.name:
        raise PackageFormatError(
            f"holds {entry.info.full_name}", where=where, hint=f"rename it to {entry.info.file_name}"
        )
    if entry.info.arch not in {arch, "noarch", ""}:
        raise PackageFormatError(f"is for {entry.info.arch}", where=where, hint=f"move it to {entry.info.arch}")
    if known is None or (known.checksum, known.size) != (entry.checksum, entry.size):
        try:
            with open_file(package) as stream:
                check_datahash(stream, read_segments(stream, where=where), where=where)
        except OSError as error:
            raise PackageFormatError(f"cannot be read: {reason_of(error)}", where=where) from None
    return place_entry(entry, arch)


def place_entry(entry: IndexEntry, arch: str) -> IndexEntry:
    """Return a package for every architecture as one for that of its directory, where clients look for it."""
    return replace(entry, info=replace(entry.info, arch=arch)) if entry.info.arch == "noarch" else entry


def merge_entries(old: Iterable[IndexEntry], new: Iterable[IndexEntry]) -> tuple[IndexEntry, ...]:
    """Return both, where a new entry takes the place of an old one of the same name and version."""
    merged = {(entry.info.name, entry.info.version): entry for entry in (*old, *new)}
    return sort_entries(merged.values())


def sort_entries(entries: Iterable[IndexEntry]) -> tuple[IndexEntry, ...]:
    """Return entries by name, then version, oldest first."""
    return tuple(sort_packages(entries, lambda entry: (entry.info.name, entry.info.version)))


def sort_packages(packages: Iterable[T], identify: Callable[[T], tuple[str, str]]) -> Iterator[T]:
    """Yield packages by name, then version, oldest first.

    Args:
        packages: the packages.
        identify: tells name and version of one.
    """
    # Few names have several versions, and comparing these costs most.
    for _, group in itertools.groupby(sorted(packages, key=identify), key=lambda package: identify(package)[0]):
        same = list(group)
        yield from sorted(same, key=lambda package: version_key(identify(package)[1])) if len(same) > 1 else same
