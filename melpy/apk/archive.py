"""Writing APK v2 files: two or three gzip members (signature, control, data), each holding a tar.

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
from typing import IO, TYPE_CHECKING

from msgspec import Struct
from zlib_ng import zlib_ng

from melpy.codec import Noun
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from melpy.apk.signature import Signer

LEVEL = 9
COMPRESSOR = f"zlib-ng-{LEVEL}"
"""What wrote the bytes of a package, as recorded in it."""

_GZIP = 31  # zlib's window bits for 32 KiB and a gzip header, which then has no time and no name
_BLOCK = 512
_CHUNK = 1 << 20


class Member(Struct, frozen=True):
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


class DataDigest(Noun, frozen=True):
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


class _Header(tarfile.TarInfo):
    """A header whose name is written as it is."""

    def get_info(self) -> Mapping[str, str | int | bytes | Mapping[str, str]]:
        """Return the fields without the slash that tarfile adds to the names of directories.

        apko's tarfs finds entries by their exact names, and a walk asks for `usr`: with `usr/` it sees nothing.
        """
        return {**super().get_info(), "name": self.name}


def _header(member: Member, mtime: int) -> bytes:
    header = _Header(member.path)
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


def write_flat(files: Iterable[tuple[str, bytes, int]], *, mtime: int, end: bool = False, level: int = LEVEL) -> bytes:
    """Return a gzip member with a tar of plain files, given as name, content and mode.

    Control and signature members have no end-of-archive blocks (`end=False`), so that the whole decompressed
    package is one tar.
    """
    members = [
        Member(name, tarfile.REGTYPE, mode, size=len(data), open=lambda data=data: io.BytesIO(data))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        for name, data, mode in files
    ]
    compressor = zlib_ng.compressobj(level, zlib_ng.DEFLATED, _GZIP)
    pieces = [compressor.compress(piece) for piece in _tar(members, mtime)]
    pieces.append(compressor.compress(bytes(2 * _BLOCK if end else 0)))
    return b"".join(pieces) + compressor.flush()


def control_checksum(control: bytes) -> str:
    """Return the identity of a package as indexes write it: `Q1` and the base64 of its control member's SHA-1."""
    return "Q1" + base64.b64encode(hashlib.sha1(control).digest()).decode()
