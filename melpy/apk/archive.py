"""APK v2 files: two or three gzip members (signature, control, data), each holding a tar.

Member boundaries matter: the control member's compressed bytes are what is signed and what identifies the package,
and its `datahash` is the SHA-256 of the data member's. The same input gives the same bytes: the compressor is
zlib-ng at a fixed level, whose output does not depend on the processor (docs/decisions/0001-compressor.md).
Source: apk-tools 3, apk-v2(5).
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from zlib_ng import zlib_ng

from melpy.apk.model import IndexEntry
from melpy.apk.pkginfo import parse_pkginfo
from melpy.errors import PackageFormatError, SignatureError, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from melpy.apk.signature import Keyring, Signer

LEVEL = 9
COMPRESSOR = f"zlib-ng-{LEVEL}"
"""What wrote the bytes of a package, as recorded in it."""

GzipError: type[Exception] = zlib_ng.error  # type: ignore[assignment]  # the stubs call it an instance
_GZIP = 31  # zlib's window bits for 32 KiB and a gzip header, which then has no time and no name
_BLOCK = 512
_CHUNK = 1 << 20
_CONTROL_LIMIT = 16 << 20


@dataclass(frozen=True)
class Member:
    """One entry of a data tar.

    Attributes:
        path: relative path without a leading slash.
        type: a tarfile type, such as `tarfile.REGTYPE`.
        mode: permission bits.
        size: bytes of content, 0 unless it is a regular file.
        link: target of a symlink or hard link.
        uid, gid, uname, gname: owner.
        device: major and minor number.
        records: PAX records, such as the SHA-1 checksum and extended attributes.
        open: opens its content; only called for regular files.
    """

    path: str
    type: bytes
    mode: int
    size: int = 0
    link: str = ""
    uid: int = 0
    gid: int = 0
    uname: str = "root"
    gname: str = "root"
    device: tuple[int, int] = (0, 0)
    records: Mapping[str, str] | None = None
    open: Callable[[], IO[bytes]] = io.BytesIO


@dataclass(frozen=True)
class DataDigest:
    """The data member as written: its size and SHA-256."""

    size: int
    sha256: str


def write_data(members: Iterable[Member], stream: IO[bytes], *, mtime: int, level: int = LEVEL) -> DataDigest:
    """Write the data member: a whole tar, end-of-archive blocks included, as one gzip member.

    Raises:
        PackageFormatError: a file changed its size while it was read.
    """
    compressor = zlib_ng.compressobj(level, zlib_ng.DEFLATED, _GZIP)
    digest = hashlib.sha256()
    size = 0

    def write(piece: bytes) -> None:
        nonlocal size
        digest.update(piece)
        size += len(piece)
        stream.write(piece)

    for piece in _tar(members, mtime):
        write(compressor.compress(piece))
    write(compressor.compress(bytes(2 * _BLOCK)))
    write(compressor.flush())
    return DataDigest(size, digest.hexdigest())


def _tar(members: Iterable[Member], mtime: int) -> Iterator[bytes]:
    for member in members:
        yield _header(member, mtime)
        if member.type != tarfile.REGTYPE:
            continue
        left = member.size
        with member.open() as content:
            while piece := content.read(_CHUNK):
                left -= len(piece)
                yield piece
        if left:
            raise PackageFormatError("the file changed while it was packed", where=member.path)
        yield bytes(-member.size % _BLOCK)


def _header(member: Member, mtime: int) -> bytes:
    header = tarfile.TarInfo(member.path)
    header.type = member.type
    header.mode = member.mode
    header.size = member.size
    header.linkname = member.link
    header.uid, header.gid, header.uname, header.gname = member.uid, member.gid, member.uname, member.gname
    header.devmajor, header.devminor = member.device
    header.mtime = mtime
    header.pax_headers = dict(member.records or {})
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def sign_package(control: bytes, signer: Signer | None, mtime: int) -> bytes:
    """Return what stands before the data member: the signature, if there is a signer, and the control member."""
    if signer is None:
        return control
    return write_flat([(signer.member_name, signer.sign(control), 0o644)], mtime=mtime) + control


def write_flat(files: Iterable[tuple[str, bytes, int]], *, mtime: int, end: bool = False) -> bytes:
    """Return a gzip member with a tar of plain files, given as name, content and mode.

    Control and signature members have no end-of-archive blocks (`end=False`), so that the whole decompressed
    package is one tar.
    """
    members = [
        Member(name, tarfile.REGTYPE, mode, size=len(data), open=lambda data=data: io.BytesIO(data))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        for name, data, mode in files
    ]
    compressor = zlib_ng.compressobj(LEVEL, zlib_ng.DEFLATED, _GZIP)
    pieces = [compressor.compress(piece) for piece in _tar(members, mtime)]
    pieces.append(compressor.compress(bytes(2 * _BLOCK if end else 0)))
    return b"".join(pieces) + compressor.flush()


def control_checksum(control: bytes) -> str:
    """Return the identity of a package as indexes write it: `Q1` and the base64 of its control member's SHA-1."""
    return "Q1" + base64.b64encode(hashlib.sha1(control).digest()).decode()


@dataclass(frozen=True)
class Segments:
    """The head of a package or index: its signatures, and where what they sign begins.

    Attributes:
        signatures: name and content of each signature file.
        control: compressed bytes of the control member.
        files: content of the control member by name.
        data_offset: where the data member begins in the file.
    """

    signatures: tuple[tuple[str, bytes], ...]
    control: bytes
    files: Mapping[str, bytes]
    data_offset: int


def read_segments(stream: IO[bytes], *, where: str) -> Segments:
    """Read the signature and control members of a package.

    Raises:
        PackageFormatError: it is truncated, not gzip, not tar, or has no control member.
    """
    signatures: list[tuple[str, bytes]] = []
    offset = 0
    while True:
        raw, plain = _read_member(stream, offset, where)
        files = _read_tar(plain, where)
        offset += len(raw)
        if ".PKGINFO" in files:
            return Segments(tuple(signatures), raw, files, offset)
        if not files or not all(name.startswith(".SIGN.") and "/" not in name for name in files):
            raise PackageFormatError("has no control member with a .PKGINFO", where=where)
        signatures += files.items()


def _read_member(stream: IO[bytes], offset: int, where: str) -> tuple[bytes, bytes]:
    stream.seek(offset)
    inflate = zlib_ng.decompressobj(_GZIP)
    raw = bytearray()
    plain = bytearray()
    while not inflate.eof:
        piece = stream.read(1 << 16)
        if not piece:
            raise PackageFormatError("ends in the middle of a gzip member", where=where)
        try:
            plain += inflate.decompress(piece, _CONTROL_LIMIT)
        except GzipError:
            raise PackageFormatError("is not a gzip file", where=where) from None
        if len(plain) >= _CONTROL_LIMIT or inflate.unconsumed_tail:
            raise PackageFormatError("has a control member larger than 16 MiB", where=where)
        raw += piece[: len(piece) - len(inflate.unused_data)]
    return bytes(raw), bytes(plain)


def _read_tar(plain: bytes, where: str) -> dict[str, bytes]:
    plainly = _read_plain_tar(plain)
    if plainly is not None:
        return plainly
    files: dict[str, bytes] = {}
    try:
        # Members without end-of-archive blocks are no error to tarfile.
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for item in tar:
                # Links could point anywhere, or at each other.
                content = tar.extractfile(item) if item.isreg() and not item.issparse() else None
                files[item.name] = content.read() if content else b""
    except (tarfile.TarError, ValueError) as error:
        raise PackageFormatError(f"holds a broken tar: {error}", where=where) from None
    return files


def _read_plain_tar(plain: bytes) -> dict[str, bytes] | None:
    """Return the files of a tar with nothing but plain files, in half of the time; None where it is another."""
    files: dict[str, bytes] = {}
    offset = 0
    while offset < len(plain) or not files:
        try:
            item = tarfile.TarInfo.frombuf(plain[offset : offset + _BLOCK], "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return None
        start = offset + _BLOCK
        offset = start + -(-item.size // _BLOCK) * _BLOCK
        if item.type != tarfile.REGTYPE or item.size < 0 or offset > len(plain):
            return None
        files[item.name] = plain[start : start + item.size]
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
        with path.open("rb") as stream:
            segments = read_segments(stream, where=str(path))
            size = stream.seek(0, io.SEEK_END)
    except OSError as error:
        raise PackageFormatError(f"cannot be read: {reason_of(error)}", where=str(path)) from None
    if keyring is not None:
        check_signatures(segments.signatures, segments.control, keyring, where=str(path))
    try:
        info = parse_pkginfo(segments.files[".PKGINFO"].decode())
    except UnicodeDecodeError:
        raise PackageFormatError(".PKGINFO is not UTF-8", where=str(path)) from None
    except PackageFormatError as error:
        raise PackageFormatError(f"{error.where}: {error.message}", where=str(path)) from None
    return IndexEntry(info, control_checksum(segments.control), size)


def check_signatures(signatures: Iterable[tuple[str, bytes]], data: bytes, keyring: Keyring, *, where: str) -> None:
    """Check that one signature is by a trusted key and fits; signatures by unknown keys are passed over.

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
            return
    raise failure


def check_datahash(stream: IO[bytes], segments: Segments, *, where: str) -> None:
    """Check that the data member is the one that the control member names.

    Raises:
        PackageFormatError: it is not, or the control member names none.
    """
    expected = parse_pkginfo(segments.files[".PKGINFO"].decode(errors="replace")).datahash
    stream.seek(segments.data_offset)
    digest = hashlib.sha256()
    while piece := stream.read(_CHUNK):
        digest.update(piece)
    if digest.hexdigest() != expected:
        message = f"its data has SHA-256 {digest.hexdigest()}, its .PKGINFO says {expected or 'nothing'}"
        raise PackageFormatError(message, where=where)
