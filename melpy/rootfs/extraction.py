"""A package becomes a store entry: its files on disk, and beside them what assembling an environment needs.

Files are written component by component, so that no name and no symlink of a package leads elsewhere. What apk
leaves out is left out: names with control characters, and all that begins with a dot at the top. So are
devices and pipes, which an ordinary user cannot make.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
import tarfile
from typing import IO, TYPE_CHECKING, Self

from melpy.apk.segment import make_entry
from melpy.bound import LONGEST_PATH, BoundError, check_path, shorten
from melpy.errors import ExtractError, PackageFormatError, reason_of
from melpy.files import WRITE_HINTS
from melpy.inside import RESERVED, create_file, open_below, open_root, remove_entry
from melpy.rootfs.database import render_installed, render_scripts
from melpy.rootfs.library import find_library, is_library_name
from melpy.rootfs.manifest import render_manifest
from melpy.rootfs.member import DataReader
from melpy.rootfs.model import FILES, MANIFEST, SCRIPTS, Entry, Library
from melpy.unpack import UNPACK_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from melpy.apk.segment import Segments
    from melpy.apk.tar import TarMember

_SLACK = 64 << 20  # bytes that a package may unpack to beyond twice what it says
_RESERVED = RESERVED.parts[1:]
_HEADERS = 100  # bytes of headers for each of its own: one of 1,536 bytes takes at least 20, its checksum alone
_FEWEST_ENTRIES = 10_000
_BYTES_PER_ENTRY = 8  # of the package; a name and a checksum do not take less
_LONGEST_NAMES = 64 << 20  # bytes of all paths, which are held; the largest packages have a quarter of that
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def extract_package(stream: IO[bytes], segments: Segments, directory: Path, *, where: str) -> None:
    """Fill an empty directory with what a package is.

    Args:
        stream: the package, whose data was checked.
        segments: what stands before its data.
        directory: an empty directory of melpy's own.
        where: the package, for messages.

    Raises:
        ExtractError: it is damaged, unpacks to more than it says, or wants to write outside of its directory.
        PackageFormatError: a file is not what its checksum says.
    """
    package = make_entry(segments, os.fstat(stream.fileno()).st_size, where=where)
    root = directory / FILES
    try:
        root.mkdir()
        stream.seek(segments.data_offset)
        stated = min(2 * package.info.installed_size, UNPACK_LIMIT.size)
        reader = DataReader(stream, stated + _SLACK, _SLACK + _HEADERS * package.size)
        entries = _unpack(reader, root, max(_FEWEST_ENTRIES, package.size // _BYTES_PER_ENTRY))
        manifest = render_manifest(package, entries, _find_libraries(root, entries), render_installed(package))
        (directory / MANIFEST).write_bytes(manifest)
        if scripts := render_scripts(package, segments.files):
            (directory / SCRIPTS).write_bytes(scripts)
    except ExtractError as error:
        raise ExtractError(error.message, where=where, hint=error.hint) from None
    except PackageFormatError as error:
        raise PackageFormatError(f"{error.where}: {error.message}", where=where) from None
    except OSError as error:
        hint = WRITE_HINTS.get(error.errno or 0)
        message = f"cannot be unpacked into {directory.parent}: {reason_of(error)}"
        raise ExtractError(message, where=where, hint=hint) from None


def _unpack(reader: DataReader, root: Path, most: int) -> list[Entry]:
    with _Writer(root, most) as writer:
        for member in _installable(reader):
            writer.add(member, reader)
        writer.finish()
    return list(writer.entries.values())


def _installable(reader: DataReader) -> Iterator[TarMember]:
    for member in reader.members():
        name = member.path.removeprefix("./")
        is_hidden = name.startswith(".") and not name.startswith("../")  # which is refused
        if not is_hidden and not _CONTROL.search(name):
            yield member


def _split(path: str) -> tuple[str, ...]:
    if ".." in path.split("/"):
        hint = "do not trust this package"
        raise ExtractError(f"wants to write outside of its directory: {shorten(path)}", hint=hint)
    try:
        parts = check_path(path)
    except BoundError as error:
        raise ExtractError(str(error), hint="do not trust this package") from None
    if parts[: len(_RESERVED)] == _RESERVED:
        hint = f"{RESERVED} is melpy's own in a build root; do not trust this package"
        raise ExtractError(f"has {shorten(path)}", hint=hint)
    return parts


def _find_libraries(root: Path, entries: list[Entry]) -> Iterator[Library]:
    """Yield the shared libraries, and the symlinks that look like one; those have no flags."""
    for entry in sorted(entries):
        if entry.kind == "d" or not is_library_name(entry.path.rpartition("/")[2]):
            continue
        library = Library(entry.path, "", 0) if entry.kind == "l" else find_library(root, entry.path)
        if library:
            yield library


class _Writer:
    """Writes files below a directory and remembers what it wrote.

    The directory of the last file stays open, since archives have the files of a directory one after the other.

    Args:
        root: the directory.
        most: entries that it may get, directories that no entry names included.
    """

    def __init__(self, root: Path, most: int) -> None:
        self.entries: dict[str, Entry] = {}
        self._most = most
        self._names = 0
        self._root_context = open_root(root)
        self._times: dict[str, float] = {}
        self._open: tuple[tuple[str, ...], int] | None = None

    def __enter__(self) -> Self:
        self._root = self._root_context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            os.close(self._open[1])
        self._root_context.__exit__(kind, error, trace)

    def add(self, member: TarMember, reader: DataReader) -> None:
        """Write an entry of the archive."""
        parts = _split(member.path)
        if not parts:
            return
        path = "/".join(parts)
        if member.type == tarfile.DIRTYPE:
            self._directory(parts)
            self._note(member, path, "d")
            self._times[path] = member.mtime
            return
        parent, name = self._directory(parts[:-1]), parts[-1]
        if path in self.entries and self.entries[path].kind == "d":
            raise ExtractError(f"has {path!r} as a directory and as a file")
        if member.type == tarfile.LNKTYPE:
            self._link(member, parent, path)
        elif member.type == tarfile.SYMTYPE:
            self._symlink(member, parent, path)
        elif member.type in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            self._file(member, reader, parent, path)
        elif member.type not in {tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}:
            raise ExtractError(f"has {path!r} in a form that is not known")
        if path in self.entries and member.type != tarfile.LNKTYPE:
            os.utime(name, (member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)

    def _file(self, member: TarMember, reader: DataReader, parent: int, path: str) -> None:
        digest = hashlib.sha1()
        with create_file(parent, path.rpartition("/")[2]) as stream:
            for piece in reader.content(member):
                digest.update(piece)
                stream.write(piece)
            stream.flush()
            # melpy itself reads every file. setuid is kept: the store is closed to other users.
            os.fchmod(stream.fileno(), member.mode | stat.S_IRUSR)
        if member.checksum and member.checksum.lower() != digest.hexdigest():
            raise PackageFormatError("is not what its checksum says", where=path)
        self._note(member, path, "f", checksum=q1(digest.digest()))

    def _symlink(self, member: TarMember, parent: int, path: str) -> None:
        name, target = path.rpartition("/")[2], member.link
        if not target or "\0" in target:
            raise ExtractError(f"has a symlink {shorten(path)} to nothing")
        if len(os.fsencode(target)) > LONGEST_PATH:
            raise ExtractError(f"has a symlink {shorten(path)} to more than {LONGEST_PATH} bytes")
        remove_entry(parent, name)
        os.symlink(target, name, dir_fd=parent)
        raw = hashlib.sha1(os.fsencode(target)).digest()
        self._note(member, path, "l", target=target, checksum=q1(raw))

    def _link(self, member: TarMember, parent: int, path: str) -> None:
        target = "/".join(_split(member.link))
        known = self.entries.get(target)
        if known is None or known.kind == "d":
            raise ExtractError(f"has {path!r} as another name of {member.link!r}, which is not in it")
        if target != path:
            name = path.rpartition("/")[2]
            remove_entry(parent, name)
            *directories, last = target.split("/")
            with open_below(self._root, directories) as source:
                os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            self._add(known._replace(path=path))

    def _note(self, member: TarMember, path: str, kind: str, *, target: str = "", checksum: str = "") -> None:
        self._add(Entry(path, kind, member.mode, member.uid, member.gid, target, checksum))

    def _add(self, entry: Entry) -> None:
        """Remember an entry, as long as they are not too many to be held."""
        self.entries[entry.path] = entry
        self._names += len(entry.path) + len(entry.target)
        if len(self.entries) > self._most or self._names > _LONGEST_NAMES:
            hint = "do not trust this package"
            raise ExtractError("has more files, or longer names, than a package of its size holds", hint=hint)

    def _directory(self, parts: tuple[str, ...]) -> int:
        """Return a directory, open as long as no other is asked for; those that are missing are made."""
        if not parts:
            return self._root
        if self._open and self._open[0] == parts:
            return self._open[1]
        try:
            with open_below(self._root, parts, make=True) as descriptor:
                kept = os.dup(descriptor)
        except ExtractError as error:
            hint = "do not trust this package"
            raise ExtractError(f"wants to write outside of its directory: {error.message}", hint=hint) from None
        if self._open:
            os.close(self._open[1])
        self._open = (parts, kept)
        for number in range(len(parts), 0, -1):
            path = "/".join(parts[:number])
            if path in self.entries:
                break
            self._add(Entry(path, "d", 0o755))
        return kept

    def finish(self) -> None:
        """Give directories their modes and times, which writing into them would have changed or forbidden."""
        for path, mtime in reversed(self._times.items()):
            with open_below(self._root, path.split("/")) as descriptor:
                os.fchmod(descriptor, self.entries[path].mode | stat.S_IRWXU)
                os.utime(descriptor, (mtime, mtime))


def q1(digest: bytes) -> str:
    """Return a SHA-1 as packages and databases write it."""
    return "Q1" + base64.b64encode(digest).decode()
