"""Digests, and the canonical JSON that identities are digests of."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def canonical_json(value: object) -> bytes:
    """Return `value` as JSON with one possible spelling: sorted keys, no spaces, UTF-8.

    Bytes of names that are not UTF-8, which Python holds as lone surrogates, are written as they are: no text has
    these.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogateescape")


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def identity(value: object) -> str:
    """Return the identity of a JSON-able value: the SHA-256 of its canonical JSON."""
    return sha256_hex(canonical_json(value))


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file in lower-case hex, reading it in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
