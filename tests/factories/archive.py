"""Archives of every kind, made of a few words, and what they became on disk."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import warnings
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE, DIRECTORY, SYMLINK, HARD_LINK, PIPE = "file", "directory", "symlink", "hard link", "pipe"
_TYPES = {
    FILE: tarfile.REGTYPE,
    DIRECTORY: tarfile.DIRTYPE,
    SYMLINK: tarfile.SYMTYPE,
    HARD_LINK: tarfile.LNKTYPE,
    PIPE: tarfile.FIFOTYPE,
}
_MODES = {FILE: stat.S_IFREG, DIRECTORY: stat.S_IFDIR, SYMLINK: stat.S_IFLNK, PIPE: stat.S_IFIFO}


@dataclass(frozen=True)
class Item:
    """One member of an archive."""

    path: bytes
    kind: str = FILE
    content: bytes = b""
    mode: int = 0o644
    target: bytes = b""
    mtime: int = 42


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def make_tar(items: Sequence[Item], form: str) -> bytes:
    """Return a tar: `v7`, `ustar`, `gnu` or `pax`; ValueError when the format has no room for a name or time."""
    forms = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out,
        mode="w",
        format=forms.get(form, tarfile.USTAR_FORMAT),
        encoding="utf-8",
        errors="surrogateescape",
        pax_headers={"comment": "of no consequence"} if form == "pax" else None,
    ) as tar:
        for item in items:
            info = tarfile.TarInfo(_text(item.path))
            info.type, info.mode, info.mtime = _TYPES[item.kind], item.mode, item.mtime
            info.linkname = _text(item.target)
            info.size = len(item.content)
            tar.addfile(info, io.BytesIO(item.content))
    return _without_magic(out.getvalue()) if form == "v7" else out.getvalue()


def _without_magic(data: bytes) -> bytes:
    """Return a ustar as Unix's seventh edition would have written it: nothing stands behind the link's name."""
    tar = bytearray(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as reader:
        members = reader.getmembers()
    for member in members:
        header = tar[member.offset : member.offset + 512]
        if any(header[345:500]):
            raise ValueError("a name is too long for it")
        header[257:512] = bytes(255)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        tar[member.offset : member.offset + 512] = header
    return bytes(tar)


class _ZipInfo(zipfile.ZipInfo):
    """A member of a zip with any bytes as its name; those that are UTF-8 are marked as such."""

    raw: bytes = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  # zipfile's name
        try:
            return self.raw, 0 if self.raw.isascii() else 0x800 * bool(self.raw.decode())
        except UnicodeDecodeError:
            return self.raw, 0


def make_zip(items: Sequence[Item], *, system: int = 3) -> bytes:
    """Return a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for item in items:
            info = _ZipInfo(_text(item.path))
            info.raw = item.path
            info.create_system = system
            info.date_time = (2000, 1, 1, 12, 0, item.mtime % 60 // 2 * 2)
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # of names that come twice
                stream = archive.open(info, "w")
            with stream:
                stream.write(item.target if item.kind == SYMLINK else item.content)
            info.external_attr = (_MODES[item.kind] | item.mode) << 16
            if item.kind == DIRECTORY:
                info.external_attr |= 0x10
    return out.getvalue()


def make_cpio(items: Sequence[Item], form: str) -> bytes:
    """Return a cpio: `newc` or `odc`, with the content of hard links at the last of their names, as cpio writes it."""
    out = bytearray()
    latest: dict[bytes, int] = {}
    inodes: list[int] = []
    for place, item in enumerate(items):
        inodes.append(latest[item.target] if item.kind == HARD_LINK else place + 1)
        latest[item.path] = inodes[-1]
    for place, (item, inode) in enumerate(zip(items, inodes, strict=True)):
        first = items[inode - 1]
        content = first.target if first.kind == SYMLINK else first.content
        if form == "newc" and inode in inodes[place + 1 :]:
            content = b""
        out += _cpio_header(form, inode, first, inodes.count(inode), item.path, content)
    out += _cpio_header(form, 0, Item(b"", mtime=0, mode=0), 1, b"TRAILER!!!", b"")
    return bytes(out.ljust(-(-len(out) // 512) * 512, b"\0"))


def _cpio_header(form: str, number: int, item: Item, links: int, path: bytes, content: bytes) -> bytes:
    mode, name = _MODES[item.kind] | item.mode, path + b"\0"
    if form == "odc":
        head = b"070707" + b"%06o" * 7 % (1, number, mode, 0, 0, links, 0)
        return head + b"%011o%06o%011o" % (item.mtime, len(name), len(content)) + name + content
    values = (number, mode, 0, 0, links, item.mtime, len(content), 0, 1, 0, 0, len(name), 0)
    head = b"070701" + b"%08X" * 13 % values + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


@dataclass(frozen=True)
class Found:
    """One entry of a directory.

    Attributes:
        kind: its type, as above.
        mode: permission bits; 0 for symlinks, which have none.
        content: of a file, or the target of a symlink.
        mtime: nanoseconds since 1970.
        names: all paths of a file with several.
    """

    kind: str
    mode: int
    content: bytes
    mtime: int
    names: tuple[bytes, ...] = ()


def read_tree(root: Path) -> dict[bytes, Found]:
    """Return all entries below a directory, which are opened to their owner afterwards."""
    infos: dict[bytes, os.stat_result] = {}
    inodes: dict[int, os.stat_result] = {}
    contents: dict[bytes, bytes] = {}
    pending = [root]
    while pending:
        for path in pending.pop().iterdir():
            name, info = os.fsencode(path.relative_to(root)), path.lstat()
            info = infos[name] = inodes.setdefault(info.st_ino, info)  # another name may have opened it
            if stat.S_ISLNK(info.st_mode):
                contents[name] = os.fsencode(path.readlink())
            elif stat.S_ISDIR(info.st_mode):
                path.chmod(0o700)
                pending.append(path)
            elif stat.S_ISREG(info.st_mode):
                path.chmod(0o600)
                contents[name] = path.read_bytes()
    return {name: _found(name, infos, contents) for name in infos}


def _found(name: bytes, infos: dict[bytes, os.stat_result], contents: dict[bytes, bytes]) -> Found:
    info = infos[name]
    kind = next(kind for kind, form in _MODES.items() if form == stat.S_IFMT(info.st_mode))
    mode = 0 if kind == SYMLINK else stat.S_IMODE(info.st_mode)
    names: tuple[bytes, ...] = ()
    if kind != DIRECTORY and info.st_nlink > 1:
        names = tuple(sorted(other for other in infos if infos[other].st_ino == info.st_ino))
    return Found(kind, mode, contents.get(name, b""), info.st_mtime_ns, names)
