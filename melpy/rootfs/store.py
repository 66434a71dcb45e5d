"""Extracted packages, each once: `<store>/<identity>/` holds the files of one package, read-only from then on.

The identity is the SHA-1 of the package's control member, as in indexes; the control member holds the SHA-256 of
the data. A directory with that name is whole: it was renamed into place after everything was written and checked.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import IO, TYPE_CHECKING

from melpy import events
from melpy.apk.segment import check_identity
from melpy.errors import PackageFormatError, reason_of
from melpy.files import output_error
from melpy.unpack import unpack_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHA1_SIZE = 20
_PARALLEL_FROM = 4  # fewer packages are unpacked before a pool of processes has started


@dataclass(frozen=True)
class StoredPackage:
    """A package file and the identity that a trusted index gives it."""

    path: Path
    checksum: str


def layer_path(store: Path, checksum: str) -> Path:
    """Return where the files of a package lie.

    Raises:
        PackageFormatError: the checksum is not one.
    """
    try:
        digest = base64.b64decode(checksum.removeprefix("Q1"), validate=True)
    except binascii.Error:
        digest = b""
    if not checksum.startswith("Q1") or len(digest) != _SHA1_SIZE:
        raise PackageFormatError(f"not the checksum of a package: {checksum!r}")
    return store / digest.hex()


def ensure_layers(
    store: Path, packages: Sequence[StoredPackage], monitor: events.Monitor, job: str = "", workers: int = 2
) -> tuple[Path, ...]:
    """Return the directories with the packages' files, extracting those that are not there yet.

    Raises:
        PackageFormatError: a package is damaged or is not the one that the index means.
        OutputError: the store cannot be written.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(store, error) from None
    missing = [package for package in packages if not layer_path(store, package.checksum).is_dir()]
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
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
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
        with package.path.open("rb") as stream:
            segments = check_identity(stream, package.checksum, where=where, hint="write the index anew")
            _extract_data(store, package, stream, segments.data_offset)
    except OSError as error:
        raise PackageFormatError(f"cannot be read: {reason_of(error)}", where=where) from None


def _extract_data(store: Path, package: StoredPackage, stream: IO[bytes], offset: int) -> None:
    """Extract the data member, and nothing of what stands before it, which the data's digest does not cover."""
    try:
        temporary = Path(tempfile.mkdtemp(dir=store, prefix=".new-"))
    except OSError as error:
        raise output_error(store, error) from None
    try:
        temporary.chmod(0o755)
        stream.seek(offset)
        unpack_stream(stream, temporary, where=package.path.name)
        _settle(temporary, layer_path(store, package.checksum))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _settle(temporary: Path, final: Path) -> None:
    try:
        os.rename(temporary, final)  # noqa: PTH104  # Path.rename would do; os says that it never replaces a full one
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(temporary, ignore_errors=True)  # another process was quicker, with the same files
