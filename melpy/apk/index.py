"""APKINDEX.tar.gz: what a repository offers. Source: apk-tools 3, apk-package(5) and its index writer.

One stanza a package, one `letter:value` line a fact, an empty line between packages.
"""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

from melpy.apk.adb import is_adb, read_adb_index
from melpy.apk.archive import write_flat
from melpy.apk.model import Index
from melpy.apk.segment import GzipError, check_signatures
from melpy.apk.stanza import parse_stanza, render_stanza
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Keyring, Signer

_GZIP = 31
_LEVEL = 7  # of an index, level 9 makes more, and takes half as long again
_SIGNATURE_LIMIT = 1 << 16
_INDEX_LIMIT = 300 << 20
_MOST_SIGNATURES = 32


def render_index(stanzas: Iterable[str]) -> str:
    """Return the text of APKINDEX."""
    return "".join(f"{stanza}\n\n" for stanza in stanzas)


def parse_index(text: str, *, description: str = "", where: str) -> Index:
    """Take the text of APKINDEX apart into its packages, which are not looked into yet."""
    text = text.replace("\r\n", "\n").strip("\n")
    if "\n\n\n" in text:
        text = re.sub(r"\n{3,}", "\n\n", text)
    return Index(tuple(text.split("\n\n")) if text else (), description, where)


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
    files = dict(_files(body, where))
    if "APKINDEX" not in files:
        raise PackageFormatError("is not an index: it holds no APKINDEX", where=where)
    try:
        text, description = files["APKINDEX"].decode(), files.get("DESCRIPTION", b"").decode()
    except UnicodeDecodeError:
        raise PackageFormatError("the index is not UTF-8", where=where) from None
    return replace(parse_index(text, description=description, where=where), signed_by=signed_by)


def split_signatures(data: bytes, where: str) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return the signature files and the bytes that they sign."""
    signatures: list[tuple[str, bytes]] = []
    while True:
        inflate = zlib_ng.decompressobj(_GZIP)
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
    inflate = zlib_ng.decompressobj(_GZIP)
    try:
        plain = inflate.decompress(data, _INDEX_LIMIT)
        if not inflate.eof:
            raise PackageFormatError("is a broken index: it ends too early or is larger than 300 MB", where=where)
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for item in tar:
                content = tar.extractfile(item) if item.isreg() and not item.issparse() else None
                if content is not None:
                    yield item.name, content.read()
    except (tarfile.TarError, ValueError, GzipError) as error:
        raise PackageFormatError(f"is a broken index: {error}", where=where) from None
