"""The file of the journal: an SQLite database that no damage, version or lock turns into an error.

Several processes may use it at the same time, and each may be killed at any time: SQLite's write-ahead log keeps it
consistent (https://www.sqlite.org/wal.html). A file that is damaged or has another form is set aside, and a new one is
begun. Where a file cannot be used at all, the process has a journal of its own in memory. Both are told as warnings.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from melpy import events
from melpy.errors import OutputError, reason_of
from melpy.files import WRITE_HINTS, make_directory, write_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Value = TypeVar("Value")

_BUSY = 10.0  # seconds to wait for another process; a transaction takes some milliseconds
_ATTEMPTS = 3  # the file, a new one, and one in memory
_WRITABLE_BY_OTHERS = 0o022
_DAMAGE = frozenset((11, 26, 1, 20, 8))
"""Primary codes of errors that a valid file does not give: CORRUPT, NOTADB, ERROR, MISMATCH, and READONLY, since the
file has been opened for writing before. Source: https://www.sqlite.org/rescode.html."""
_FULL = 13  # primary code of an error that says that the disk is full
_LOST = "durations and failures of builds are learned again"


class _DamageError(ValueError):
    """The file is not a journal of this form, or its content is not valid."""


class JournalFile:
    """A connection to the file of the journal, for several threads.

    Args:
        path: the file; it and its directory are made.
        schema: statements that make the tables.
        form: version of the schema, from 1.
        monitor: is told when the file is set aside or cannot be used.
    """

    def __init__(self, path: Path, schema: str, form: int, monitor: events.Monitor) -> None:
        self._path = path
        self._schema = schema
        self._form = form
        self._monitor = monitor
        self._lock = threading.Lock()
        self._frozen = False
        self._inode = 0
        self._connection = self._open()

    def read(self, work: Callable[[sqlite3.Connection], Value]) -> Value:
        """Return the result of work that only reads.

        `work` may raise TypeError or ValueError for content that no journal has; the file is then set aside.
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                try:
                    return work(self._connection)
                except (sqlite3.Error, TypeError, ValueError) as error:
                    self._replace(error)
            return work(self._connection)

    def write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do work as one transaction; where the file cannot be written, say so once and do nothing from then on."""
        with self._lock:
            for _ in range(_ATTEMPTS):
                if self._frozen:
                    return
                try:
                    with _transaction(self._connection):
                        work(self._connection)
                except (sqlite3.Error, ValueError) as error:
                    if _is_damage(error):
                        self._replace(error)
                    else:
                        self._frozen = True
                        self._warn("cannot be written", error)
                else:
                    return

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _open(self, damage: str = "") -> sqlite3.Connection:
        """Return a connection to the file, or to memory.

        Args:
            damage: fault of the file that this process has open; it is set aside unless another process has done so.
        """
        try:
            make_directory(self._path.parent)
            with _hold(self._path):
                self._check_owner()
                if damage and self._inode == self._find_inode():
                    self._set_aside(damage)
                try:
                    return self._connect()
                except (sqlite3.Error, ValueError) as error:
                    if not _is_damage(error):
                        raise
                    self._set_aside(str(error))
                    return self._connect()
        except (OSError, OutputError, sqlite3.Error, ValueError) as error:
            self._warn("cannot be used", error)
            return self._connect_memory()

    def _find_inode(self) -> int:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return 0

    def _check_owner(self) -> None:
        """Raise OSError for a file that another user could have written."""
        with suppress(FileNotFoundError):
            info = self._path.stat()
            if info.st_uid != os.geteuid() or info.st_mode & _WRITABLE_BY_OTHERS:
                raise PermissionError("another user can write it")

    def _connect(self) -> sqlite3.Connection:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._inode = os.fstat(descriptor).st_ino
        os.close(descriptor)
        connection = sqlite3.connect(self._path, timeout=_BUSY, check_same_thread=False, isolation_level=None)
        try:
            return self._begin(connection)
        except BaseException:
            connection.close()
            raise

    def _connect_memory(self) -> sqlite3.Connection:
        return self._begin(sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None))

    def _begin(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Set up a connection, and make the tables of a file that has none."""
        connection.execute("PRAGMA journal_mode = WAL")
        # A process that is killed loses nothing this way, and a power cut the last transactions.
        connection.execute("PRAGMA synchronous = NORMAL")
        with _transaction(connection):
            (form,) = connection.execute("PRAGMA user_version").fetchone()
            if form == 0 and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in self._schema.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {self._form}")
            elif form != self._form:
                raise _DamageError(f"it has form {form}, and this version of melpy has form {self._form}")
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise _DamageError(answer)
        return connection

    def _replace(self, error: Exception) -> None:
        """Have another connection after an error."""
        self._connection.close()
        if _is_damage(error):
            self._connection = self._open(str(error))
        else:
            self._warn("cannot be read", error)
            self._connection = self._connect_memory()

    def _set_aside(self, reason: str) -> None:
        aside = self._path.with_name(f"{self._path.name}.old")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(f"{self._path.name}{suffix}").unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            self._path.replace(aside)
        text = f"the journal {self._path} cannot be used, and is now {aside.name}: {reason}; {_LOST}"
        self._monitor.emit(events.Warning("", text))

    def _warn(self, what: str, error: Exception) -> None:
        hint = f"remove it; {_LOST}"
        reason = str(error)
        if isinstance(error, OSError):
            hint, reason = write_hint(error), reason_of(error)
        elif isinstance(error, OutputError):
            hint = error.hint or hint
        elif getattr(error, "sqlite_errorcode", 0) & 0xFF == _FULL:
            hint = WRITE_HINTS[errno.ENOSPC]
        self._monitor.emit(events.Warning("", f"the journal {self._path} {what}: {reason}", hint))


def _is_damage(error: Exception) -> bool:
    """Tell whether an error is about the content of the file; Python's own, such as of text, has no code."""
    return not isinstance(error, sqlite3.Error) or getattr(error, "sqlite_errorcode", 1) & 0xFF in _DAMAGE


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Let no other process open the journal or set it aside meanwhile."""
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def split(values: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    """Yield values in lists that fit one statement: older SQLite takes 999 parameters."""
    part: list[str] = []
    for value in values:
        part.append(value)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
