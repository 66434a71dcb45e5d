"""Reading the members of an archive: libarchive reads all formats but zip, which Python's zipfile reads.

Names are the bytes that stand in the archive, in every locale and time zone. It writes nothing.
"""

from __future__ import annotations

import ctypes
import locale
import logging
import os
import stat
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import libarchive.exception
from libarchive import ffi

from melpy.archive.model import BLOCK, ArchiveMember, MemberKind, clamp_mtime
from melpy.archive.zip import load_zip_members
from melpy.errors import ExtractError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_FORMATS = ("tar", "7zip", "cpio", "ar", "empty")
_FILTERS = ("gzip", "bzip2", "xz", "zstd", "lzma", "lzip", "lz4", "compress", "rpm")
"""What libarchive does by itself. For others it would run programs of this machine, outside of the sandbox (lrzip,
lzop, grzip), or look for files of this machine that an archive names (mtree). Source: archive_read_filter(3)."""
_NO_ARCHIVE = "a file that is no tar, zip, 7z, cpio, ar, deb or rpm is fetched with `extract: false`"
_ZIP = (b"PK\3\4", b"PK\5\6")
_SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"
_KINDS = {
    stat.S_IFREG: MemberKind.FILE,
    stat.S_IFDIR: MemberKind.DIRECTORY,
    stat.S_IFLNK: MemberKind.SYMLINK,
}
_LOCALE_MASK = 1 << locale.LC_CTYPE

# It logs names that it cannot convert to the locale's characters; their bytes are what is asked for.
logging.getLogger("libarchive").addHandler(logging.NullHandler())
logging.getLogger("libarchive").propagate = False


def load_members(stream: IO[bytes]) -> Generator[ArchiveMember, None, None]:
    """Yield the members of an archive that stands in a file from its current position on.

    The generator is to be closed by whoever does not take all of it, in the thread that began it.

    Raises:
        ExtractError: it is no archive, or damaged.
        OSError: it cannot be read.
    """
    start = stream.tell()
    magic = stream.read(len(_SEVEN_ZIP))
    if magic.startswith(_ZIP):
        yield from load_zip_members(stream)
        return
    # libarchive reads the descriptor, which Python's buffer may be ahead of.
    os.lseek(stream.fileno(), start, os.SEEK_SET)
    try:
        with _use_characters("C.UTF-8" if magic == _SEVEN_ZIP else "C"), _open_reader(stream.fileno()) as reader:
            yield from _load_members(reader, is_masked=magic == _SEVEN_ZIP)
    except libarchive.exception.ArchiveError as error:
        if "Unrecognized" not in str(error.msg):
            raise _explain(error) from None
        if not zipfile.is_zipfile(stream):
            raise ExtractError("unrecognized archive format", hint=_NO_ARCHIVE) from None
        # A program that unpacks itself: the zip comes after it.
        yield from load_zip_members(stream)


def _explain(error: libarchive.exception.ArchiveError) -> ExtractError:
    if error.msg is None:
        return ExtractError("is damaged")
    text = error.msg.decode("utf-8", "replace") if isinstance(error.msg, bytes) else str(error.msg)
    return ExtractError(text[:1].lower() + text[1:])


@contextmanager
def _use_characters(name: str) -> Iterator[None]:
    """Have the C library take these characters in this thread, whatever the locale of the process.

    In the locale C, libarchive hands on the bytes of names. In others it converts those that PAX says are UTF-8, and
    composes characters that stand decomposed there (NFC). The names of a 7z are UTF-16, and only UTF-8 has them all.
    """
    libc: Any = ctypes.CDLL(None)
    libc.newlocale.argtypes, libc.newlocale.restype = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p], ctypes.c_void_p
    libc.uselocale.argtypes, libc.uselocale.restype = [ctypes.c_void_p], ctypes.c_void_p
    libc.freelocale.argtypes, libc.freelocale.restype = [ctypes.c_void_p], None
    chosen = libc.newlocale(_LOCALE_MASK, name.encode(), None)
    if not chosen:  # no C.UTF-8 here: names beyond ASCII are refused below
        yield
        return
    before = libc.uselocale(chosen)
    try:
        yield
    finally:
        libc.uselocale(before)
        libc.freelocale(chosen)


@contextmanager
def _open_reader(descriptor: int) -> Iterator[int]:
    """Open an archive; libarchive's own Python binding would let it read whatever it can."""
    reader = ffi.read_new()
    try:
        for name in _FILTERS:
            ffi.get_read_filter_function(name)(reader)
        for name in _FORMATS:
            ffi.get_read_format_function(name)(reader)
        ffi.read_open_fd(reader, descriptor, BLOCK)
        yield reader
    finally:
        ffi.read_free(reader)


def _load_members(reader: int, *, is_masked: bool) -> Iterator[ArchiveMember]:
    entry = ffi.entry_new()
    try:
        while ffi.read_next_header2(reader, entry) != ffi.ARCHIVE_EOF:
            yield _make_member(reader, entry, is_masked=is_masked)
    finally:
        ffi.entry_free(entry)


def _make_member(reader: int, entry: int, *, is_masked: bool) -> ArchiveMember:
    path = ffi.entry_pathname(entry)
    if path is None:
        raise ExtractError("has a member without a name, or with one that has no characters here")
    mode = ffi.entry_mode(entry) & 0o177777  # a damaged cpio has negative ones
    hard, soft = ffi.entry_hardlink(entry), ffi.entry_symlink(entry)
    # The hard link test comes first: libarchive gives links the type of what they point to.
    kind = MemberKind.HARD_LINK if hard is not None else _KINDS.get(stat.S_IFMT(mode), MemberKind.OTHER)
    permissions = stat.S_IMODE(mode)
    return ArchiveMember(
        path=path,
        kind=kind,
        # 7-Zip applies the umask, and a 7z from Windows has no modes.
        mode=permissions & 0o755 if is_masked else permissions,
        mtime=clamp_mtime(ffi.entry_mtime(entry), ffi.entry_mtime_nsec(entry)),
        blocks=lambda: _read_blocks(reader),
        target=(hard if hard is not None else soft) or b"",
        size=max(ffi.entry_size(entry), 0),
    )


def _read_blocks(reader: int) -> Iterator[memoryview]:
    buffer = ctypes.create_string_buffer(BLOCK)
    view = memoryview(buffer)
    try:
        while (size := ffi.read_data(reader, buffer, BLOCK)) > 0:
            yield view[:size]
    except libarchive.exception.ArchiveError as error:
        raise _explain(error) from None
