"""Unpacking archives of any kind into a directory, and never outside of it.

libarchive reads them; melpy writes the files itself, component by component, so that no name and no symlink of an
archive can lead elsewhere. Owners are not taken over, times are.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import libarchive
import libarchive.exception

from melpy.errors import ExtractError, reason_of
from melpy.inside import create_file, open_below, open_root, remove_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SPECIAL = 0o7000


def unpack_archive(archive: Path, directory: Path, *, below: Sequence[str] = (), strip: int = 0) -> None:
    """Unpack an archive into a directory that is there.

    setuid, setgid and sticky bits are dropped; devices, pipes and sockets are left out.

    Args:
        archive: tar, zip, cpio, 7z, ... compressed in any way that libarchive knows.
        directory: a directory of melpy's own.
        below: components of a directory below it, where the files go; symlinks among them are not followed.
        strip: leading path components that are removed; what has no more is left out.

    Raises:
        ExtractError: it is no archive, is damaged, or wants to write outside of the directory.
    """
    try:
        stream = archive.open("rb")
    except OSError as error:
        raise ExtractError(f"cannot be read: {reason_of(error)}", where=archive.name) from None
    with stream:
        unpack_stream(stream, directory, where=archive.name, below=below, strip=strip)


def unpack_stream(stream: IO[bytes], directory: Path, *, where: str, below: Sequence[str] = (), strip: int = 0) -> None:
    """Unpack what stands in a file from its current position on; see `unpack_archive`."""
    try:
        # libarchive reads the descriptor, which Python's buffer may be ahead of.
        os.lseek(stream.fileno(), stream.tell(), os.SEEK_SET)
        with open_root(directory) as root, open_below(root, below) as place:
            tree = _Tree(place)
            with libarchive.fd_reader(stream.fileno()) as members:
                for member in members:
                    _unpack_member(tree, member, strip)
            tree.finish()
    except libarchive.exception.ArchiveError as error:
        raise ExtractError(f"cannot be unpacked: {str(error.msg or error).lower()}", where=where) from None
    except ExtractError as error:
        raise ExtractError(
            f"wants to write outside of its directory: {error.message}", where=where, hint="do not trust this archive"
        ) from None
    except OSError as error:
        raise ExtractError(f"cannot be unpacked: {reason_of(error)}", where=where) from None


class _Tree:
    """A directory that is written below, following no symlink."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._directories: list[tuple[tuple[str, ...], int, float]] = []

    @contextmanager
    def parent(self, parts: tuple[str, ...]) -> Iterator[int]:
        """Open the directory that holds the last part, making directories that are missing."""
        with open_below(self._root, parts[:-1], make=True) as descriptor:
            yield descriptor

    def directory(self, parts: tuple[str, ...], mode: int, mtime: float) -> None:
        """Make a directory now, and give it its mode and time at the end."""
        with open_below(self._root, parts, make=True):
            self._directories.append((parts, mode, mtime))

    def finish(self) -> None:
        """Give directories their modes and times, which writing into them would have changed or forbidden."""
        for parts, mode, mtime in reversed(self._directories):
            with open_below(self._root, parts) as descriptor:
                os.fchmod(descriptor, mode | stat.S_IRWXU)
                os.utime(descriptor, (mtime, mtime))


def _parts(path: str | bytes, strip: int) -> tuple[str, ...]:
    # Names that are not UTF-8 come as bytes.
    parts = [part for part in PurePosixPath(os.fsdecode(path)).parts if part not in {"/", "//", "."}]
    if ".." in parts:
        raise ExtractError(repr(path))
    return tuple(parts[strip:])


def _unpack_member(tree: _Tree, member: Any, strip: int) -> None:  # libarchive is untyped
    parts = _parts(member.pathname, strip)
    if not parts:
        return
    mode, mtime = stat.S_IMODE(member.mode) & ~_SPECIAL, float(member.mtime or 0)
    if member.isdir:
        tree.directory(parts, mode, mtime)
        return
    with tree.parent(parts) as parent:
        name = parts[-1]
        # The hard link test comes first: libarchive gives links the type of what they point to.
        if member.islnk:
            _link(tree, member, parent, name, strip)
        elif member.issym:
            remove_entry(parent, name)
            os.symlink(member.linkpath, name, dir_fd=parent)
        elif member.isreg:
            with create_file(parent, name) as stream:
                for block in member.get_blocks():
                    stream.write(block)
                os.fchmod(stream.fileno(), mode)
        else:
            return  # devices and pipes: an ordinary user cannot make them, and no source needs them
        os.utime(name, (mtime, mtime), dir_fd=parent, follow_symlinks=False)


def _link(tree: _Tree, member: Any, parent: int, name: str, strip: int) -> None:
    target = _parts(member.linkpath, strip)
    if not target:
        raise ExtractError(f"{member.linkpath!r}, which {member.pathname!r} links to, is not unpacked")
    with tree.parent(target) as source:
        if target[-1] != name or os.fstat(source).st_ino != os.fstat(parent).st_ino:
            remove_entry(parent, name)
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
