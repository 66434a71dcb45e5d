"""The result cache: unsigned packages of builds that ended well, by the key of their inputs.

    <cache>/results/by-key/<key>/result.json       the result, with the SHA-256 of each package
    <cache>/results/by-key/<key>/<arch>/*.apk      the unsigned packages
    <cache>/results/by-key/<key>/log, record.json  what its steps printed, and the record of the build

An entry appears whole, by a rename, and is checked against its digests before it is used. A run that was killed finds
what it had built here. Entries that were used last are kept longest.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.apk.segment import check_datahash, make_entry, read_segments
from melpy.arch import NOARCH
from melpy.bound import open_file
from melpy.build.watch import disk_usage
from melpy.codec import Noun, decode, encode
from melpy.digest import file_digest
from melpy.engine.result import Result, UnsignedPackage
from melpy.engine.resultdir import RESULTS
from melpy.errors import PackageFormatError, ValueFormatError
from melpy.files import make_directory, output_error, replace_file, scratch_directory
from melpy.pack.content import find_content

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from melpy.engine.job import Job

_BY_KEY = "by-key"
_RESULT = "result.json"
_BESIDE = {"log": ".log", "record.json": ".json"}
"""Names in an entry of the files that lie among the logs of a repository, with their suffixes there."""
_FORM = 1


class _Entry(Noun, frozen=True):
    form: int
    key: str
    identity: str
    arch: str
    epoch: int
    result: Result


class StoredResult(Struct, frozen=True):
    """A result whose packages are in the cache.

    Attributes:
        root: repository of its unsigned packages, without an index.
        arch: their architecture, or `noarch`: the directory that they are in.
        epoch: time of the packages, in seconds since 1970.
        result: the result.
    """

    root: Path
    arch: str
    epoch: int
    result: Result


class ResultStore:
    """The result cache below melpy's cache directory."""

    def __init__(self, cache: Path) -> None:
        self._base = cache / RESULTS / _BY_KEY

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep entries from being removed by other processes.

        Raises:
            OutputError: the directory cannot be made.
        """
        with self._open() as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield

    @contextmanager
    def _open(self) -> Iterator[int]:
        make_directory(self._base)
        try:
            descriptor = os.open(self._base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise output_error(self._base, error) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def find(self, key: str) -> StoredResult | None:
        """Return the result of a key, or None without a whole one; a damaged entry is removed."""
        directory = self._base / key
        if not directory.is_dir():
            return None
        try:
            entry = decode((directory / _RESULT).read_bytes(), _Entry, where=str(directory))
            is_whole = (entry.form, entry.key) == (_FORM, key) and all(
                file_digest(directory / entry.arch / package.entry.info.file_name) == package.sha256
                for package in entry.result.packages
            )
        except (OSError, ValueFormatError):
            entry, is_whole = None, False
        if entry is None or not is_whole:
            shutil.rmtree(directory, ignore_errors=True)
            return None
        with suppress(OSError):
            os.utime(directory)
        return StoredResult(directory, entry.arch, entry.epoch, entry.result)

    def add(self, job: Job, result: Result) -> StoredResult:
        """Move the packages of a job from its directory for results into the cache.

        An entry of the same key that is there already is replaced, unless its packages are the same.

        Raises:
            OutputError: the cache cannot be written.
        """
        key, source = job.inputs.key, job.run.locations.results
        target = self._base / key
        epoch = job.inputs.revision.epoch
        arch = job.inputs.plan.package_arch
        entry = _Entry(_FORM, key, job.inputs.identity, arch, epoch, result)
        with replace_file(source / _RESULT, durable=False) as stream:
            stream.write(encode(entry))
        known = self.find(key)
        if known and known.result.packages == result.packages:
            shutil.rmtree(source, ignore_errors=True)
            return known
        try:
            if known:
                # Below the directory of the run, with which it is gone.
                target.rename(source.with_name(f"{source.name}.replaced"))
            source.rename(target)
        except OSError as error:
            raise output_error(target, error) from None
        return StoredResult(target, arch, epoch, result)

    def add_published(self, key: str, job: str, files: Sequence[Path]) -> StoredResult | None:
        """Copy `noarch` packages of a repository into the cache; return None where one of them is damaged.

        Args:
            key: the key that they were made with.
            job: name of the build.
            files: the packages.

        Raises:
            OutputError: the cache cannot be written.
        """
        target = self._base / key
        make_directory(self._base)
        try:
            with scratch_directory(self._base) as scratch:
                (scratch / NOARCH).mkdir()
                packages = tuple(_copy_package(file, scratch / NOARCH / file.name) for file in files)
                epoch = packages[0].entry.info.build_date
                entry = _Entry(_FORM, key, "", NOARCH, epoch, Result(job, packages))
                (scratch / _RESULT).write_bytes(encode(entry))
                scratch.chmod(0o755)
                scratch.rename(target)
        except PackageFormatError:
            return None
        except OSError as error:
            found = self.find(key)  # another process was quicker
            if found is None:
                raise output_error(target, error) from None
            return found
        return StoredResult(target, NOARCH, epoch, entry.result)

    def keep_log(self, stored: StoredResult, log: Path) -> None:
        """Keep the log and the record of a build with its result; what is not there is left out."""
        for name, suffix in _BESIDE.items():
            with suppress(OSError):
                shutil.copyfile(log.with_suffix(suffix), stored.root / name)

    def show_log(self, stored: StoredResult, log: Path) -> None:
        """Put the log and the record of a build where those of the repository are, unless they are there."""
        for name, suffix in _BESIDE.items():
            target = log.with_suffix(suffix)
            if not target.exists():
                with suppress(OSError):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(stored.root / name, target)

    def trim(self, limit: int) -> int:
        """Remove entries, those used longest ago first, until all have at most so many bytes; return the bytes freed.

        Nothing is removed while another process holds the cache.

        Args:
            limit: bytes; 0 for any number.
        """
        if not limit or not self._base.is_dir():
            return 0
        with self._open() as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            entries = sorted((path.stat().st_mtime_ns, path) for path in self._base.iterdir() if path.is_dir())
            sizes = {path: disk_usage([path]) for _, path in entries}
            size, freed = sum(sizes.values()), 0
            for _, path in entries:
                if size - freed <= limit:
                    break
                shutil.rmtree(path, ignore_errors=True)
                freed += sizes[path]
        return freed


def _copy_package(file: Path, target: Path) -> UnsignedPackage:
    """Copy a package.

    Raises:
        PackageFormatError: it is damaged, or is for one architecture.
    """
    shutil.copyfile(file, target)
    with open_file(target) as stream:
        segments = read_segments(stream, where=str(file))
        check_datahash(stream, segments, where=str(file))
        entry = make_entry(segments, target.stat().st_size, where=str(file))
    if entry.info.arch != NOARCH:
        raise PackageFormatError(f"is for {entry.info.arch}", where=str(file))
    return UnsignedPackage(entry, find_content(segments), file_digest(target))
