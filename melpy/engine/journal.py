"""The memory that runs share: durations and memory of builds, failures, keys, and contents that were published.

Everything in it can be lost: builds are then estimated, tried or digested again. It knows nothing of executors. Keys
and contents are digests in hex; architectures are in APK's spelling; times are seconds since 1970.
"""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from melpy.codec import Noun, decode, encode
from melpy.engine.journalfile import JournalFile, split
from melpy.engine.published import Made
from melpy.engine.result import Failure
from melpy.errors import ValueFormatError
from melpy.graph.model import BuildId

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.events import Monitor

_FORM = 1  # of the tables below; a file of another form is set aside
_SCHEMA = """
CREATE TABLE samples (recipe TEXT NOT NULL, arch TEXT NOT NULL, number INTEGER NOT NULL, seconds REAL NOT NULL,
    cpu REAL NOT NULL, memory INTEGER NOT NULL, retries INTEGER NOT NULL, PRIMARY KEY (recipe, arch, number))
    WITHOUT ROWID;
CREATE TABLE failures (key TEXT PRIMARY KEY, job TEXT NOT NULL, ended REAL NOT NULL, failure BLOB NOT NULL);
CREATE TABLE stamps (stamp TEXT PRIMARY KEY, key TEXT NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX stamps_used ON stamps (used);
CREATE TABLE made (checksum TEXT PRIMARY KEY, key TEXT NOT NULL, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE names (arch TEXT NOT NULL, package TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (arch, package, name))
    WITHOUT ROWID
"""
_SAMPLES = 5  # of one build that are kept
_DECAY = 0.7  # weight of a sample, by that of the next one: two newest together outweigh the others
_STAMPS = 100_000  # 15 for each build of Wolfi's tree
_PRUNED = 1_000  # stamps that are added before they are counted again, which takes 2 ms
_FAILURES = 20_000
_DAY = 86_400.0


class Sample(Noun, frozen=True):
    """Resources that one execution of a build used.

    Attributes:
        seconds: from start to end.
        cpu: seconds of processors.
        memory: bytes at the peak; 0 where that was not measured.
        retries: number of steps that were tried again.
    """

    seconds: float
    cpu: float = 0.0
    memory: int = 0
    retries: int = 0


class Learned(Noun, frozen=True):
    """Expectation for a build, from its last samples.

    Attributes:
        seconds: median of the durations, newer ones with more weight.
        cpu: the same of processor seconds.
        memory: bytes, the largest peak; 0 where none was measured.
        samples: number of samples.
        retries: number of steps that were tried again, in all of them; more than 0 for a flaky build.
    """

    seconds: float
    cpu: float
    memory: int
    samples: int
    retries: int = 0


class Journal:
    """The journal in a file, for several threads and processes.

    Args:
        path: the file; `find_journal` names it.
        monitor: is told when the file is set aside or cannot be used.
        now: returns the time.
    """

    def __init__(self, path: Path, monitor: Monitor, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._unpruned = _PRUNED  # the first time, others have added some
        self._file = JournalFile(path, _SCHEMA, _FORM, monitor)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add_sample(self, build: BuildId, sample: Sample) -> None:
        """Remember the resources that an execution of a build used; older ones are forgotten."""

        def work(connection: sqlite3.Connection) -> None:
            query = "SELECT coalesce(max(number), 0) FROM samples WHERE recipe = ? AND arch = ?"
            (last,) = connection.execute(query, build).fetchone()
            values = (*build, last + 1, sample.seconds, sample.cpu, sample.memory, sample.retries)
            connection.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            query = "DELETE FROM samples WHERE recipe = ? AND arch = ? AND number <= ?"
            connection.execute(query, (*build, last + 1 - _SAMPLES))

        self._file.write(work)

    def find_learned(self) -> dict[BuildId, Learned]:
        """Return the expectations for all builds that were executed."""
        query = "SELECT recipe, arch, seconds, cpu, memory, retries FROM samples ORDER BY recipe, arch, number DESC"

        def work(connection: sqlite3.Connection) -> dict[BuildId, Learned]:
            rows = connection.execute(query)
            return {BuildId(*build): _learn([row[2:] for row in own]) for build, own in groupby(rows, itemgetter(0, 1))}

        return self._file.read(work)

    def add_failure(self, key: str, job: str, failure: Failure) -> None:
        """Remember that the job of a key failed; the oldest failures are forgotten."""
        values = (key, job, self._now(), encode(failure))

        def work(connection: sqlite3.Connection) -> None:
            # A row that is replaced gets a new rowid, so that the newest have the largest.
            connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", values)
            query = "DELETE FROM failures WHERE rowid <= (SELECT max(rowid) FROM failures) - ?"
            connection.execute(query, (_FAILURES,))

        self._file.write(work)

    def find_failures(self, keys: Collection[str]) -> dict[str, Failure]:
        """Return the remembered failures of keys."""

        def work(connection: sqlite3.Connection) -> dict[str, Failure]:
            found = {}
            for key, data in _select(connection, "SELECT key, failure FROM failures WHERE key IN", keys):
                with suppress(ValueFormatError):  # another version of melpy wrote it
                    found[key] = decode(data, Failure)
            return found

        return self._file.read(work)

    def find_failed_jobs(self) -> frozenset[str]:
        """Return the names of the jobs of which a failure is remembered, whatever their inputs were."""
        query = "SELECT DISTINCT job FROM failures"
        return self._file.read(lambda connection: frozenset(job for (job,) in connection.execute(query)))

    def remove_failures(self, keys: Collection[str]) -> None:
        """Forget the failures of keys."""
        rows = [(key,) for key in keys]
        self._file.write(lambda connection: connection.executemany("DELETE FROM failures WHERE key = ?", rows))

    def add_keys(self, keys: Mapping[str, str]) -> None:
        """Remember keys by stamps; the stamps that were not used for the longest time are forgotten.

        Args:
            keys: for each stamp (any text that says what a key was made from), the key.
        """
        now = self._now()
        self._unpruned += len(keys)

        def work(connection: sqlite3.Connection) -> None:
            rows = [(stamp, key, now) for stamp, key in keys.items()]
            connection.executemany("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)", rows)
            if self._unpruned < _PRUNED:
                return
            self._unpruned = 0
            (count,) = connection.execute("SELECT count(*) FROM stamps").fetchone()
            query = "DELETE FROM stamps WHERE stamp IN (SELECT stamp FROM stamps ORDER BY used, stamp LIMIT ?)"
            connection.execute(query, (max(0, count - _STAMPS),))

        self._file.write(work)

    def find_keys(self, stamps: Collection[str]) -> dict[str, str]:
        """Return the keys of those stamps that are known."""
        now = self._now()
        query = "SELECT stamp, key, used FROM stamps WHERE stamp IN"
        rows = self._file.read(lambda connection: list(_select(connection, query, stamps)))
        # That a stamp was used is written once a day, so that a run with nothing to do writes next to nothing.
        old = [(now, stamp) for stamp, _key, used in rows if not 0 <= now - used < _DAY]
        if old:
            query = "UPDATE stamps SET used = ? WHERE stamp = ?"
            self._file.write(lambda connection: connection.executemany(query, old))
        return {stamp: key for stamp, key, _used in rows}

    def add_made(self, made: Mapping[str, Made]) -> None:
        """Remember how packages were made, by their checksums as in indexes."""
        rows = [(checksum, *one) for checksum, one in made.items()]
        self._file.write(
            lambda connection: connection.executemany("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", rows)
        )

    def find_made(self, checksums: Collection[str]) -> dict[str, Made]:
        """Return how packages were made, of those that are known, by checksum."""
        query = "SELECT checksum, key, content FROM made WHERE checksum IN"
        rows = self._file.read(lambda connection: list(_select(connection, query, checksums)))
        return {checksum: Made(key, content) for checksum, key, content in rows}

    def replace_names(self, arch: str, provides: Mapping[str, Sequence[str]]) -> None:
        """Remember the generated names (`so:`, `cmd:`, `pc:`) that packages provide, in place of earlier ones."""

        def work(connection: sqlite3.Connection) -> None:
            packages = [(arch, package) for package in provides]
            connection.executemany("DELETE FROM names WHERE arch = ? AND package = ?", packages)
            rows = {(arch, package, name): None for package, names in provides.items() for name in names}
            connection.executemany("INSERT INTO names VALUES (?, ?, ?)", rows)

        self._file.write(work)

    def find_names(self, arch: str) -> dict[str, tuple[str, ...]]:
        """Return for each generated name the packages that provided it when they were built last."""
        query = "SELECT name, package FROM names WHERE arch = ? ORDER BY name, package"
        rows = self._file.read(lambda connection: connection.execute(query, (arch,)).fetchall())
        return {name: tuple(package for _, package in own) for name, own in groupby(rows, itemgetter(0))}


def find_journal(cache_dir: Path) -> Path:
    """Return the file of the journal in a cache."""
    return cache_dir / "journal.sqlite"


def find_median(values: Sequence[float], decay: float = _DECAY) -> float:
    """Return the median of values, newest first, each with `decay` times the weight of the one before it."""
    weights = sorted((value, decay**number) for number, value in enumerate(values))
    half = sum(weight for _value, weight in weights) / 2
    for value, weight in weights:
        half -= weight
        if half <= 0:
            return value
    return weights[-1][0]


def _select(connection: sqlite3.Connection, query: str, values: Collection[str]) -> Iterator[Any]:
    for part in split(values):
        yield from connection.execute(f"{query} ({', '.join('?' * len(part))})", part)


def _learn(rows: Sequence[tuple[float, float, int, int]]) -> Learned:
    seconds, cpu, memory, retries = zip(*rows, strict=True)
    return Learned(
        seconds=find_median(seconds),
        cpu=find_median(cpu),
        memory=max(memory),
        samples=len(rows),
        retries=sum(retries),
    )
