"""APKINDEX.tar.gz: what a repository offers. Source: apk-tools 3, apk-package(5) and its index writer.

One stanza a package, one `letter:value` line a fact, an empty line between packages.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

from melpy.apk.adb import is_adb, read_adb_index
from melpy.apk.archive import write_flat
from melpy.apk.inflate import WINDOW, GzipError, GzipReader, TooMuchError
from melpy.apk.model import Index
from melpy.apk.segment import check_signatures
from melpy.apk.stanza import LONGEST_STANZA, hold_stanzas, parse_stanza, render_stanza
from melpy.apk.tar import TarError, TarReader
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Keyring, Signer

_LEVEL = 7  # of an index, level 9 makes more, and takes half as long again
_SIGNATURE_LIMIT = 1 << 16
_INDEX_LIMIT = 256 << 20  # that of 60,000 packages has some 50 million
_FREE, _RATIO = 16 << 20, 32
"""Bytes that an index may unpack to, and further ones for each byte of it: honest ones have 4 to 6, since checksums do
not compress; of packages with nothing but names it is 20."""
_CHUNK = 1 << 18
_MOST_SIGNATURES = 32


def render_index(stanzas: Iterable[str]) -> str:
    """Return the text of APKINDEX."""
    return "".join(f"{stanza}\n\n" for stanza in stanzas)


def parse_index(text: str, *, description: str = "", where: str) -> Index:
    """Take the text of APKINDEX apart into its packages, which are not looked into yet."""
    return Index(hold_stanzas(_split([text.encode()]), where=where), description, where)


def _split(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the packages of APKINDEX, whose bytes come in pieces that end anywhere."""
    kept = b""
    for piece in pieces:
        joined = kept + piece
        *whole, kept = (joined.replace(b"\r\n", b"\n") if b"\r" in joined else joined).split(b"\n\n")
        yield from (stanza.strip(b"\n").decode() for stanza in whole if stanza.strip(b"\n"))
        if len(kept) > LONGEST_STANZA:
            raise TooMuchError
    if last := kept.strip(b"\n"):
        yield last.decode()


def read_entries(index: Index) -> tuple[IndexEntry, ...]:
    """Read every package of an index.

    Raises:
        PackageFormatError: a line is malformed or a package lacks its name, version or checksum.
    """
    return tuple(parse_stanza(stanza, where=index.where) for stanza in index.stanzas)


def write_index(entries: Iterable[IndexEntry], *, signer: Signer | None = None, description: str = "") -> bytes:
    """Return an APKINDEX.tar.gz, signed when there is a signer. The same entries give the same bytes."""
    return compose_index(map(render_stanza, entries), signer=signer, description=description)


def compose_index(stanzas: Iterable[str], *, signer: Signer | None = None, description: str = "") -> bytes:
    """Return an APKINDEX.tar.gz of packages as `render_stanza` writes them."""
    files = [("APKINDEX", render_index(stanzas).encode(), 0o644), ("DESCRIPTION", description.encode(), 0o644)]
    body = write_flat(files, mtime=0, end=True, level=_LEVEL)
    if signer is None:
        return body
    return write_flat([(signer.member_name, signer.sign(body), 0o644)], mtime=0) + body


def read_index(data: bytes, *, keyring: Keyring | None, where: str) -> Index:
    """Read an APKINDEX.tar.gz, or a Packages.adb.

    Args:
        data: its bytes.
        keyring: trusted keys; None means that the signature is not checked.
        where: what to call it in messages.

    Raises:
        PackageFormatError: it is not an index.
        SignatureError: it is not signed by a trusted key.
    """
    if is_adb(data):
        return read_adb_index(data, keyring=keyring, where=where)
    signatures, body = split_signatures(data, where)
    signed_by = check_signatures(signatures, body, keyring, where=where) if keyring is not None else ""
    stanzas: tuple[str, ...] | None = None
    description = ""
    reader = GzipReader(io.BytesIO(body), min(_INDEX_LIMIT, _FREE + _RATIO * len(body)), single=True)
    tar = TarReader(reader.read)
    try:
        for member in tar.members():
            if member.path == "APKINDEX":
                stanzas = hold_stanzas(_split(tar.content(member)), where=where)
            elif member.path == "DESCRIPTION" and member.size <= LONGEST_STANZA:
                description = b"".join(tar.content(member)).decode()
        while reader.read(_CHUNK):
            pass
    except UnicodeDecodeError:
        raise PackageFormatError("the index is not UTF-8", where=where) from None
    except TooMuchError:
        raise PackageFormatError("is an index that unpacks to far more than an honest one", where=where) from None
    except TarError as error:
        raise PackageFormatError(f"is a broken index: {error}", where=where) from None
    if not reader.is_whole:
        raise PackageFormatError("is a broken index: it ends too early", where=where)
    if stanzas is None:
        raise PackageFormatError("is not an index: it holds no APKINDEX", where=where)
    return Index(stanzas, description, where, signed_by)


def split_signatures(data: bytes, where: str) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return the signature files and the bytes that they sign."""
    signatures: list[tuple[str, bytes]] = []
    while True:
        inflate = zlib_ng.decompressobj(WINDOW)
        head = data[:_SIGNATURE_LIMIT]
        try:
            plain = inflate.decompress(head, 4 * _SIGNATURE_LIMIT)
        except GzipError:
            raise PackageFormatError("is not an index: it is not gzip", where=where) from None
        if not inflate.eof or not plain.startswith(b".SIGN."):
            return signatures, data
        end = len(head) - len(inflate.unused_data)
        signatures += _files(data[:end], where)
        if len(signatures) > _MOST_SIGNATURES:
            raise PackageFormatError("has more signatures than are read", where=where)
        data = data[end:]


def _files(data: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    reader = GzipReader(io.BytesIO(data), 4 * _SIGNATURE_LIMIT, single=True)
    tar = TarReader(reader.read)
    try:
        for member in tar.members():
            yield member.path, b"".join(tar.content(member))
    except TarError as error:
        raise PackageFormatError(f"is a broken index: {error}", where=where) from None
