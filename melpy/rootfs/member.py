"""The data member of a package, read once from beginning to end: one tar entry after the other.

Formats are ustar, PAX and GNU's long names, as abuild, melange, apk and melpy write them. It unpacks nothing; what it
returns are names and numbers as the archive has them, and streams of content. Source: POSIX.1-2001, pax; GNU tar.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from zlib_ng import zlib_ng

from melpy.errors import ExtractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECKSUM = "APK-TOOLS.checksum.SHA1"
"""PAX record with the SHA-1 of a file's content, in hex."""

GzipError: type[Exception] = zlib_ng.error  # type: ignore[assignment]  # the stubs call it an instance
_GZIP = 31  # zlib's window bits for 32 KiB and a gzip header
_BLOCK = 512
_CHUNK = 1 << 18
_RECORDS_LIMIT = 1 << 20  # extended attributes are 64 KiB at most
_MEMBER_LIMIT = 1 << 20
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK


@dataclass(frozen=True)
class DataMember:
    """One entry of the data tar.

    Attributes:
        path: as it is written there.
        type: a tarfile type.
        mode: permission bits, setuid and the like among them.
        uid, gid: owner.
        size: bytes of content.
        mtime: seconds since 1970.
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


class DataReader:
    """A compressed tar, read from a stream's position on.

    Args:
        stream: the package, at its data member.
        limit: most bytes of content; more is not what the package says of itself.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._left = limit
        self._inflate = zlib_ng.decompressobj(_GZIP)
        self._ahead = b""
        self._content = 0  # bytes of the current member that nobody has read, padding included

    def members(self) -> Iterator[DataMember]:
        """Yield every entry; its content is to be read before the next one is asked for, or is passed over.

        Raises:
            ExtractError: it is no tar, is damaged, or unpacks to more than the limit.
        """
        for _ in range(_MEMBER_LIMIT):
            records: dict[str, str] = {}
            while (header := self._header()) is not None and self._is_record(header, records):
                pass
            if header is None:
                return
            member = _make_member(header, records)
            size = member.size if member.type in tarfile.REGULAR_TYPES else 0
            self._left -= size
            if self._left < 0:
                hint = "do not trust this package"
                raise ExtractError("unpacks to far more than the package says of itself", hint=hint)
            self._content = _padded(size)
            yield member
            while self._content:
                self._take(min(self._content, _CHUNK))
        raise ExtractError(f"has more than {_MEMBER_LIMIT} files")

    def content(self, member: DataMember) -> Iterator[bytes]:
        """Yield the content of the entry that `members` yielded last."""
        left = member.size
        while left:
            piece = self._take(min(left, _CHUNK))
            left -= len(piece)
            yield piece

    def _take(self, size: int) -> bytes:
        piece = self._read(size)
        self._content -= size
        return piece

    def _header(self) -> bytes | None:
        """Return the next header; None at the end."""
        block = self._read(_BLOCK, at_end=True)
        return block if block.strip(b"\0") else None

    def _is_record(self, header: bytes, records: dict[str, str]) -> bool:
        """Take over what an entry says of the entry after it; tell whether it was such a one."""
        kind = header[156:157]
        if kind not in {tarfile.XHDTYPE, tarfile.XGLTYPE, _LONG_NAME, _LONG_LINK}:
            return False
        size = _number(header[124:136])
        if size > _RECORDS_LIMIT:
            raise ExtractError(f"has {size} bytes of attributes for one file")
        data = self._read(_padded(size))[:size]
        if kind == tarfile.XHDTYPE:
            records.update(_parse_records(data))
        elif kind != tarfile.XGLTYPE:
            records["path" if kind == _LONG_NAME else "linkpath"] = _text(data)
        return True

    def _read(self, size: int, *, at_end: bool = False) -> bytes:
        """Return so many bytes; none where the archive may end and does."""
        pieces, have = [self._ahead], len(self._ahead)
        while have < size:
            piece = self._inflated()
            if not piece:
                if at_end and not have:
                    return b""
                raise ExtractError("ends in the middle of a file")
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        self._ahead = data[size:]
        return data[:size]

    def _inflated(self) -> bytes:
        while True:
            source = self._inflate.unconsumed_tail
            if self._inflate.eof:
                source = self._inflate.unused_data
                self._inflate = zlib_ng.decompressobj(_GZIP)
            source = source or self._stream.read(_CHUNK)
            if not source:
                return b""
            try:
                piece = self._inflate.decompress(source, _CHUNK)
            except GzipError:
                raise ExtractError("has a broken gzip stream") from None
            if piece:
                return piece


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Return a number of a header: octal, or GNU's binary form where the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise ExtractError(f"is no tar: {digits!r} is not a number") from None


def _parse_records(data: bytes) -> dict[str, str]:
    """Return PAX records: `<length> <key>=<value>` lines, the length being that of the whole line."""
    records: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 9 else 0
        key, separator, value = data[len(length) + 1 : size - 1].partition(b"=")
        if not separator or size > len(data):
            raise ExtractError("has a broken PAX record")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        data = data[size:]
    return records


def _make_member(header: bytes, records: Mapping[str, str]) -> DataMember:
    if header[257:262] != b"ustar":
        raise ExtractError("is no tar")
    path = _text(header[:100])
    if header[257:265] == b"ustar\x0000" and header[345:346] != b"\0":
        path = f"{_text(header[345:500])}/{path}"
    kind = header[156:157]
    path = records.get("path", path)
    if kind in {tarfile.REGTYPE, tarfile.AREGTYPE} and path.endswith("/"):
        kind = tarfile.DIRTYPE  # as tar wrote directories before it had a type for them
    try:
        return DataMember(
            path=path,
            type=kind,
            mode=_number(header[100:108]) & 0o7777,
            uid=int(records["uid"]) if "uid" in records else _number(header[108:116]),
            gid=int(records["gid"]) if "gid" in records else _number(header[116:124]),
            size=max(0, int(records["size"])) if "size" in records else _number(header[124:136]),
            mtime=float(records["mtime"]) if "mtime" in records else float(_number(header[136:148])),
            link=records.get("linkpath") or _text(header[157:257]),
            checksum=records.get(CHECKSUM, ""),
        )
    except ValueError as error:
        raise ExtractError(f"has a broken PAX record: {error}") from None
