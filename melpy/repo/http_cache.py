"""What servers sent, kept with what they said of it, so that they are asked only whether it is still right.

A file holds a line of JSON (URI, ETag, Last-Modified, SHA-256) and then the content. Whoever reads it checks its
signature.
"""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from melpy.digest import sha256_hex
from melpy.files import write_file
from melpy.net import Advice, Answer, download

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class _Kept(NamedTuple):
    content: bytes
    answer: Answer


def fetch_cached(
    uri: str,
    cache: Path,
    *,
    offline: bool = False,
    limit: int | None = None,
    note: Callable[[str], object] | None = None,
) -> bytes:
    """Return what a server has under a URI.

    Args:
        uri: an http or https URI.
        cache: directory where it is kept.
        offline: take what was kept, and ask no server.
        limit: bytes that it may have at most.
        note: is told of further attempts.

    Raises:
        UnreachableError: it cannot be had.
        OutputError: the cache cannot be written.
        SettingsError: HTTP_AUTH is malformed.
    """
    path = _path(uri, cache)
    kept = _read(path, uri)
    if offline and kept:
        return kept.content
    with tempfile.TemporaryFile() as stream:
        known, advice = kept.answer if kept else None, Advice(note=note)
        answer = download(uri, stream, known=known, offline=offline, limit=limit, advice=advice)
        if kept and answer.same:
            return kept.content
        stream.seek(0)
        content = stream.read()
    head = {"uri": uri, "etag": answer.etag, "modified": answer.modified, "sha256": sha256_hex(content)}
    write_file(path, f"{json.dumps(head)}\n".encode() + content)
    return content


def _path(uri: str, cache: Path) -> Path:
    return cache / sha256_hex(uri.encode())[:32]


def _read(path: Path, uri: str) -> _Kept | None:
    try:
        head, _, content = path.read_bytes().partition(b"\n")
        known = json.loads(head)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(known, dict) or known.get("uri") != uri or known.get("sha256") != sha256_hex(content):
        return None  # of something else, or damaged
    return _Kept(content, Answer(str(known.get("etag", "")), str(known.get("modified", ""))))
