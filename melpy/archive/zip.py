"""Reading the members of a zip as Info-ZIP's unzip reads them.

Python's zipfile reads it. What differs from unzip: times without a zone are UTC, members without a mode are 0644 or
0755, and a header that contradicts the list at the end is an error. Source: APPNOTE.TXT 6.3.10, and extrafld.txt of
Info-ZIP.
"""

from __future__ import annotations

import calendar
import os
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from lzma import LZMAError
from typing import IO, TYPE_CHECKING

from melpy.archive.model import BLOCK, ArchiveMember, MemberKind, clamp_mtime
from melpy.bound import LONGEST_PATH
from melpy.errors import ExtractError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENCRYPTED = 0x1
_UTF8 = 0x800
_DOS, _UNIX = 0, 3  # systems that a member was made by
_READ_ONLY = 0x1
_UNSAID = {0, 0o600}  # without a type; the second is what Python's zipfile writes where it knows no mode
_FILE, _DIRECTORY = 0o644, 0o755
_UNIX_NAME, _TIMESTAMP, _OLD_UNIX = 0x7075, 0x5455, 0x5855
_END, _END_SIZE = b"PK\5\6", 22
_END_64, _LOCATOR_64, _SIZES_64 = b"PK\6\6", b"PK\6\7", 76
"""Zip64 has a second end before the first one: 56 bytes, and 20 that say where it is."""
_LONGEST_COMMENT = 65535
_LONGEST_LIST = 64 << 20  # 500,000 members of honest zips, and 600 MB of memory for the smallest members possible
_HINT = "fetch it with `extract: false`, and unpack it in a step"


def load_zip_members(stream: IO[bytes]) -> Iterator[ArchiveMember]:
    """Yield the members of a zip, which ends where the file ends.

    Raises:
        ExtractError: it is no zip, damaged, encrypted or compressed in a way that zipfile does not know.
    """
    _check_list(stream)
    with _damage():
        archive = zipfile.ZipFile(stream)
    with archive:
        for info in archive.infolist():
            yield _make_member(archive, info)


@contextmanager
def _damage() -> Iterator[None]:
    """Turn the errors of zipfile and of its decompressors into one."""
    try:
        yield
    except NotImplementedError as error:
        raise ExtractError(f"is a zip of a kind that is not read: {error}", hint=_HINT) from None
    except UnicodeDecodeError:
        raise ExtractError("has a name that says it is UTF-8, and is not") from None
    except OSError as error:  # of a position before the beginning, and from bzip2
        raise ExtractError(f"is a damaged zip: {reason_of(error)}") from None
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, struct.error, ValueError, OverflowError) as error:
        raise ExtractError(f"is a damaged zip: {error}") from None


def _check_list(stream: IO[bytes]) -> None:
    """Check that the list of members is no longer than it may be, since zipfile holds all of it."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - _SIZES_64 - _END_SIZE - _LONGEST_COMMENT, 0))
    tail = stream.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_SIZE:
        raise ExtractError("is a damaged zip: it has no list of its members, as if it were cut off")
    (length,) = struct.unpack_from("<I", tail, end + 12)
    if tail[max(end - 20, 0) :].startswith(_LOCATOR_64) and tail[max(end - _SIZES_64, 0) :].startswith(_END_64):
        (length,) = struct.unpack_from("<Q", tail, end - _SIZES_64 + 40)
    if length > _LONGEST_LIST:
        raise ExtractError(f"has a list of members of {length} bytes, which is more than {_LONGEST_LIST}", hint=_HINT)
    stream.seek(0)


def _make_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArchiveMember:
    if info.flag_bits & _ENCRYPTED:
        raise ExtractError("is an encrypted zip", hint=_HINT)
    extra = _extra_fields(info.extra)
    path = _path(info, extra)
    is_directory = path.endswith(b"/")
    mode = _mode(info, is_directory=is_directory)
    is_symlink = stat.S_ISLNK(mode) and not is_directory
    return ArchiveMember(
        path=path,
        kind=MemberKind.DIRECTORY if is_directory else MemberKind.SYMLINK if is_symlink else MemberKind.FILE,
        mode=mode & 0o777,  # unzip drops setuid, setgid and sticky
        mtime=_mtime(info, extra),
        blocks=lambda: _read_blocks(archive, info),
        target=b"".join(_read_blocks(archive, info, LONGEST_PATH + 1)) if is_symlink else b"",
        size=info.file_size,
    )


def _read_blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int | None = None) -> Iterator[bytes]:
    with _damage(), archive.open(info) as content:
        if most is not None:
            yield content.read(most)
            return
        while block := content.read(BLOCK):
            yield block


def _path(info: zipfile.ZipInfo, extra: dict[int, bytes]) -> bytes:
    # zipfile decodes what is not said to be UTF-8 as CP437, which has a character for every byte.
    path = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
    field = extra.get(_UNIX_NAME, b"")
    if len(field) > 5 and field[0] == 1 and int.from_bytes(field[1:5], "little") == zlib.crc32(path):
        path = field[5:]
    if info.create_system == _DOS and b"/" not in path:
        path = path.replace(b"\\", b"/")
    return path


def _mode(info: zipfile.ZipInfo, *, is_directory: bool) -> int:
    """Return the mode of a member as unzip sees it, with its type where that is believed, and with umask 022."""
    unix = info.external_attr >> 16
    write = 0 if info.external_attr & _READ_ONLY else 0o2
    user = 0o4 | write | (0o1 if is_directory else 0)
    if unix not in _UNSAID:
        # Some zips of Unix say that they are of DOS; their modes are believed where DOS's attributes say the same.
        is_believed = info.create_system == _DOS and unix & 0o700 == user << 6
        if info.create_system == _UNIX or is_believed:
            return unix
    elif info.create_system == _UNIX:
        return _DIRECTORY if is_directory else _FILE
    return (user * 0o111) & ~0o022 | 0o444


def _mtime(info: zipfile.ZipInfo, extra: dict[int, bytes]) -> int:
    stamp, old = extra.get(_TIMESTAMP, b""), extra.get(_OLD_UNIX, b"")
    if len(stamp) >= 5 and stamp[0] & 1:
        return clamp_mtime(*struct.unpack_from("<i", stamp, 1))
    if len(old) >= 8:
        return clamp_mtime(*struct.unpack_from("<i", old, 4))
    year, month, day, hour, minute, second = info.date_time
    return clamp_mtime(calendar.timegm((year, min(max(month, 1), 12), max(day, 1), hour, minute, second)))


def _extra_fields(data: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, offset)
        fields.setdefault(kind, data[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return fields
