"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from melpy.errors import OutputError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRITABLE_BY_OTHERS = 0o022


@contextmanager
def replace_file(path: Path, mode: int = 0o644, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of `path` when the block ends well, and vanishes when it does not.

    It is open for writing and for reading back. Parent directories are made. Until the end it has no name where the
    file system can do that (O_TMPFILE), so that a killed process leaves nothing.

    Args:
        path: the file.
        mode: its permission bits.
        durable: whether the bytes are on disk before the name changes, so that a power cut leaves the old or the new.

    Raises:
        OutputError: the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, is_named = _open_scratch(temporary)
    except OSError as error:
        raise output_error(path, error) from None
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if durable:
                os.fsync(stream.fileno())
            if not is_named:
                number = stream.fileno()
                # With a descriptor for the directory, though it does not count, Python makes this linkat(2).
                os.link(f"/proc/self/fd/{number}", temporary, src_dir_fd=number, follow_symlinks=True)
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)
        raise output_error(path, error) from None
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    with suppress(OSError):  # it was never there, or its name is longer than names may be
        path.unlink()


def _open_scratch(path: Path) -> tuple[int, bool]:
    """Open a new file in the directory of `path`; tell whether it has that name already. Source: open(2), O_TMPFILE."""
    if os.path.exists("/proc/self/fd"):  # noqa: PTH110  # a third of the time
        with suppress(OSError):  # file systems and kernels that cannot do it answer in several ways
            return os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), False
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), True


def write_file(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Write a whole file at once.

    Raises:
        OutputError: the place cannot be written.
    """
    with replace_file(path, mode) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


def read_own_file(path: Path) -> bytes:
    """Return what a file has that melpy keeps for itself; nothing where it is not there, or others may write it."""
    try:
        with path.open("rb") as stream:
            info = os.fstat(stream.fileno())
            is_own = info.st_uid == os.geteuid() and not info.st_mode & _WRITABLE_BY_OTHERS
            return stream.read() if is_own else b""
    except OSError:
        return b""


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of `replace_file`; nobody may be writing the file meanwhile."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")
    for name in os.listdir(path.parent):  # noqa: PTH208  # a third of the time where there are thousands
        found = path.with_name(name) if name[0] == "." and leftover.fullmatch(name) else None
        if found and found.is_file() and not found.is_symlink():
            found.unlink(missing_ok=True)


@contextmanager
def scratch_directory(parent: Path, prefix: str = ".new-") -> Iterator[Path]:
    """Make a directory that is gone at the end, unless the block renamed it; remove those that killed processes left.

    Whoever works in one holds a lock on it, by which it is told from what was left.

    Args:
        parent: where it is made; there must be no directories of this prefix that were made in another way.
        prefix: what its name begins with.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep_scratch(parent, prefix)
        directory, descriptor = _make_scratch(parent, prefix)
    except OSError as error:
        raise output_error(parent, error) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(descriptor)


def _make_scratch(parent: Path, prefix: str) -> tuple[Path, int]:
    """Make a directory and lock it; another process may take it for one that was left before it is locked."""
    while True:
        directory = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if directory.is_dir():
            return directory, descriptor
        os.close(descriptor)


def _sweep_scratch(parent: Path, prefix: str) -> None:
    for name in os.listdir(parent):  # noqa: PTH208  # a third of the time where there are thousands
        if name.startswith(prefix):
            remove_scratch(parent / name)


def remove_scratch(directory: Path) -> bool:
    """Remove one's own directory as far as possible, unless somebody holds a lock on it; tell whether it was tried."""
    with suppress(OSError):  # another process was quicker, or works in it; or it is no directory
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
                return True
        finally:
            os.close(descriptor)
    return False


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
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise output_error(directory, error) from None


WRITE_HINTS = {
    errno.ENOSPC: "free space there; of the cache's disk, melpy clean and melpy store prune free what builds left",
    errno.EDQUOT: "free space there, or ask for a larger quota",
    errno.EROFS: "it is mounted read-only; choose another place",
    errno.EISDIR: "a directory is in the way; move it away",
    errno.ENOTDIR: "a file is in the way; choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EFBIG: "allow larger files (ulimit -f), or choose another place",
}
"""What to do about errors of the system, by their number."""


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error that says why `path` cannot be written."""
    return OutputError(f"cannot write: {reason_of(error)}", where=str(path), hint=write_hint(error))


def write_hint(error: OSError) -> str:
    """Return what to do about a path that cannot be written."""
    return WRITE_HINTS.get(error.errno or 0, "choose another place, or change its owner or mode")


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
