"""Unpacking archives of any kind into a directory, and never outside of it.

libarchive reads them; melpy writes the files itself, component by component, so that no name and no symlink of an
archive can lead elsewhere. Owners are not taken over, times are. What comes out depends on the archive alone, and is
no more than a limit allows, however little space it took before.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import libarchive.exception
from libarchive import ffi
from libarchive.read import ArchiveRead

from melpy.bound import BoundError, clamp_time, parse_size
from melpy.errors import ExtractError, SettingsError, reason_of
from melpy.inside import create_file, open_below, open_root, remove_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SPECIAL = 0o7000
_BLOCK = 1 << 16
_BYTES_PER_ENTRY = 16_000  # a third of what files of sources have on average
_FEWEST_ENTRIES = 10_000
_FORMATS = ("tar", "zip", "7zip", "cpio", "ar", "empty")
_FILTERS = ("gzip", "bzip2", "xz", "zstd", "lzma", "lzip", "lz4", "compress", "rpm")
"""What libarchive does by itself. For others it would run programs of this machine, outside of the sandbox (lrzip,
lzop, grzip), or look for files of this machine that an archive names (mtree). Source: archive_read_filter(3)."""
_NO_ARCHIVE = "a file that is no tar, zip, 7z, cpio, ar, deb or rpm is fetched with `extract: false`"


@dataclass(frozen=True)
class Limit:
    """How much an archive may become.

    Attributes:
        size: bytes of all files.
        entries: files, directories and links.
    """

    size: int = 64 * 10**9
    entries: int = 4_000_000


def parse_limit(text: str) -> Limit:
    """Return the limit that a setting names: a size such as `64GB`, and an entry for each 16 kB of it.

    Raises:
        SettingsError: it is no size.
    """
    try:
        size = parse_size(text)
    except BoundError as error:
        hint = "write a number and kB, MB, GB or TB, such as 64GB"
        raise SettingsError(str(error), where="unpack-limit", hint=hint) from None
    return Limit(size, max(size // _BYTES_PER_ENTRY, _FEWEST_ENTRIES))


UNPACK_LIMIT = Limit()
"""More than any source in the open has; a file of 10 MB can be made to become more than that."""


def unpack_archive(
    archive: Path, directory: Path, *, below: Sequence[str] = (), strip: int = 0, limit: Limit = UNPACK_LIMIT
) -> None:
    """Unpack an archive into a directory that is there.

    setuid, setgid and sticky bits are dropped; devices, pipes and sockets are left out.

    Args:
        archive: tar, zip, 7z, cpio, ar (a deb, too) or rpm, compressed with gzip, bzip2, xz, zstd, lzma, lzip, lz4 or
            compress.
        directory: a directory of melpy's own.
        below: components of a directory below it, where the files go; symlinks among them are not followed.
        strip: leading path components that are removed; what has no more is left out.
        limit: how much it may become.

    Raises:
        ExtractError: it is no archive, is damaged, becomes too much, or wants to write outside of the directory.
    """
    try:
        stream = archive.open("rb")
    except OSError as error:
        raise ExtractError(f"cannot be read: {reason_of(error)}", where=archive.name) from None
    with stream:
        unpack_stream(stream, directory, where=archive.name, below=below, strip=strip, limit=limit)


def unpack_stream(
    stream: IO[bytes],
    directory: Path,
    *,
    where: str,
    below: Sequence[str] = (),
    strip: int = 0,
    limit: Limit = UNPACK_LIMIT,
) -> None:
    """Unpack what stands in a file from its current position on; see `unpack_archive`."""
    try:
        # libarchive reads the descriptor, which Python's buffer may be ahead of.
        os.lseek(stream.fileno(), stream.tell(), os.SEEK_SET)
        with open_root(directory) as root, open_below(root, below) as place:
            tree, meter = _Tree(place), _Meter(limit)
            with _open_reader(stream.fileno()) as members:
                for member in members:
                    meter.count_entry()
                    _unpack_member(tree, member, strip, meter)
            tree.finish()
    except libarchive.exception.ArchiveError as error:
        text = str(error.msg or error).lower()
        hint = _NO_ARCHIVE if "unrecognized" in text else None
        raise ExtractError(f"cannot be unpacked: {text}", where=where, hint=hint) from None
    except _TooMuchError as error:
        hint = "if it is to be trusted, allow more with unpack-limit in melpy.toml or --unpack-limit"
        raise ExtractError(str(error), where=where, hint=hint) from None
    except ExtractError as error:
        raise ExtractError(
            f"wants to write outside of its directory: {error.message}", where=where, hint="do not trust this archive"
        ) from None
    except OSError as error:
        raise ExtractError(f"cannot be unpacked: {reason_of(error)}", where=where) from None


@contextmanager
def _open_reader(descriptor: int) -> Iterator[ArchiveRead]:
    """Read the members of an archive; libarchive's own Python binding would let it read whatever it can."""
    reader = ffi.read_new()
    try:
        for name in _FILTERS:
            ffi.get_read_filter_function(name)(reader)
        for name in _FORMATS:
            ffi.get_read_format_function(name)(reader)
        ffi.read_open_fd(reader, descriptor, _BLOCK)
        yield ArchiveRead(reader)
    finally:
        ffi.read_free(reader)


class _TooMuchError(Exception):
    """An archive becomes more than it may."""


@dataclass
class _Meter:
    """Counts what comes out of an archive."""

    limit: Limit
    size: int = 0
    entries: int = 0

    def count_entry(self) -> None:
        self.entries += 1
        if self.entries > self.limit.entries:
            raise _TooMuchError(f"has more than the {self.limit.entries} entries that it may have")

    def count_bytes(self, number: int) -> None:
        self.size += number
        if self.size > self.limit.size:
            raise _TooMuchError(f"becomes more than the {self.limit.size} bytes that it may become")


class _Tree:
    """A directory that is written below, following no symlink."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._known: set[tuple[str, ...]] = {()}
        self._directories: dict[tuple[str, ...], tuple[int, float]] = {}

    @contextmanager
    def parent(self, parts: tuple[str, ...], mtime: float) -> Iterator[int]:
        """Open the directory that holds the last part, making directories that are missing, with this time."""
        self._make(parts[:-1], mtime)
        with open_below(self._root, parts[:-1]) as descriptor:
            yield descriptor

    def directory(self, parts: tuple[str, ...], mode: int, mtime: float) -> None:
        """Make a directory now, and give it its mode and time at the end."""
        self._make(parts, mtime)
        with open_below(self._root, parts):
            self._directories[parts] = mode, mtime

    def _make(self, parts: tuple[str, ...], mtime: float) -> None:
        for depth in range(1, len(parts) + 1):
            path = parts[:depth]
            if path in self._known:
                continue
            with open_below(self._root, path[:-1]) as parent, suppress(FileExistsError):
                os.mkdir(path[-1], 0o755, dir_fd=parent)
                self._directories[path] = 0o755, mtime
            self._known.add(path)

    def finish(self) -> None:
        """Give directories their modes and times, which writing into them would have changed or forbidden."""
        for parts, (mode, mtime) in self._directories.items():
            with open_below(self._root, parts) as descriptor:
                os.fchmod(descriptor, mode | stat.S_IRWXU)
                os.utime(descriptor, (mtime, mtime))


def _parts(path: str | bytes, strip: int) -> tuple[str, ...]:
    # Names that are not UTF-8 come as bytes.
    parts = [part for part in PurePosixPath(os.fsdecode(path)).parts if part not in {"/", "//", "."}]
    if ".." in parts:
        raise ExtractError(repr(path))
    return tuple(parts[strip:])


def _unpack_member(tree: _Tree, member: Any, strip: int, meter: _Meter) -> None:  # libarchive is untyped
    parts = _parts(member.pathname, strip)
    if not parts:
        return
    mode, mtime = stat.S_IMODE(member.mode) & ~_SPECIAL, clamp_time(member.mtime or 0)
    if member.isdir:
        tree.directory(parts, mode, mtime)
        return
    with tree.parent(parts, mtime) as parent:
        name = parts[-1]
        # The hard link test comes first: libarchive gives links the type of what they point to.
        if member.islnk:
            _link(tree, member, parent, name, _parts(member.linkpath, strip))
        elif member.issym:
            remove_entry(parent, name)
            os.symlink(member.linkpath, name, dir_fd=parent)
        elif member.isreg:
            with create_file(parent, name) as stream:
                for block in member.get_blocks(_BLOCK):
                    meter.count_bytes(len(block))
                    stream.write(block)
                os.fchmod(stream.fileno(), mode)
        else:
            return  # devices and pipes: an ordinary user cannot make them, and no source needs them
        os.utime(name, (mtime, mtime), dir_fd=parent, follow_symlinks=False)


def _link(tree: _Tree, member: Any, parent: int, name: str, target: tuple[str, ...]) -> None:
    if not target:
        raise ExtractError(f"{member.linkpath!r}, which {member.pathname!r} links to, is not unpacked")
    with tree.parent(target, clamp_time(member.mtime or 0)) as source:
        if target[-1] != name or os.fstat(source).st_ino != os.fstat(parent).st_ino:
            remove_entry(parent, name)
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
