"""Upstream files by digest: the cache first, then mirrors, rewrites, and upstream itself. Always verified.

The cache is a directory of files named `sha256:<hex>` and `sha512:<hex>`, as melange's `--cache-dir` has them.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import IO, TYPE_CHECKING

from melpy import events
from melpy.bound import BoundError, check_path, shorten
from melpy.digest import file_digest, sha256_hex
from melpy.errors import DigestMismatchError, UnreachableError, reason_of
from melpy.files import replace_file
from melpy.meter import open_meter
from melpy.net import Advice, download, is_file
from melpy.source.place import Candidate, by_digest_only, copy_file, decode_name, find_local, limit_hint, make_candidate
from melpy.source.rewrite import find_files, local_path, worst_failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from melpy.errors import MelpyError
    from melpy.plan.model import Source
    from melpy.source.place import SourcePlaces


_HINT = (
    "check the URI and the network, say with --mirror or --rewrite where else it is, "
    "or look for it in a Debian suite with melpy bootstrap RECIPE"
)
_NAME_HINT = "the last part of the URI is what the file is called"
_UPSTREAM_HINT = "upstream changed the file, or the recipe's digest is wrong; compare with what upstream signs"


def cache_name(source: Source) -> str:
    """Return the name under which the cache keeps a source: by its SHA-256 if it has one, without a digest by URI."""
    if source.sha256:
        return f"sha256:{source.sha256}"
    return f"sha512:{source.sha512}" if source.sha512 else f"unverified:{sha256_hex(source.uri.encode())}"


def file_name(uri: str) -> str:
    """Return the last component of a URI, as `wget` would name the file.

    Raises:
        UnreachableError: no file can be called so.
    """
    name = uri.rstrip("/").rpartition("/")[2]
    try:
        parts = check_path(name)
    except BoundError as error:
        raise UnreachableError(str(error), where=shorten(uri), hint=_NAME_HINT) from None
    if parts != (name,):
        raise UnreachableError("names no file", where=shorten(uri), hint=_NAME_HINT)
    return name


def find_source(source: Source, cache: Path) -> Path | None:
    """Return the file of a source that is in the cache, unchecked; None when it is not there or has no digest."""
    path = cache / cache_name(source)
    return path if (source.sha256 or source.sha512) and path.is_file() else None


def check_source(source: Source, path: Path) -> None:
    """Check a file against the digests of a source.

    Raises:
        DigestMismatchError: it has another digest.
        UnreachableError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            _check(stream, source, str(path), "it is damaged; melpy source fetch fetches it anew")
    except OSError as error:
        raise UnreachableError(f"cannot be read: {reason_of(error)}", where=str(path)) from None


def fetch_source(source: Source, cache: Path, places: SourcePlaces, monitor: events.Monitor, job: str = "") -> Path:
    """Return the file of a source from the cache, fetching it first when it is not there.

    Raises:
        UnreachableError: neither a mirror, nor a rewrite, nor upstream has it.
        DigestMismatchError: what upstream has is not what the recipe names.
        OutputError: the cache cannot be written.
    """
    path = cache / cache_name(source)
    if source.sha256 or source.sha512:
        if path.is_file():
            if not _mismatch(path, source):
                return path
            path.unlink()
            monitor.emit(events.Warning(job, f"the cached {path.name} was damaged, and is fetched anew"))
    elif is_file(source.uri):
        raise by_digest_only([Candidate(source.uri)])[0]
    place = _fetch_into(path, source, places, monitor, job)
    if not (source.sha256 or source.sha512):
        what = "what its server sends today" if place == source.uri else f"what {place} is today"
        monitor.emit(events.Warning(job, f"{source.uri} is not verified, so the result is {what}"))
    return path


def store_source(file: Path, digest: str, cache: Path, algorithm: str = "sha256") -> Path:
    """Put a file into the cache under its digest; see `cache_name` for the algorithm that is looked for.

    Raises:
        DigestMismatchError: it has another digest.
        OutputError: the cache cannot be written.
    """
    found = file_digest(file, algorithm)
    if found != digest:
        raise DigestMismatchError(f"has {algorithm} {found}, expected {digest}", where=str(file))
    path = cache / f"{algorithm}:{digest}"
    with file.open("rb") as source, replace_file(path) as target:
        shutil.copyfileobj(source, target)
    return path


def _fetch_into(path: Path, source: Source, places: SourcePlaces, monitor: events.Monitor, job: str) -> str:
    """Write a source into the cache from the first place that has it; return that place."""
    failures: list[MelpyError] = []
    candidates = tuple(dict.fromkeys(_candidates(source, places, failures)))
    if not (source.sha256 or source.sha512):
        failures += by_digest_only(place for place in candidates if place.is_local)
        candidates = tuple(place for place in candidates if not place.is_local)
    for place in candidates:
        try:
            _fetch_from(place, path, source, places, monitor, job)
        except (UnreachableError, DigestMismatchError) as error:
            failures.append(error)
        else:
            return place.uri
    raise worst_failure(failures)


def _candidates(source: Source, places: SourcePlaces, refused: list[MelpyError]) -> Iterator[Candidate]:
    """Yield where a source is looked for, in order: mirrors, rewrites, its own place; tell what is refused."""
    for mirror in places.mirrors:
        base = mirror.rstrip("/")
        directory = local_path(base)
        for name in (cache_name(source), file_name(source.uri)):
            if directory is None:
                yield Candidate(f"{base}/{name}")
                continue
            try:
                yield make_candidate(directory, _component(decode_name(name)))
            except UnreachableError as error:
                refused.append(error)
    try:
        yield from find_files(source.uri, places.rewrites)
        yield find_local(source.uri, places.local) if is_file(source.uri) else Candidate(source.uri)
    except UnreachableError as error:
        refused.append(error)


def _component(name: str) -> str:
    """Check that the name of a file in a mirror is one component, once it is decoded."""
    if "/" in name:
        raise UnreachableError("its name is that of another directory", where=shorten(name), hint="use a rewrite")
    return name


def _fetch_from(
    place: Candidate, path: Path, source: Source, places: SourcePlaces, monitor: events.Monitor, job: str
) -> None:
    if not places.offline:
        monitor.emit(events.Note(job, f"fetching {place.uri}"))
    # A mirror that lacks a file is normal; only upstream is worth waiting for.
    retries = source.patience.retries if place.uri == source.uri else 0
    with replace_file(path) as stream:
        if place.is_local:
            copy_file(place, stream, places.limit, _HINT)
        else:
            with open_meter(monitor, job, f"fetching {file_name(source.uri)}") as meter:
                download(
                    place.uri,
                    stream,
                    offline=places.offline,
                    limit=places.limit,
                    timeout=source.patience.timeout,
                    retries=retries,
                    advice=Advice(_HINT, limit_hint(), meter.note),
                    meter=meter,
                )
        _check(stream, source, place.uri, _UPSTREAM_HINT)


def _check(stream: IO[bytes], source: Source, where: str, hint: str) -> None:
    for algorithm, expected in (("sha256", source.sha256), ("sha512", source.sha512)):
        stream.seek(0)
        found = hashlib.file_digest(stream, algorithm).hexdigest() if expected else ""  # type: ignore[arg-type]  # any binary stream
        if found != expected:
            message = f"has {algorithm} {found}, the recipe expects {expected}"
            raise DigestMismatchError(message, where=where, hint=hint)


def _mismatch(path: Path, source: Source) -> bool:
    return any(
        expected and file_digest(path, algorithm) != expected
        for algorithm, expected in (("sha256", source.sha256), ("sha512", source.sha512))
    )
