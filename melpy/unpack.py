"""Unpacking archives of any kind into a directory, and never outside of it.

libarchive reads them; melpy writes the files itself, component by component, so that no name and no symlink of an
archive can lead elsewhere. Owners are not taken over, times are.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import libarchive
import libarchive.exception

from melpy.errors import ExtractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SPECIAL = 0o7000


def unpack_archive(
    archive: Path,
    directory: Path,
    *,
    strip: int = 0,
    keep_special: bool = False,
    wanted: Callable[[str], bool] | None = None,
) -> None:
    """Unpack an archive into a directory that is there.

    Args:
        archive: tar, zip, cpio, 7z, ... compressed in any way that libarchive knows.
        directory: where the files go.
        strip: leading path components that are removed; what has no more is left out.
        keep_special: keep setuid, setgid and sticky bits.
        wanted: which members are unpacked, by the name that the archive gives them.

    Raises:
        ExtractError: it is no archive, is damaged, or wants to write outside of the directory.
    """
    try:
        with _open_tree(directory) as tree, libarchive.file_reader(str(archive)) as members:
            for member in members:
                if wanted is None or wanted(member.pathname):
                    _unpack_member(tree, member, strip, 0o7777 if keep_special else ~_SPECIAL & 0o7777)
            tree.finish()
    except libarchive.exception.ArchiveError as error:
        raise ExtractError(f"cannot be unpacked: {_reason(error)}", where=archive.name) from None
    except _EscapeError as error:
        raise ExtractError(
            f"wants to write outside of its directory: {error}", where=archive.name, hint="do not trust this archive"
        ) from None
    except OSError as error:
        raise ExtractError(
            f"cannot be unpacked: {(error.strerror or str(error)).lower()}", where=archive.name
        ) from None


def _reason(error: libarchive.exception.ArchiveError) -> str:
    return str(error.msg or error).lower()


class _EscapeError(Exception):
    """A member's path leaves the directory."""


@contextmanager
def _open_tree(directory: Path) -> Iterator[_Tree]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _Tree(descriptor)
    finally:
        os.close(descriptor)


class _Tree:
    """A directory that is written below, following no symlink."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._directories: list[tuple[tuple[str, ...], int, float]] = []

    @contextmanager
    def parent(self, parts: tuple[str, ...]) -> Iterator[int]:
        """Open the directory that holds the last part, making directories that are missing."""
        current = os.dup(self._root)
        try:
            for part in parts[:-1]:
                following = _open_directory(current, part)
                os.close(current)
                current = following
            yield current
        finally:
            os.close(current)

    def directory(self, parts: tuple[str, ...], mode: int, mtime: float) -> None:
        with self.parent(parts) as parent:
            os.close(_open_directory(parent, parts[-1]))
        self._directories.append((parts, mode, mtime))

    def finish(self) -> None:
        """Give directories their modes and times, which writing into them would have changed or forbidden."""
        for parts, mode, mtime in reversed(self._directories):
            with self.parent(parts) as parent:
                os.chmod(parts[-1], mode | stat.S_IRWXU, dir_fd=parent, follow_symlinks=True)
                os.utime(parts[-1], (mtime, mtime), dir_fd=parent, follow_symlinks=False)


def _open_directory(parent: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=parent)
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise _EscapeError(f"{name!r} is not a directory") from None
        raise


def _parts(path: str, strip: int) -> tuple[str, ...]:
    parts = [part for part in PurePosixPath(path).parts if part not in {"/", "."}]
    if ".." in parts:
        raise _EscapeError(repr(path))
    return tuple(parts[strip:])


def _unpack_member(tree: _Tree, member: Any, strip: int, mode_mask: int) -> None:  # libarchive is untyped
    parts = _parts(member.pathname, strip)
    if not parts:
        return
    mode, mtime = stat.S_IMODE(member.mode) & mode_mask, float(member.mtime or 0)
    if member.isdir:
        tree.directory(parts, mode, mtime)
        return
    with tree.parent(parts) as parent:
        name = parts[-1]
        _remove(parent, name)
        # The hard link test comes first: libarchive gives links the type of what they point to.
        if member.islnk:
            target = _parts(member.linkpath, strip)
            if not target:
                raise _EscapeError(f"{member.linkpath!r}, which {member.pathname!r} links to, is not unpacked")
            with tree.parent(target) as source:
                os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        elif member.issym:
            os.symlink(member.linkpath, name, dir_fd=parent)
        elif member.isreg:
            _write_file(parent, name, member)
            os.chmod(name, mode, dir_fd=parent)
        else:
            return  # devices and pipes: an ordinary user cannot make them, and no source needs them
        os.utime(name, (mtime, mtime), dir_fd=parent, follow_symlinks=False)


def _remove(parent: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _write_file(parent: int, name: str, member: Any) -> None:  # libarchive is untyped
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
    with os.fdopen(descriptor, "wb") as stream:
        for block in member.get_blocks():
            stream.write(block)
