"""Extracted packages, each once: an entry of the store holds the files of one package, read-only from then on.

The identity is the SHA-1 of the package's control member, as in indexes; the control member holds the SHA-256 of
the data. How entries lie on disk is said in `melpy.rootfs.layout`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.segment import check_identity
from melpy.bound import open_file
from melpy.errors import PackageFormatError, reason_of
from melpy.files import output_error
from melpy.pool import open_pool
from melpy.rootfs.extraction import extract_package
from melpy.rootfs.layout import layer_path, new_entry, settle_entry
from melpy.rootfs.model import StoredPackage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["StoredPackage", "ensure_layers", "find_absent", "layer_path"]

_PARALLEL_FROM = 4  # fewer packages are unpacked before a pool of processes has started


def find_absent(store: Path, checksums: Sequence[str]) -> set[str]:
    """Return the identities of packages that the store does not have.

    Raises:
        PackageFormatError: a checksum is not one.
    """
    return {checksum for checksum in checksums if not os.path.isdir(layer_path(store, checksum))}  # noqa: PTH112  # a hundred times for each build


def ensure_layers(
    store: Path, packages: Sequence[StoredPackage], monitor: events.Monitor, job: str = "", workers: int = 2
) -> tuple[Path, ...]:
    """Return the directories with the packages' files, extracting those that are not there yet.

    Raises:
        PackageFormatError: a package is damaged or is not the one that the index means.
        ExtractError: it wants to write outside of its directory, or unpacks to more than it says.
        OutputError: the store cannot be written.
    """
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(store, error) from None
    absent = find_absent(store, [package.checksum for package in packages])
    missing = [package for package in packages if package.checksum in absent]
    if len(missing) < _PARALLEL_FROM:
        for package in missing:
            _extract(store, package)
    else:
        _extract_all(store, missing, monitor, job, workers)
    return tuple(layer_path(store, package.checksum) for package in packages)


def _extract_all(
    store: Path, missing: Sequence[StoredPackage], monitor: events.Monitor, job: str, workers: int
) -> None:
    # Forking a process that has threads can block; a fork server has none.
    with open_pool(workers, "forkserver") as pool:
        # The largest first, so that no process is left with it at the end.
        ordered = sorted(missing, key=lambda package: -_size(package.path))
        done = [pool.submit(_extract, store, package) for package in ordered]
        for number, future in enumerate(done, 1):
            future.result()
            monitor.emit(events.Progress(job, "extracting packages", number, len(done)))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _extract(store: Path, package: StoredPackage) -> None:
    where = str(package.path)
    try:
        # One open file for all that is checked and read: nobody can exchange it in between.
        with open_file(package.path) as stream:
            segments = check_identity(stream, package.checksum, where=where, hint="write the index anew")
            with new_entry(store) as directory:
                extract_package(stream, segments, directory, where=package.path.name)
                _settle(directory, layer_path(store, package.checksum).parent)
    except OSError as error:
        raise PackageFormatError(f"cannot be read: {reason_of(error)}", where=where) from None


def _settle(directory: Path, final: Path) -> None:
    try:
        settle_entry(directory, final)
    except OSError as error:
        raise output_error(final, error) from None
