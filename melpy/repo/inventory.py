"""What package files say of themselves, each read once.

A file whose stamp is as it was is not opened (`melpy.repo.memory`). Where it is not, as in a copy, the bytes before its
data member decide, since what an index says follows from these and the size.
"""

from __future__ import annotations

import functools
import hashlib
import marshal
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from melpy.apk.segment import make_entry, read_segments
from melpy.apk.stanza import render_stanza
from melpy.errors import PackageFormatError, ProcessError, reason_of
from melpy.pool import open_pool
from melpy.repo.memory import CHANGING, settled_before, stamp_file
from melpy.repo.model import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_CHUNK = 1000
_PARALLEL_FROM = 4000  # fewer packages are read before other processes have started


class Fault(NamedTuple):
    """Why a file cannot be in an index."""

    where: str
    message: str
    hint: str | None


def read_records(
    directory: str, stamps: Mapping[str, str], known: Mapping[str, Record], jobs: int
) -> tuple[list[Record], list[Fault]]:
    """Return what files say of themselves, in order, and what is wrong with others.

    Args:
        directory: what their names are relative to.
        stamps: the files and their stamps.
        known: what was read before.
        jobs: how many processes may work.

    Raises:
        ProcessError: one of the processes was killed.
    """
    changed: list[tuple[str, Record | None]] = []
    for file, stamp in stamps.items():
        record = known.get(file)
        if not record or record.stamp != stamp or stamp == CHANGING:
            changed.append((file, record))
    fresh = dict(zip((file for file, _ in changed), _read_all(directory, changed, jobs), strict=True))
    records: list[Record] = []
    faults: list[Fault] = []
    for file in stamps:
        outcome = fresh.get(file) or known[file]
        if isinstance(outcome, Record):
            records.append(outcome)
        else:
            faults.append(outcome)
    return records, faults


def _read_all(directory: str, changed: Sequence[tuple[str, Record | None]], jobs: int) -> Iterable[Record | Fault]:
    if jobs < 2 or len(changed) < _PARALLEL_FROM:  # one is not parallel
        return _read_chunk(directory, changed)
    # Importing it takes 4 ms, and most indexes have few new packages.
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    work = functools.partial(_read_packed, directory)
    chunks = [changed[start : start + _CHUNK] for start in range(0, len(changed), _CHUNK)]
    # Forked, so that modules are there already.
    with open_pool(min(jobs, len(chunks)), "fork") as pool:
        try:
            packed = list(pool.map(work, chunks))
        except BrokenProcessPool:
            raise ProcessError("a process that read packages ended") from None
    return [_unpacked(outcome) for chunk in packed for outcome in marshal.loads(chunk)]  # noqa: S302  # from our own fork


def _read_packed(directory: str, changed: Sequence[tuple[str, Record | None]]) -> bytes:
    """Return outcomes as plain tuples: pickle takes three times as long for them."""
    return marshal.dumps([tuple(outcome) for outcome in _read_chunk(directory, changed)])


def _unpacked(outcome: tuple[Any, ...]) -> Record | Fault:
    return Record(*outcome) if len(outcome) == len(Record._fields) else Fault(*outcome)


def _read_chunk(directory: str, changed: Sequence[tuple[str, Record | None]]) -> list[Record | Fault]:
    recent = settled_before()
    return [_read_one(directory, file, known, recent) for file, known in changed]


def _read_one(directory: str, file: str, known: Record | None, recent: int) -> Record | Fault:
    where = file if directory == "." else f"{directory}/{file}"
    try:
        # Whatever is called so: a pipe would be waited for.
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return _read_open(descriptor, where, file, known, recent)
        finally:
            os.close(descriptor)
    except PackageFormatError as error:
        return Fault(where, error.message, error.hint)
    except OSError as error:
        return Fault(where, f"cannot be read: {reason_of(error)}", None)


def _read_open(descriptor: int, where: str, file: str, known: Record | None, recent: int) -> Record | Fault:
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        reason = "cannot be read: is a directory" if stat.S_ISDIR(info.st_mode) else "is not a file"
        return Fault(where, reason, None)
    stamp = stamp_file(info, recent)
    if known and f"\nS:{info.st_size}\n" in known.stanza and _digest(os.read(descriptor, known.head)) == known.digest:
        return known._replace(stamp=stamp)
    segments = read_segments(_Descriptor(descriptor), where=where)
    stanza = render_stanza(make_entry(segments, info.st_size, where=where))
    return Record(file, stamp, segments.data_offset, _digest(segments.head), stanza)


class _Descriptor:
    """An open file as it is: Python's own objects for that cost a tenth of what reading a package does."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)

    def seek(self, offset: int) -> int:
        return os.lseek(self._descriptor, offset, os.SEEK_SET)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
