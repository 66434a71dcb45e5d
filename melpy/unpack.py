"""Unpacking archives of any kind into a directory, as GNU tar and unzip do, and never outside of it.

What comes out depends on the archive alone, and is no more than a limit allows, however little space it took before.
Names are bytes, and modes are the archive's: setuid, setgid and sticky bits of a tar as well, as for root's tar, which
is what unpacks sources in the sandbox of other tools. Owners are not taken over.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from melpy.archive.model import ArchiveMember, MemberKind, show_path
from melpy.archive.tree import OutsideError, TreeWriter
from melpy.bound import LONGEST_PATH
from melpy.codec import Noun
from melpy.errors import ExtractError, reason_of
from melpy.inside import open_below, open_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BYTES_PER_ENTRY = 16_000  # a third of what files of sources have on average
_FEWEST_ENTRIES = 10_000
_NAMED = 3  # members that a message names


class Limit(Noun, frozen=True):
    """How much an archive may become.

    Attributes:
        size: bytes of all files.
        entries: files, directories and links.
    """

    size: int = 64 * 10**9
    entries: int = 4_000_000


def make_limit(size: int) -> Limit:
    """Return the limit of a number of bytes; it has an entry for each 16 kB of them."""
    return Limit(size, max(size // _BYTES_PER_ENTRY, _FEWEST_ENTRIES))


UNPACK_LIMIT = Limit()
"""More than any source in the open has; a file of 10 MB can be made to become more than that."""


def unpack_archive(
    archive: Path, directory: Path, *, below: Sequence[str] = (), strip: int = 0, limit: Limit = UNPACK_LIMIT
) -> tuple[str, ...]:
    """Unpack an archive into a directory that is there, and return what differs from the archive, a sentence each.

    Devices, pipes and sockets are left out; of members with one path the last stays.

    Args:
        archive: tar, zip, 7z, cpio, ar (a deb, too) or rpm, compressed with gzip, bzip2, xz, zstd, lzma, lzip, lz4 or
            compress; a zip is not.
        directory: a directory of melpy's own. It keeps its mode and time.
        below: components of a directory below it, where the files go; symlinks among them are not followed.
        strip: leading path components that are removed, as GNU tar counts them; what has no more is left out.
        limit: how much it may become.

    Raises:
        ExtractError: it is no archive, is damaged, becomes too much, or wants to write outside of the directory.
    """
    try:
        stream = archive.open("rb")
    except OSError as error:
        raise ExtractError(f"cannot be read: {reason_of(error)}", where=archive.name) from None
    with stream:
        return unpack_stream(stream, directory, where=archive.name, below=below, strip=strip, limit=limit)


def unpack_stream(
    stream: IO[bytes],
    directory: Path,
    *,
    where: str,
    below: Sequence[str] = (),
    strip: int = 0,
    limit: Limit = UNPACK_LIMIT,
) -> tuple[str, ...]:
    """Unpack what stands in a file from its current position on; see `unpack_archive`."""
    try:
        with open_root(directory) as root, open_below(root, below) as place:
            meter = _Meter(limit)
            # libarchive and zipfile take 9 ms, and most builds unpack nothing.
            from melpy.archive.reader import load_members  # noqa: PLC0415

            with closing(TreeWriter(place, meter.count_entry)) as tree, closing(load_members(stream)) as members:
                unpacking = _Unpacking(tree, strip, meter)
                for member in members:
                    meter.count_entry()
                    unpacking.add(member)
                tree.finish()
            return unpacking.describe()
    except _TooMuchError as error:
        hint = "if it is to be trusted, allow more with unpack-limit in melpy.toml or --unpack-limit"
        raise ExtractError(str(error), where=where, hint=hint) from None
    except OutsideError as error:
        message = f"wants to write outside of its directory: {error}"
        raise ExtractError(message, where=where, hint="do not trust this archive") from None
    except ExtractError as error:
        raise ExtractError(f"cannot be unpacked: {error.message}", where=where, hint=error.hint) from None
    except OSError as error:
        raise ExtractError(f"cannot be unpacked: {reason_of(error)}", where=where) from None


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


@dataclass
class _Unpacking:
    """Writes members of an archive, and remembers what the user may not expect."""

    tree: TreeWriter
    strip: int
    meter: _Meter
    left_out: list[bytes] = field(default_factory=list)
    stripped: list[bytes] = field(default_factory=list)
    written: int = 0

    def add(self, member: ArchiveMember) -> None:
        """Write one member.

        Raises:
            ExtractError: it cannot be written, or not here.
        """
        parts = _split(member.path, self.strip)
        if not parts or member.kind is MemberKind.OTHER:
            # A device that is stripped away would have been left out anyway.
            if member.kind is MemberKind.OTHER:
                self.left_out.append(member.path)
            elif parts is None and member.kind is not MemberKind.DIRECTORY:
                self.stripped.append(member.path)
            elif member.kind is not MemberKind.DIRECTORY:
                raise ExtractError(f"{member.name} is no name of a {member.kind.value}")
            self.meter.count_bytes(member.size)  # which is read all the same
            return
        try:
            self._write(member, parts)
        except OSError as error:
            raise ExtractError(f"{member.name}: {reason_of(error)}") from None
        self.written += 1

    def _write(self, member: ArchiveMember, parts: list[bytes]) -> None:
        if member.kind is MemberKind.DIRECTORY:
            self.tree.write_directory(parts, member.mode, member.mtime)
        elif member.kind is MemberKind.SYMLINK:
            if not member.target or b"\0" in member.target or len(member.target) > LONGEST_PATH:
                raise ExtractError(f"{member.name} is a symlink to {show_path(member.target)}, which is no path")
            self.tree.write_symlink(parts, member.target, member.mtime)
        elif member.kind is MemberKind.FILE:
            with self.tree.create_file(parts, member.mtime) as stream:
                self._fill(member, stream)
        else:
            target = _split(member.target, self.strip)
            if not target:
                raise ExtractError(f"{member.name} links to {show_path(member.target)}, which is not unpacked")
            self.tree.write_hard_link(parts, target, member.mtime)
            if member.size:  # cpio has the content at the last of the names
                with self.tree.rewrite_file(parts) as stream:
                    self._fill(member, stream)

    def _fill(self, member: ArchiveMember, stream: IO[bytes]) -> None:
        for block in member.blocks():
            self.meter.count_bytes(len(block))
            stream.write(block)
        stream.flush()
        os.fchmod(stream.fileno(), member.mode)
        os.utime(stream.fileno(), ns=(member.mtime, member.mtime))

    def describe(self) -> tuple[str, ...]:
        """Return what differs from the archive."""
        lines = []
        if self.left_out:
            lines.append(f"devices, pipes and sockets are left out: {_list(self.left_out)}")
        if self.tree.replaced:
            again = "has two members" if len(self.tree.replaced) == 1 else "have two or more members"
            lines.append(f"{_list([*self.tree.replaced])} {again}, of which the last one is unpacked")
        if self.stripped and self.written:
            lines.append(f"strip-components {self.strip} leaves no name of {_list(self.stripped)}")
        elif self.stripped:
            lines.append(f"nothing is unpacked: strip-components {self.strip} leaves no name of {_list(self.stripped)}")
        elif not self.written and not self.left_out:
            lines.append("nothing is unpacked: it has no files")
        return tuple(lines)


def _split(path: bytes, strip: int) -> list[bytes] | None:
    """Return the components of a member's path without the leading ones; None when no name is left of it.

    Slashes in front do not count, `.` does, as for GNU tar.

    Raises:
        ExtractError: it leads up, or is too long.
    """
    _check_path(path)
    rest = path.strip(b"/")
    for _ in range(strip):
        _, slash, rest = rest.partition(b"/")
        if not slash:
            return None
        rest = rest.lstrip(b"/")
    if len(rest) > LONGEST_PATH:
        raise ExtractError(f"a path of {len(rest)} bytes is longer than {LONGEST_PATH}: {show_path(path)}")
    return [part for part in rest.split(b"/") if part not in {b"", b"."}]


def _check_path(path: bytes) -> None:
    if b"\0" in path:
        raise ExtractError(f"{show_path(path)} is no path: there is a NUL in it")
    if b".." not in path:
        return
    depth = 0
    parts = path.split(b"/")
    for part in parts:
        depth += -1 if part == b".." else part not in {b"", b"."}
        if depth < 0:
            raise OutsideError(show_path(path))
    if b".." in parts:
        raise ExtractError(f"{show_path(path)} has '..' in it, which tar does not unpack either")


def _list(paths: Sequence[bytes]) -> str:
    names = ", ".join(show_path(path) for path in paths[:_NAMED])
    return names if len(paths) <= _NAMED else f"{names} and {len(paths) - _NAMED} more"
