"""A Debian package is unpacked as Wolfi would lay its files out: everything below /usr, documentation left out.

Programs are in /usr/bin and libraries in /usr/lib alone; /usr/sbin and /usr/lib64 are links to them, as /bin is one. So
the base layout may also be the one that Wolfi's own recipe makes.

The file is an ar of three members, the last one a compressed tar (deb(5)). No path in it is trusted: a member that
would be written outside the directory is an error. Scripts are not run and not kept. Owners become root's, as they
all are in the packages a build needs; setuid and setgid bits are dropped, because a build root is an ordinary
user's and they would only be something to escape with.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from typing import IO, TYPE_CHECKING

import libarchive

from melpy.apk.tar import TarError, TarReader
from melpy.bound import BoundError, check_path, parse_number
from melpy.codec import Noun
from melpy.errors import ExtractError
from melpy.unpack import UNPACK_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from melpy.apk.tar import TarMember

_MAGIC = b"!<arch>\n"
_HEADER = 60
_BLOCK = 1 << 20
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
_SCRIPTS = ("preinst", "postinst")
_LARGEST_SCRIPT = 1 << 20
_FOLDED = {"usr/sbin": "usr/bin", "usr/lib64": "usr/lib"}


class Filter(Noun, frozen=True):
    """Which files of a package are left out: those listed, and those below directories that are dropped."""

    drop: tuple[str, ...] = ()
    omit: frozenset[str] = frozenset()

    def has(self, path: str) -> bool:
        """Tell whether a file stays."""
        return path not in self.omit and not any(path == item or path.startswith(f"{item}/") for item in self.drop)


def unpack_deb(deb: Path, root: Path, keep: Filter) -> None:
    """Unpack the files of a Debian package into an empty directory.

    Raises:
        ExtractError: it is not such a package, or a path in it leaves the directory.
    """
    try:
        with deb.open("rb") as stream:
            _unpack(_open_member(stream, b"data.tar"), root, keep)
    except (OSError, TarError, libarchive.ArchiveError) as error:
        raise ExtractError(f"cannot be unpacked: {error}", where=str(deb)) from None
    except ExtractError as error:
        raise ExtractError(error.message, where=str(deb)) from None


def read_scripts(deb: Path) -> str:
    """Return the text of the scripts that are run when a Debian package is installed.

    Raises:
        ExtractError: it is not such a package.
    """
    texts = {}
    try:
        with deb.open("rb") as stream:
            control = _open_member(stream, b"control.tar")
            for member in control.members():
                name = posixpath.normpath(member.path)
                if name in _SCRIPTS and 0 < member.size <= _LARGEST_SCRIPT:
                    texts[name] = b"".join(control.content(member)).decode(errors="replace")
    except (OSError, TarError, libarchive.ArchiveError) as error:
        raise ExtractError(f"cannot be unpacked: {error}", where=str(deb)) from None
    except ExtractError as error:
        raise ExtractError(error.message, where=str(deb)) from None
    return "\n".join(texts[name] for name in _SCRIPTS if name in texts)


def _open_member(stream: IO[bytes], wanted: bytes) -> TarReader:
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ExtractError("is not a Debian package")
    while header := stream.read(_HEADER):
        try:
            size = parse_number(header[48:58].decode("ascii").strip())
        except ValueError:
            raise ExtractError("has a broken ar header") from None
        if header.startswith(wanted):
            # libarchive knows every compressor of dpkg's, and unpacks xz in two thirds of the time of Python's lzma.
            return TarReader(_Decompressed(stream.read(size)).read)
        stream.seek(size + size % 2, os.SEEK_CUR)
    raise ExtractError(f"has no {wanted.decode()}")


class _Decompressed:
    """What is compressed in some bytes, read forward only, and no more than an archive may become."""

    def __init__(self, data: bytes) -> None:
        self._blocks = _decompress(data)
        self._buffer = bytearray()
        self._left = UNPACK_LIMIT.size

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            block = next(self._blocks, None)
            if block is None:
                break
            self._left -= len(block)
            if self._left < 0:
                raise TarError("becomes more than an archive may become")
            self._buffer += block
        out = bytes(self._buffer[:size])
        del self._buffer[:size]
        return out


def _decompress(data: bytes) -> Iterator[bytes]:
    with libarchive.memory_reader(data, format_name="raw") as archive:
        for entry in archive:
            yield from entry.get_blocks(_BLOCK)


def _unpack(data: TarReader, root: Path, keep: Filter) -> None:
    modes: dict[Path, int] = {}
    folded: set[Path] = set()
    for number, member in enumerate(data.members()):
        if number == UNPACK_LIMIT.entries:
            raise ExtractError("has more files than an archive may have")
        path = merge_path(member.path)
        try:
            check_path(path)
        except BoundError as error:
            raise ExtractError(str(error)) from None
        if not path or not keep.has(path) or _is_root_link(member):
            continue
        place = root / path
        make_parents(root, place)
        if member.type != tarfile.DIRTYPE and not _claim(place, is_folded=_is_folded(member.path), folded=folded):
            continue
        if member.type == tarfile.DIRTYPE:
            place.mkdir(exist_ok=True)
            # A directory that its owner cannot enter would be one that melpy cannot pack.
            modes[place] = member.mode & 0o1777 | 0o700
        elif member.type == tarfile.SYMTYPE:
            place.symlink_to(merge_target(member.path, member.link))
        elif member.type == tarfile.LNKTYPE:
            _link(root / merge_path(member.link), place)
        elif member.type in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            _write(data, member, place)
    for place, mode in modes.items():
        place.chmod(mode)


def _is_folded(name: str) -> bool:
    return _merge_root(name).startswith(tuple(f"{directory}/" for directory in _FOLDED))


def _claim(place: Path, *, is_folded: bool, folded: set[Path]) -> bool:
    """Make room for a file; of two that have one name now, that of the directory that stays is meant."""
    if is_folded:
        folded.add(place)
        return not os.path.lexists(place)
    if place in folded:
        place.unlink(missing_ok=True)
    return True


def _is_root_link(member: TarMember) -> bool:
    """Tell whether this is one of the links of a merged /usr, which belong to the seed's base layout.

    So is a link that leads to itself once it is merged.
    """
    name = posixpath.normpath(member.path.lstrip("/"))
    if member.type != tarfile.SYMTYPE:
        return False
    target = posixpath.normpath(posixpath.join("/", posixpath.dirname(name), member.link))
    return name in _MERGED or name in _FOLDED or merge_path(target) == merge_path(name)


def make_parents(root: Path, place: Path) -> None:
    """Make the directories above a file; a symlink among them would lead out of the tree."""
    missing = []
    for parent in place.parents:
        if parent == root:
            break
        if parent.is_symlink():
            raise ExtractError(f"{place.relative_to(root)} lies behind a symlink")
        if not parent.is_dir():
            missing.append(parent)
    for parent in reversed(missing):
        parent.mkdir(mode=0o755)
    if place.is_symlink():
        raise ExtractError(f"{place.relative_to(root)} is there twice")


def _link(first: Path, place: Path) -> None:
    if first.is_symlink() or not first.is_file():
        raise ExtractError(f"{place.name} is a hard link to what is not there")
    os.link(first, place)


def _write(data: TarReader, member: TarMember, place: Path) -> None:
    with place.open("xb") as stream:
        for piece in data.content(member):
            stream.write(piece)
        stream.flush()
        os.fchmod(stream.fileno(), member.mode & 0o777 | 0o400)


def merge_path(name: str) -> str:
    """Return the path of a member in the tree; empty for the root.

    It is below usr where it was in /bin, /sbin or /lib, in usr/bin where it was in usr/sbin, in usr/lib where it was in
    usr/lib64.

    Raises:
        ExtractError: it leads out of the tree.
    """
    path = _merge_root(name)
    for directory, stays in _FOLDED.items():
        if path == directory or path.startswith(f"{directory}/"):
            return stays + path[len(directory) :]
    return path


def _merge_root(name: str) -> str:
    path = posixpath.normpath(name.lstrip("/"))
    if path == ".":
        return ""
    if path == ".." or path.startswith("../"):
        raise ExtractError(f"{name} leads out of the package")
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path


def merge_target(name: str, target: str) -> str:
    """Return the target of a symlink after /usr has been merged; it may be absolute, and need not exist.

    Only where the link itself moved, or the target did, is a relative one written anew.
    """
    before = posixpath.normpath(name.lstrip("/"))
    after = merge_path(name)
    if target.startswith("/"):
        return target
    aim = posixpath.normpath(posixpath.join(posixpath.dirname(before), target))
    if aim.startswith(".."):
        return target
    merged = merge_path(aim)
    if after == before and merged == aim:
        return target
    return posixpath.relpath(merged or ".", posixpath.dirname(after) or ".")
