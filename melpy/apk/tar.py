"""The tar in a member of a package or index, read once from beginning to end: one entry after the other.

Formats are ustar, PAX and GNU's long names, as abuild, melange, apk and melpy write them. It unpacks nothing; what it
gives out are names, numbers and content. Whatever the bytes are, it ends: each step takes bytes from the input, and
what is no number, is out of bounds or points outside its record is an error. Sparse files are none of the format's and
refused. Source: POSIX.1-2001, pax; GNU tar, "Basic Tar Format"; apk-tools 3, apk-v2(5).
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from melpy.bound import LARGEST_ID, LARGEST_NUMBER, LONGEST_PATH, clamp_time, parse_number, parse_time, shorten
from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHECKSUM = "APK-TOOLS.checksum.SHA1"
"""PAX record with the SHA-1 of a file's content, in hex."""

_BLOCK = 512
_CHUNK = 1 << 18
_RECORDS_LIMIT = 1 << 20  # extended attributes are 64 KiB at most
_MOST_RECORDS = 16  # entries that speak of the one after them
_LENGTH_DIGITS = 7  # of a PAX record, which is no longer than all of them may be
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_REGULAR = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_EMPTY = frozenset(
    {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE}
)


class TarError(ValueError):
    """The bytes are no tar, damaged, or out of bounds; readers turn it into an error of their own."""


class TarMember(Noun, frozen=True):
    """One entry of a tar.

    Attributes:
        path: as it is written there.
        type: a tarfile type.
        mode: permission bits, setuid and the like among them.
        uid, gid: owner.
        size: bytes of content that follow; 0 unless it is a regular file.
        mtime: seconds since 1970, within the years that dates have.
        link: target of a symlink or hard link.
        checksum: SHA-1 that the archive gives for its content, in hex; empty where it gives none.
    """

    path: str
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: float
    link: str
    checksum: str


class TarReader:
    """A tar, read from where its input stands.

    Args:
        read: returns so many bytes, fewer only where the input ends.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._input = read
        self._left = 0  # bytes of the current entry that nobody has read, padding included

    def members(self) -> Iterator[TarMember]:
        """Yield every entry; its content is to be read before the next one is asked for, or is passed over.

        Raises:
            TarError: it is no tar, or damaged.
        """
        while True:
            records: dict[str, str] = {}
            for _ in range(_MOST_RECORDS):
                header = self._header()
                if header is None or not self._is_record(header, records):
                    break
            else:
                raise TarError(f"has more than {_MOST_RECORDS} records for one entry")
            if header is None:
                return
            member = _make_member(header, records)
            self._left = _padded(member.size)
            yield member
            while self._left:
                self._take(min(self._left, _CHUNK))

    def content(self, member: TarMember) -> Iterator[bytes]:
        """Yield the content of the entry that `members` yielded last.

        Raises:
            TarError: it is cut off.
        """
        left = member.size
        while left:
            piece = self._take(min(left, _CHUNK))
            left -= len(piece)
            yield piece

    def _take(self, size: int) -> bytes:
        piece = self._read(size)
        self._left -= size
        return piece

    def _read(self, size: int) -> bytes:
        data = self._input(size)
        if len(data) != size:
            raise TarError("ends in the middle of a file")
        return data

    def _header(self) -> bytes | None:
        """Return the next header; None at the end, whether it is marked or not."""
        block = self._input(_BLOCK)
        if block and len(block) != _BLOCK:
            raise TarError("ends in the middle of a file")
        return block if block.strip(b"\0") else None

    def _is_record(self, header: bytes, records: dict[str, str]) -> bool:
        """Take over what an entry says of the entry after it; tell whether it was such a one."""
        kind = header[156:157]
        if kind not in {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, _LONG_NAME, _LONG_LINK}:
            return False
        size = _number(header[124:136])
        if size > _RECORDS_LIMIT:
            raise TarError(f"has {size} bytes of attributes for one file")
        data = self._read(_padded(size))[:size]
        if kind in {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}:
            records.update(parse_records(data))
        elif kind != tarfile.XGLTYPE:
            records["path" if kind == _LONG_NAME else "linkpath"] = _text(data)
        return True


def read_files(plain: bytes) -> dict[str, bytes]:
    """Return the entries of a whole tar by name; what is no regular file has no content.

    Members of packages have no end-of-archive blocks, which is no error.

    Raises:
        TarError: it is no tar, or damaged.
    """
    if not plain:
        raise TarError("empty file")
    reader = TarReader(io.BytesIO(plain).read)
    # Links could point anywhere, or at each other.
    return {member.path: b"".join(reader.content(member)) for member in reader.members()}


def parse_records(data: bytes) -> dict[str, str]:
    """Return PAX records: `<length> <key>=<value>` lines, the length being that of the whole line.

    Raises:
        TarError: a record is malformed.
    """
    records: dict[str, str] = {}
    start = 0
    while start < len(data):
        length, _, _ = data[start : start + _LENGTH_DIGITS + 1].partition(b" ")
        size = int(length) if length.isdigit() and len(length) <= _LENGTH_DIGITS else 0
        line = data[start : start + size]
        key, separator, value = line[len(length) + 1 : -1].partition(b"=")
        # The shortest one is `5 a=` and its newline; one that takes nothing from the input would never end.
        if size < len(length) + 3 or len(line) != size or not separator or not key or line[-1:] != b"\n":
            raise TarError(f"has a broken PAX record: {shorten(data[start : start + 80])}")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        start += size
    return records


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes, largest: int = LARGEST_NUMBER, smallest: int = 0) -> int:
    """Return a number of a header: octal, or GNU's binary form (base 256) where the first bit is set."""
    if field[0] & 0x80:
        # Negative ones, such as times before 1970, are two's complement; of others the first bit is no part.
        whole = field if field[0] == 0xFF else bytes([field[0] & 0x7F]) + field[1:]
        number = int.from_bytes(whole, "big", signed=True)
    else:
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            raise TarError(f"is no tar: {shorten(digits)} is not a number")
        number = int(digits, 8) if digits else 0
    if not smallest <= number <= largest:
        raise TarError(f"has a number that is out of bounds: {number}")
    return number


def _make_member(header: bytes, records: Mapping[str, str]) -> TarMember:
    if header[257:262] != b"ustar":
        raise TarError("is no tar")
    if any(key.startswith("GNU.sparse.") for key in records):
        raise TarError("has a sparse file, which packages do not have")
    kind = header[156:157]
    path = records.get("path", _path(header))
    if kind in _REGULAR and path.endswith("/"):
        kind = tarfile.DIRTYPE  # as tar wrote directories before it had a type for them
    link = records.get("linkpath") or _text(header[157:257])
    if not path:
        raise TarError("has an entry without a name")
    if max(len(path), len(link)) > LONGEST_PATH:
        raise TarError(f"has a path of more than {LONGEST_PATH} bytes: {shorten(max(path, link, key=len))}")
    try:
        return TarMember(
            path=path,
            type=kind,
            mode=_number(header[100:108]) & 0o7777,
            uid=_id(records["uid"] if "uid" in records else header[108:116]),
            gid=_id(records["gid"] if "gid" in records else header[116:124]),
            size=0 if kind in _EMPTY else _size(records["size"] if "size" in records else header[124:136]),
            mtime=parse_time(records["mtime"]) if "mtime" in records else _time(header[136:148]),
            link=link,
            checksum=records.get(CHECKSUM, ""),
        )
    except TarError:
        raise
    except ValueError as error:
        raise TarError(f"has a broken PAX record: {error}") from None


def _path(header: bytes) -> str:
    path = _text(header[:100])
    has_prefix = header[257:265] == b"ustar\x0000" and header[345:346] != b"\0"
    return f"{_text(header[345:500])}/{path}" if has_prefix else path


def _id(value: str | bytes) -> int:
    return parse_number(value, largest=LARGEST_ID) if isinstance(value, str) else _number(value, LARGEST_ID)


def _size(value: str | bytes) -> int:
    return parse_number(value) if isinstance(value, str) else _number(value)


def _time(field: bytes) -> float:
    return clamp_time(_number(field, 2**95, -(2**95)))
