"""Upstream files by digest: the local cache first, then mirrors, then upstream itself. Always verified.

The cache is a directory of files named `sha256:<hex>` and `sha512:<hex>`, as melange's `--cache-dir` has them.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

from melpy import events
from melpy.digest import file_digest, sha256_hex
from melpy.errors import DigestMismatchError, UnreachableError
from melpy.files import replace_file
from melpy.net import download

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from melpy.plan.model import Source


_HINT = (
    "check the URI and the network, give a mirror with --mirror, "
    "or look for it in a Debian suite with melpy bootstrap RECIPE"
)


def cache_name(source: Source) -> str:
    """Return the name under which the cache keeps a source: by its SHA-256 if it has one, without a digest by URI."""
    if source.sha256:
        return f"sha256:{source.sha256}"
    return f"sha512:{source.sha512}" if source.sha512 else f"unverified:{sha256_hex(source.uri.encode())}"


def file_name(uri: str) -> str:
    """Return the last component of a URI, as `wget` would name the file."""
    return uri.rstrip("/").rpartition("/")[2]


def fetch_source(
    source: Source,
    cache: Path,
    mirrors: Sequence[str],
    monitor: events.Monitor,
    job: str = "",
    *,
    offline: bool = False,
) -> Path:
    """Return the file of a source from the cache, fetching it first when it is not there.

    Raises:
        UnreachableError: neither a mirror nor upstream has it.
        DigestMismatchError: what upstream has is not what the recipe names.
        OutputError: the cache cannot be written.
    """
    path = cache / cache_name(source)
    if not (source.sha256 or source.sha512):
        if source.uri.startswith("file:"):
            raise UnreachableError("a file of this machine is fetched by digest only", where=source.uri)
        monitor.emit(events.Warning(job, f"{source.uri} is not verified, so the result is what its server sends today"))
    elif path.is_file():
        if not _mismatch(path, source):
            return path
        path.unlink()
        monitor.emit(events.Warning(job, f"the cached {path.name} was damaged, and is fetched anew"))
    _fetch_into(path, source, mirrors, monitor, job, offline=offline)
    return path


def store_source(file: Path, digest: str, cache: Path) -> Path:
    """Put a file into the cache under its SHA-256.

    Raises:
        DigestMismatchError: it has another digest.
        OutputError: the cache cannot be written.
    """
    found = file_digest(file)
    if found != digest:
        raise DigestMismatchError(f"has SHA-256 {found}, expected {digest}", where=str(file))
    path = cache / f"sha256:{digest}"
    with file.open("rb") as source, replace_file(path) as target:
        shutil.copyfileobj(source, target)
    return path


def _fetch_into(
    path: Path, source: Source, mirrors: Sequence[str], monitor: events.Monitor, job: str, *, offline: bool
) -> None:
    failures: list[UnreachableError | DigestMismatchError] = []
    for uri in _places(source, mirrors):
        if not offline:
            monitor.emit(events.Note(job, f"fetching {uri}"))
        try:
            with replace_file(path) as stream:
                # A mirror that lacks a file is normal; only upstream is worth waiting for.
                download(uri, stream, offline=offline, retries=3 if uri == source.uri else 0, hint=_HINT)
                _check(stream, source, uri)
        except (UnreachableError, DigestMismatchError) as error:
            failures.append(error)
        else:
            return
    # What somebody has, with other bytes, is the worse news.
    failures.sort(key=lambda failure: isinstance(failure, DigestMismatchError))
    worst = failures.pop()
    raise type(worst)(worst.message, where=worst.where, hint=worst.hint, details=[str(other) for other in failures])


def _places(source: Source, mirrors: Sequence[str]) -> Iterator[str]:
    for mirror in mirrors:
        base = mirror.rstrip("/")
        base = Path(base).as_uri() if base.startswith("/") else base
        yield f"{base}/{cache_name(source)}"
        yield f"{base}/{file_name(source.uri)}"
    yield source.uri


def _check(stream: IO[bytes], source: Source, uri: str) -> None:
    for algorithm, expected in (("sha256", source.sha256), ("sha512", source.sha512)):
        stream.seek(0)
        found = hashlib.file_digest(stream, algorithm).hexdigest() if expected else ""  # type: ignore[arg-type]  # any binary stream
        if found != expected:
            raise DigestMismatchError(
                f"has {algorithm} {found}, the recipe expects {expected}",
                where=uri,
                hint="upstream changed the file, or the recipe's digest is wrong; compare with what upstream signs",
            )


def _mismatch(path: Path, source: Source) -> bool:
    return any(
        expected and file_digest(path, algorithm) != expected
        for algorithm, expected in (("sha256", source.sha256), ("sha512", source.sha512))
    )
