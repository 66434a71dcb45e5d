"""Reaching into directories that others have filled, and never out of them.

Build steps and archives leave what they like: a symlink where a directory is expected must not lead melpy, which is
outside of the sandbox, anywhere else. Every component is opened by itself, and no symlink is followed.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from melpy.bound import BoundError, check_path, regular_stream, shorten
from melpy.errors import ExtractError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

RESERVED = PurePosixPath("/run/melpy")
"""Directory of a build root where melpy's own files are mounted; no package may have anything in it."""

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened whose name a stranger chose."""


@contextmanager
def open_root(directory: Path) -> Iterator[int]:
    """Open a directory of melpy's own, for the functions below."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_below(root: int, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """Open a directory below an open one, one component after the other.

    Args:
        root: descriptor of the directory to start from.
        parts: names of the components, none of them `..`.
        make: make directories that are missing, with mode 0755.

    Raises:
        ExtractError: a component is no directory: a file, or a symlink, which is not followed.
        OSError: it is missing, or cannot be opened.
    """
    current = os.dup(root)
    try:
        for part in parts:
            following = _open_directory(current, part, make=make)
            current, done = following, current  # before it is closed: an interrupt in between closed it again
            os.close(done)
        yield current
    finally:
        os.close(current)


def _open_directory(parent: int, name: str, *, make: bool) -> int:
    assert name not in {"", ".", ".."}, name
    try:
        return os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(name, dir_fd=parent)
        descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        os.fchmod(descriptor, 0o755)  # whatever the umask
        return descriptor
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise ExtractError(f"{name!r} is not a directory", hint="symlinks are not followed here") from None
        raise


def make_directory(root: Path, path: str) -> None:
    """Make a directory below another, and those between them.

    Raises:
        ExtractError: something that is no directory is in the way.
    """
    with open_root(root) as descriptor, open_below(descriptor, path.split("/"), make=True):
        pass


def is_real_directory(root: Path, path: str) -> bool:
    """Tell whether a path below a directory is a directory, reached through directories only."""
    try:
        with open_root(root) as descriptor, open_below(descriptor, path.split("/")):
            return True
    except (OSError, ExtractError):
        return False


def read_regular(root: Path, path: str, limit: int) -> bytes | None:
    """Return the content of a regular file below a directory; None when it is not there or anything else.

    Raises:
        ExtractError: it is larger than `limit`.
    """
    *directories, name = path.split("/")
    try:
        with open_root(root) as descriptor, open_below(descriptor, directories) as parent:
            # Not blocking, since it may be a pipe.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=parent), "rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    return None
                data = stream.read(limit + 1)
    except (OSError, ExtractError):
        return None
    if len(data) > limit:
        raise ExtractError(f"is larger than {limit} bytes", where=path)
    return data


def find_below(root: Path, name: str) -> Path:
    """Return the real path of what a stranger's name means below a directory that the user named.

    The name is decoded already. It may go through symlinks, as long as these stay below the directory.

    Args:
        root: the directory.
        name: relative path; a leading slash does not count.

    Raises:
        BoundError: the name is empty or out of bounds, or it or a symlink leads out of the directory.
        OSError: there is no such file.
    """
    parts = check_path(name)
    if not parts:
        raise BoundError("has an empty name")
    top = root.resolve()
    try:
        path = top.joinpath(*parts).resolve(strict=True)
    except RuntimeError:  # symlinks that lead round in a circle
        raise BoundError(f"leads through symlinks that never end: {shorten(name)}") from None
    if path != top and top not in path.parents:
        raise BoundError(f"leads out of {root}: {shorten(name)}")
    return path


def open_file_below(root: Path, name: str) -> IO[bytes]:
    """Open a regular file that `find_below` finds; a pipe or device is refused, and never waited for.

    Raises:
        BoundError: as `find_below` says.
        OSError: it is not there, is no regular file, or may not be read.
    """
    path = find_below(root, name)
    top = root.resolve()
    # Once more component by component: what was found may have been exchanged since.
    with open_root(top) as descriptor, open_below(descriptor, path.parent.relative_to(top).parts) as parent:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return regular_stream(lambda: os.open(path.name, flags, dir_fd=parent), str(path))


def move_tree(source: Path, root: Path, parts: Sequence[str]) -> None:
    """Move what is in a directory of melpy's own into one below another, over what is there.

    Both are on one file system. Directories that are on both sides become one; files and symlinks are replaced.

    Args:
        source: what is moved; nobody else writes there.
        root: a directory of melpy's own, filled by others.
        parts: components of the directory below it, made when it is missing.

    Raises:
        ExtractError: a directory would have to take the place of a file or symlink, or a file that of a directory.
    """
    try:
        with open_root(source) as origin, open_root(root) as base, open_below(base, parts, make=True) as target:
            _move_entries(origin, target)
    except OSError as error:
        raise ExtractError(f"cannot be moved: {reason_of(error)}", where="/".join(parts)) from None
    except RecursionError:
        raise ExtractError("nests too deep to be moved", where="/".join(parts)) from None


def _move_entries(source: int, target: int) -> None:
    for name in sorted(os.listdir(source)):
        try:
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                if error.errno in {errno.ENOTDIR, errno.EISDIR}:
                    raise ExtractError(f"{name!r} is in the way", hint="a file is where a directory goes") from None
                raise
            with open_below(source, [name]) as inner, open_below(target, [name]) as outer:
                info = os.fstat(inner)
                _move_entries(inner, outer)
                os.utime(outer, ns=(info.st_atime_ns, info.st_mtime_ns))


def create_file(parent: int, name: str | bytes) -> IO[bytes]:
    """Open a new file in an open directory, in place of whatever has its name; it is private until chmodded."""
    remove_entry(parent, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb")


def remove_entry(parent: int, name: str | bytes) -> None:
    """Remove a file of an open directory, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)
