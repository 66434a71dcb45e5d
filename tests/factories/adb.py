"""Files of apk-tools 3, made from scratch: what melpy reads and never writes."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.apk.signature import Signer

INDEX = 0x78646E69


class AdbBlock:
    """A block of values; each method returns the word that stands for a value."""

    def __init__(self) -> None:
        self.data = bytearray(8)

    def _put(self, kind: int, content: bytes, align: int = 1) -> int:
        self.data += bytes(-len(self.data) % align)
        place = len(self.data)
        self.data += content
        return kind << 28 | place

    def text(self, value: str | bytes) -> int:
        content = value.encode() if isinstance(value, str) else value
        if not content:
            return 0
        if len(content) < 1 << 8:
            return self._put(0x8, struct.pack("<B", len(content)) + content)
        if len(content) < 1 << 16:
            return self._put(0x9, struct.pack("<H", len(content)) + content, 2)
        return self._put(0xA, struct.pack("<I", len(content)) + content, 4)

    def number(self, value: int) -> int:
        if value < 1 << 28:
            return 0x1 << 28 | value
        return (
            self._put(0x2, struct.pack("<I", value), 4)
            if value < 1 << 32
            else self._put(0x3, struct.pack("<Q", value), 8)
        )

    def fields(self, words: Sequence[int], kind: int = 0xE) -> int:
        return self._put(kind, struct.pack(f"<{len(words) + 1}I", len(words) + 1, *words), 4)

    def dependency(self, name: str, version: str = "", match: int = 0) -> int:
        words = [self.text(name), self.text(version), self.number(match) if match else 0]
        while words and not words[-1]:
            words.pop()
        return self.fields(words)

    def array(self, words: Sequence[int]) -> int:
        return self.fields(words, 0xD) if words else 0

    def finished(self, root: int) -> bytes:
        self.data[0:8] = struct.pack("<BBHI", 0, 0, 0, root)
        return bytes(self.data)


def adb_file(block: bytes, signers: Sequence[Signer] = (), *, mark: bytes = b"ADBd", schema: int = INDEX) -> bytes:
    """Return a file with a block, signed."""
    plain = struct.pack("<4sI", b"ADB.", schema) + _block(0, block)
    for signer in signers:
        form = serialization.Encoding.DER, serialization.PublicFormat.PKCS1
        key_id = hashlib.sha512(signer.key.public_key().public_bytes(*form)).digest()[:16]
        head = struct.pack("<BB", 0, 4) + key_id
        signed = struct.pack("<I", schema) + head + hashlib.sha512(block).digest()
        plain += _block(1, head + signer.key.sign(signed, padding.PKCS1v15(), hashes.SHA512()))
    if mark == b"ADB.":
        return plain
    packer = zlib.compressobj(wbits=-15)
    return mark + (plain if mark == b"ADBc\0\0" else packer.compress(plain) + packer.flush())


def _block(kind: int, content: bytes) -> bytes:
    whole = struct.pack("<I", kind << 30 | (4 + len(content))) + content
    return whole + bytes(-len(whole) % 8)
