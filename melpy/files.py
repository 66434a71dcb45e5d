"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from melpy.errors import OutputError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replace_file(path: Path, mode: int = 0o644, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of `path` when the block ends well, and vanishes when it does not.

    It is open for writing and for reading back.
    Parent directories are made.

    Args:
        path: the file.
        mode: its permission bits.
        durable: whether the bytes are on disk before the name changes, so that a power cut leaves the old or the new.

    Raises:
        OutputError: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise output_error(path, error) from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise output_error(path, error) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Write a whole file at once.

    Raises:
        OutputError: the place cannot be written.
    """
    with replace_file(path, mode) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of `replace_file`; nobody may be writing the file meanwhile."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")  # as tempfile makes names
    for name in os.listdir(path.parent):  # noqa: PTH208  # a third of the time where there are thousands
        found = path.with_name(name) if name[0] == "." and leftover.fullmatch(name) else None
        if found and found.is_file() and not found.is_symlink():
            found.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """Make a directory, and those above it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from None


def check_writable(directory: Path) -> None:
    """Make a directory and check that files can be written in it.

    Raises:
        OutputError: they cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".writable."):
            pass
    except OSError as error:
        raise output_error(directory, error) from None


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error that says why `path` cannot be written."""
    reason = reason_of(error)
    return OutputError(
        f"cannot write: {reason}", where=str(path), hint="choose another place, or change its owner or mode"
    )


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds a lock (flock) on a file; a file that is not there is nobody's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
