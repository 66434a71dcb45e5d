"""APKINDEX.tar.gz: what a repository offers. Source: apk-tools 3, apk-package(5) and its index writer.

One stanza a package, one `letter:value` line a fact, an empty line between packages.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

from melpy.apk.archive import GzipError, check_signatures, write_flat
from melpy.apk.model import Index, IndexEntry, PackageInfo
from melpy.apk.pkginfo import one_line
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from melpy.apk.signature import Keyring, Signer

FILE_NAME = "APKINDEX.tar.gz"
_GZIP = 31
_SIGNATURE_LIMIT = 1 << 16
_INDEX_LIMIT = 300 << 20


def render_index(entries: Iterable[IndexEntry]) -> str:
    """Return the text of APKINDEX."""
    return "".join("".join(f"{key}:{value}\n" for key, value in _fields(entry)) + "\n" for entry in entries)


def _fields(entry: IndexEntry) -> Iterator[tuple[str, str]]:
    info = entry.info
    yield from (("C", entry.checksum), ("P", info.name), ("V", info.version), ("A", info.arch))
    yield from (
        ("S", str(entry.size)),
        ("I", str(info.installed_size)),
        ("T", " ".join(info.description.split())),
    )
    optional = (
        ("U", info.url),
        ("L", " AND ".join(info.licenses)),
        ("o", info.origin),
        ("m", info.maintainer),
        ("t", str(info.build_date or "")),
        ("c", info.commit),
        ("k", "" if info.provider_priority == "0" else info.provider_priority),
        ("D", " ".join(info.depends)),
        ("p", " ".join(info.provides)),
        ("i", " ".join(info.install_if)),
    )
    yield from ((key, one_line(value)) for key, value in optional if value)


_LISTS = {"D", "p", "i"}
"""Fields that go on where they are repeated."""


def parse_index(text: str, *, where: str) -> tuple[IndexEntry, ...]:
    """Read the text of APKINDEX; unknown lines are ignored.

    Raises:
        PackageFormatError: a line is malformed or a package lacks its name, version or checksum.
    """
    stanzas = text.replace("\r\n", "\n").strip("\n").split("\n\n")
    return tuple(_parse_stanza(stanza, where) for stanza in stanzas if stanza.strip())


def _parse_stanza(stanza: str, where: str) -> IndexEntry:
    fields: dict[str, str] = {}
    for line in stanza.split("\n"):
        if line[1:2] != ":":
            raise PackageFormatError(f"malformed line {line!r} in the index", where=where)
        key, value = line[0], line[2:]
        fields[key] = f"{fields[key]} {value}" if key in _LISTS and key in fields else value
    get = fields.get
    try:
        info = PackageInfo(
            name=fields["P"],
            version=fields["V"],
            arch=get("A", ""),
            installed_size=int(get("I", "0")),
            origin=get("o", ""),
            description=get("T", ""),
            url=get("U", ""),
            commit=get("c", ""),
            maintainer=get("m", ""),
            build_date=int(get("t", "0")),
            licenses=(get("L", ""),) if get("L") else (),
            depends=tuple(get("D", "").split()),
            provides=tuple(get("p", "").split()),
            install_if=tuple(get("i", "").split()),
            provider_priority=get("k", ""),
        )
        return IndexEntry(info, fields["C"], int(get("S", "0")))
    except (KeyError, ValueError) as error:
        raise PackageFormatError(f"a package of the index lacks or garbles {error}", where=where) from None


def write_index(entries: Iterable[IndexEntry], *, signer: Signer | None = None, description: str = "") -> bytes:
    """Return an APKINDEX.tar.gz, signed when there is a signer. The same entries give the same bytes."""
    body = write_flat(
        [("APKINDEX", render_index(entries).encode(), 0o644), ("DESCRIPTION", description.encode(), 0o644)],
        mtime=0,
        end=True,
    )
    if signer is None:
        return body
    return write_flat([(signer.member_name, signer.sign(body), 0o644)], mtime=0) + body


def read_index(data: bytes, *, keyring: Keyring | None, where: str) -> Index:
    """Read an APKINDEX.tar.gz.

    Args:
        data: its bytes.
        keyring: trusted keys; None means that the signature is not checked.
        where: what to call it in messages.

    Raises:
        PackageFormatError: it is not an index.
        SignatureError: it is not signed by a trusted key.
    """
    signatures, body = split_signatures(data, where)
    if keyring is not None:
        check_signatures(signatures, body, keyring, where=where)
    files = dict(_files(body, where))
    if "APKINDEX" not in files:
        raise PackageFormatError("is not an index: it holds no APKINDEX", where=where)
    try:
        text, description = files["APKINDEX"].decode(), files.get("DESCRIPTION", b"").decode()
    except UnicodeDecodeError:
        raise PackageFormatError("the index is not UTF-8", where=where) from None
    return Index(parse_index(text, where=where), description)


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
