"""Reading APK v2 files: where their gzip members (signature, control, data) begin, and what the first two say.

The formats are those of `melpy.apk.archive`. Source: apk-tools 3, apk-v2(5).
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from zlib_ng import zlib_ng

from melpy.apk.archive import control_checksum
from melpy.apk.inflate import WINDOW, GzipError
from melpy.apk.model import IndexEntry
from melpy.apk.pkginfo import parse_pkginfo
from melpy.apk.tar import TarError, read_files
from melpy.bound import open_file
from melpy.errors import PackageFormatError, SignatureError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from melpy.apk.signature import Keyring

_BLOCK = 512
_CHUNK = 1 << 20
_HEAD = 1 << 13  # holds the signature and control members of nearly every package
_CONTROL_LIMIT = 16 << 20
_FACTS_LIMIT = 4 << 20  # of .PKGINFO; the longest lists of provides take a tenth of that
_MOST_SIGNATURES = 32


@dataclass(frozen=True)
class Segments:
    """The head of a package or index: its signatures, and where what they sign begins.

    Attributes:
        signatures: name and content of each signature file.
        control: compressed bytes of the control member.
        files: content of the control member by name.
        head: everything before the data member: the signature and control members as they are.
    """

    signatures: tuple[tuple[str, bytes], ...]
    control: bytes
    files: Mapping[str, bytes]
    head: bytes

    @property
    def data_offset(self) -> int:
        """Where the data member begins in the file."""
        return len(self.head)


class Readable(Protocol):
    """What can be read, and read once more from its beginning: a file, or what does no more than that."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""

    def seek(self, offset: int, /) -> int:
        """Go on reading from there."""


def read_segments(stream: Readable, *, where: str) -> Segments:
    """Read the signature and control members of a package, from the beginning of a file.

    Raises:
        PackageFormatError: it is truncated, not gzip, not tar, or has no control member.
    """
    signatures: list[tuple[str, bytes]] = []
    head = b""
    stream.seek(0)
    ahead = stream.read(_HEAD)
    while True:
        raw, plain, ahead = _read_member(stream, ahead, where, signed=bool(signatures))
        files = _read_tar(plain, where)
        head += raw
        if ".PKGINFO" in files:
            return Segments(tuple(signatures), raw, files, head)
        if not files or not all(name.startswith(".SIGN.") and "/" not in name for name in files):
            raise PackageFormatError("has no control member with a .PKGINFO", where=where)
        signatures += files.items()
        if len(signatures) > _MOST_SIGNATURES:
            raise PackageFormatError("has more signatures than are read", where=where)


def _read_member(stream: Readable, piece: bytes, where: str, *, signed: bool) -> tuple[bytes, bytes, bytes]:
    """Return a gzip member as it is and unpacked, and what was read beyond it.

    Args:
        stream: where the file goes on after `piece`.
        piece: what was read already.
        where: the file.
        signed: whether this is the member after a signature, for messages.
    """
    inflate = zlib_ng.decompressobj(WINDOW)
    member = "its control member" if signed else "its first member"
    raw, plain = bytearray(), bytearray()
    while True:
        if not piece:
            raise PackageFormatError(f"ends in the middle of {member}", where=where)
        try:
            plain += inflate.decompress(piece, _CONTROL_LIMIT)
        except GzipError:
            what = f"has a broken gzip stream in {member}" if signed or raw or plain else "is not a gzip file"
            raise PackageFormatError(what, where=where) from None
        # Compressed bytes may unpack to nothing at all.
        if max(len(plain), len(raw)) >= _CONTROL_LIMIT or inflate.unconsumed_tail:
            raise PackageFormatError("has a control member larger than 16 MiB", where=where)
        if inflate.eof:
            ahead = inflate.unused_data
            return bytes(raw) + piece[: len(piece) - len(ahead)], bytes(plain), ahead
        raw += piece
        piece = stream.read(_HEAD)


def _read_tar(plain: bytes, where: str) -> dict[str, bytes]:
    plainly = _read_plain_tar(plain)
    if plainly is not None:
        return plainly
    try:
        return read_files(plain)
    except TarError as error:
        raise PackageFormatError(f"holds a broken tar: {error}", where=where) from None


def _read_plain_tar(plain: bytes) -> dict[str, bytes] | None:
    """Return the files of a tar with nothing but plain files, in a tenth of the time; None where it is another.

    Headers are those of ustar (POSIX.1-1988). Their sums are not looked at: gzip's checksum covers them.
    """
    files: dict[str, bytes] = {}
    offset = 0
    while offset < len(plain) or not files:
        header = plain[offset : offset + _BLOCK]
        name, size = header[:100].rstrip(b"\0"), header[124:135]
        is_plain = header[156:157] == tarfile.REGTYPE and header[257:262] == b"ustar" and header[345:346] == b"\0"
        if not is_plain or not size.isdigit() or not name.isascii() or b"\0" in name:
            return None
        start = offset + _BLOCK
        end = start + int(size, 8) if not size.strip(b"01234567") else len(plain) + 1
        offset = start + -(-(end - start) // _BLOCK) * _BLOCK
        if offset > len(plain):
            return None
        files[name.decode()] = plain[start:end]
    return files


def read_entry(path: Path, *, keyring: Keyring | None = None) -> IndexEntry:
    """Read what an index says about a package from the package itself.

    Args:
        path: the .apk file.
        keyring: when given, one of the package's signatures must be by a key of it.

    Raises:
        PackageFormatError: the file is not a valid package.
        SignatureError: it is not signed by a trusted key.
    """
    try:
        with open_file(path) as stream:
            segments = read_segments(stream, where=str(path))
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        hint = "move the directory away" if isinstance(error, IsADirectoryError) else None
        raise PackageFormatError(f"cannot be read: {reason_of(error)}", where=str(path), hint=hint) from None
    if keyring is not None:
        check_signatures(segments.signatures, segments.control, keyring, where=str(path))
    return make_entry(segments, size, where=str(path))


def make_entry(segments: Segments, size: int, *, where: str) -> IndexEntry:
    """Return what an index says about a package.

    Args:
        segments: what stands before its data.
        size: bytes of the file.
        where: the file.

    Raises:
        PackageFormatError: its .PKGINFO is not valid.
    """
    facts = segments.files[".PKGINFO"]
    if len(facts) > _FACTS_LIMIT:
        raise PackageFormatError(f".PKGINFO has more than {_FACTS_LIMIT} bytes", where=where)
    try:
        info = parse_pkginfo(facts.decode())
    except UnicodeDecodeError:
        raise PackageFormatError(".PKGINFO is not UTF-8", where=where) from None
    except PackageFormatError as error:
        raise PackageFormatError(f"{error.where}: {error.message}", where=where) from None
    return IndexEntry(info, control_checksum(segments.control), size)


def check_signatures(signatures: Iterable[tuple[str, bytes]], data: bytes, keyring: Keyring, *, where: str) -> str:
    """Check that one signature is by a trusted key and fits, and return that key's name; others are passed over.

    Raises:
        SignatureError: none is.
    """
    failure = SignatureError("is not signed", where=where, hint="sign it, or read it with --ignore-signatures")
    for name, signature in signatures:
        try:
            keyring.check(name, signature, data, where=where)
        except SignatureError as error:
            failure = error
        else:
            return name.split(".", 3)[3]
    raise failure


def check_identity(stream: IO[bytes], checksum: str, *, where: str, hint: str | None = None) -> Segments:
    """Read the head of a package that is to be the one with this checksum, and check its data.

    Args:
        stream: the package.
        checksum: its identity, as indexes have it.
        where: the file.
        hint: what to do where it is another.

    Raises:
        PackageFormatError: it is another package, or damaged.
    """
    segments = read_segments(stream, where=where)
    if control_checksum(segments.control) != checksum:
        raise PackageFormatError("is not the package that the index names", where=where, hint=hint)
    check_datahash(stream, segments, where=where)
    return segments


def check_datahash(stream: IO[bytes], segments: Segments, *, where: str) -> None:
    """Check that the data member is the one that the control member names.

    Raises:
        PackageFormatError: it is not, or the control member names none.
    """
    expected = make_entry(segments, 0, where=where).info.datahash
    stream.seek(segments.data_offset)
    digest = hashlib.sha256()
    while piece := stream.read(_CHUNK):
        digest.update(piece)
    if digest.hexdigest() != expected:
        found = f"its data member has SHA-256 {digest.hexdigest()}, its .PKGINFO says {expected or 'nothing'}"
        raise PackageFormatError(f"{_damage(stream, segments.data_offset)}{found}", where=where)


def _damage(stream: IO[bytes], offset: int) -> str:
    """Return what can be seen of damage to a data member, for messages."""
    stream.seek(offset)
    inflate = zlib_ng.decompressobj(WINDOW)
    try:
        while not inflate.eof:
            piece = inflate.unconsumed_tail or stream.read(_CHUNK)
            if not piece:
                return "is cut short: "
            inflate.decompress(piece, _CHUNK)
    except GzipError:
        return "is damaged: "
    return ""
