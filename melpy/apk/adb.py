"""Indexes of apk-tools 3, `Packages.adb`: read, never written.

A file is a mark that says how it is compressed, then a magic, the schema and blocks: one with the values, then its
signatures. A value is a word: four bits say its type, the others are the value or where it stands in the block. An
object is a count and as many words, field 0 being the count. Source: apk-tools 3, apk-v3(5) and its schema of indexes.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

from melpy.apk.inflate import GzipError
from melpy.apk.model import Index, IndexEntry, PackageInfo
from melpy.apk.stanza import hold_stanzas, render_stanza
from melpy.errors import PackageFormatError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.apk.signature import Keyring

_MAGIC = b"ADB."
_SCHEMA_INDEX = 0x78646E69
_LIMIT = 128 << 20  # that of 60,000 packages has some 50 million
_INTEGERS = {0x2: "<I", 0x3: "<Q"}
_BLOBS = {0x8: "<B", 0x9: "<H", 0xA: "<I"}
_LISTS = {0xD, 0xE}
_OPERATORS = {1: "=", 2: "<", 3: "<=", 4: ">", 5: ">=", 6: "><", 8: "~", 9: "~", 11: "<~", 13: ">~"}
_CONFLICT = 16
_NAMES = ("${name}-${version}.apk", "")
_SHA1_SIZE = 20
_MOST_READ = 1 << 28  # bytes of values; an index of 60,000 packages has some 50 million
_MOST_BLOCKS = 32
_MOST_FIELDS = 1 << 20  # of one list; that of the packages is the longest


def is_adb(data: bytes) -> bool:
    """Tell whether a file is of apk-tools 3."""
    return data.startswith(b"ADB")


def read_adb_index(data: bytes, *, keyring: Keyring | None, where: str) -> Index:
    """Read an index.

    Args:
        data: its bytes.
        keyring: trusted keys; None means that the signature is not checked.
        where: what to call it in messages.

    Raises:
        PackageFormatError: it is not an index, or of a kind that is not read.
        SignatureError: it is not signed by a trusted key.
    """
    plain = _unpack(data, where)
    try:
        schema, blocks = _read_blocks(plain, where)
        if schema != _SCHEMA_INDEX:
            raise PackageFormatError("is not an index, but another file of apk-tools 3", where=where)
        signed_by = _check(blocks, schema, keyring, where) if keyring is not None else ""
        return _read_index(_Values(blocks[0][1]), signed_by, where)
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError):
        raise PackageFormatError("is a broken index of apk-tools 3", where=where) from None


def _unpack(data: bytes, where: str) -> bytes:
    if data.startswith(_MAGIC):
        return data
    if data.startswith(b"ADBd"):
        packed = data[4:]
    elif data.startswith(b"ADBc\x01"):
        packed = data[6:]
    elif data.startswith(b"ADBc\x00"):
        return data[6:]
    else:
        hint = "have it compressed with deflate: apk mkndx --compression deflate"
        raise PackageFormatError("is compressed in a way that is not read", where=where, hint=hint)
    inflate = zlib_ng.decompressobj(-15)
    try:
        plain = inflate.decompress(packed, _LIMIT)
    except GzipError:
        raise PackageFormatError("is a broken index of apk-tools 3", where=where) from None
    if not inflate.eof:
        raise PackageFormatError("is a broken index: it ends too early or is larger than 128 MiB", where=where)
    return plain


def _read_blocks(plain: bytes, where: str) -> tuple[int, list[tuple[int, bytes]]]:
    """Return the schema, and type and content of each block; the first is the one with the values."""
    magic, schema = struct.unpack_from("<4sI", plain)
    blocks: list[tuple[int, bytes]] = []
    offset = 8
    while offset < len(plain):
        (head,) = struct.unpack_from("<I", plain, offset)
        kind, size, header = head >> 30, head & 0x3FFFFFFF, 4
        if kind == 3:
            kind, header = size, 16
            (size,) = struct.unpack_from("<Q", plain, offset + 8)
        if size < header or offset + size > len(plain):
            raise PackageFormatError("is a broken index of apk-tools 3", where=where)
        if len(blocks) == _MOST_BLOCKS:
            raise PackageFormatError("has more signatures than are read", where=where)
        blocks.append((kind, plain[offset + header : offset + size]))
        offset += -(-size // 8) * 8
    if magic != _MAGIC or [kind for kind, _ in blocks[:1]] != [0] or any(kind != 1 for kind, _ in blocks[1:]):
        raise PackageFormatError("is a broken index of apk-tools 3", where=where)
    return schema, blocks


def _check(blocks: list[tuple[int, bytes]], schema: int, keyring: Keyring, where: str) -> str:
    """Return the name of the trusted key that signed the first block.

    A signature is its version, its digest's kind, the key's id and RSA over schema, these, and the block's digest.
    """
    digests = {3: "sha256", 4: "sha512"}
    trusted = keyring.by_id()
    failure = SignatureError("is not signed", where=where, hint="sign it: apk adbsign")
    for _, block in blocks[1:]:
        version, kind, key_id = struct.unpack_from("<BB16s", block)
        if version != 0 or kind not in digests:
            continue
        if key_id not in trusted:
            hint = f"trusted keys: {', '.join(keyring.names) or 'none'}; add its public key with --keyring-append"
            failure = SignatureError(f"signed with key {key_id.hex()}, which is not trusted", where=where, hint=hint)
            continue
        signed = struct.pack("<I", schema) + block[:18] + hashlib.new(digests[kind], blocks[0][1]).digest()
        if keyring.fits(trusted[key_id], block[18:], signed):
            return trusted[key_id]
        failure = SignatureError(f"the signature by {trusted[key_id]} does not fit", where=where)
    raise failure


class _Values:
    """The values of a block."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._left = _MOST_READ
        compatible, _, _, self.root = struct.unpack_from("<BBHI", block)
        if compatible != 0:
            raise struct.error("a later version")

    def fields(self, word: int) -> tuple[int, ...]:
        """Return the words of an object or array, the first being its count."""
        kind, place = word >> 28, word & 0x0FFFFFFF
        if kind not in _LISTS:
            return ()
        (count,) = struct.unpack_from("<I", self._block, place)
        if count > _MOST_FIELDS:
            raise struct.error("more values than there can be")
        self._spend(4 * count)
        return struct.unpack_from(f"<{count}I", self._block, place) if count * 4 <= len(self._block) else ()

    def _spend(self, size: int) -> None:
        """Take note of bytes that are read: values may stand for the same ones again and again."""
        self._left -= size
        if self._left < 0:
            raise struct.error("more values than there can be")

    def number(self, word: int) -> int:
        kind, value = word >> 28, word & 0x0FFFFFFF
        if kind in _INTEGERS:
            (value,) = struct.unpack_from(_INTEGERS[kind], self._block, value)
        return value if kind in {0x1, *_INTEGERS} else 0

    def blob(self, word: int) -> bytes:
        kind, place = word >> 28, word & 0x0FFFFFFF
        if kind not in _BLOBS:
            return b""
        (size,) = struct.unpack_from(_BLOBS[kind], self._block, place)
        start = place + struct.calcsize(_BLOBS[kind])
        if start + size > len(self._block):
            raise IndexError
        self._spend(size)
        return self._block[start : start + size]

    def text(self, word: int) -> str:
        return self.blob(word).decode()


def _read_index(values: _Values, signed_by: str, where: str) -> Index:
    description, packages, names = _padded(values.fields(values.root), 3)
    if values.text(names) not in _NAMES:
        message = f"names its packages {values.text(names)!r}, which is not understood"
        raise PackageFormatError(message, where=where, hint=f"leave them at {_NAMES[0]}")
    entries = (_read_package(_padded(values.fields(word), 21), values) for word in values.fields(packages)[1:])
    return Index(hold_stanzas(map(render_stanza, entries), where=where), values.text(description), where, signed_by)


def _padded(words: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return fields without their count; those that an object does not have are null."""
    return (*words[1 : count + 1], *([0] * (count + 1 - max(1, len(words)))))


def _read_package(field: tuple[int, ...], values: _Values) -> IndexEntry:
    """Read the fields of pkginfo, which the schema numbers from 1."""
    text = values.text
    identity = values.blob(field[2])
    licence = text(field[5])
    info = PackageInfo(
        name=text(field[0]),
        version=text(field[1]),
        arch=text(field[4]),
        installed_size=values.number(field[11]),
        origin=text(field[6]),
        description=text(field[3]),
        url=text(field[8]),
        commit=values.blob(field[9]).hex(),
        maintainer=text(field[7]),
        build_date=values.number(field[10]),
        licenses=(licence,) if licence else (),
        depends=tuple(_read_dependencies(field[14], values)),
        provides=tuple(_read_dependencies(field[15], values)),
        install_if=tuple(_read_dependencies(field[17], values)),
        provider_priority=str(values.number(field[13]) or ""),
    )
    # Packages of apk-tools 2 have the SHA-1 of their control member; those of apk-tools 3 a SHA-256, as `Q2`.
    if not identity:
        raise struct.error("a package without identity")
    kind = "Q1" if len(identity) == _SHA1_SIZE else "Q2"
    return IndexEntry(info, kind + base64.b64encode(identity).decode(), values.number(field[12]))


def _read_dependencies(word: int, values: _Values) -> Iterator[str]:
    for dependency in values.fields(word)[1:]:
        name, version, match = _padded(values.fields(dependency), 3)
        operator = values.number(match) or 1
        mark = "!" if operator & _CONFLICT else ""
        if version and operator & ~_CONFLICT not in _OPERATORS:
            raise struct.error("an operator that there is not")
        constraint = _OPERATORS[operator & ~_CONFLICT] + values.text(version) if version else ""
        yield f"{mark}{values.text(name)}{constraint}"
