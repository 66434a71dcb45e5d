"""Repositories that build environments come from: directories of this machine, or HTTP servers.

What a server sends is checked before it is used: indexes by signature, packages by the identity in the index and the
digest in the package. Indexes and keys are kept, and asked for anew only when the server has others.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from melpy.apk.index import read_index
from melpy.apk.model import ADB_INDEX_NAME, INDEX_NAME, LARGEST_INDEX
from melpy.apk.segment import check_identity
from melpy.apk.signature import Keyring, load_keyring
from melpy.bound import open_file, read_file
from melpy.codec import Noun
from melpy.digest import sha256_hex
from melpy.errors import (
    KeyFileError,
    PackageFormatError,
    RepositoryError,
    UnreachableError,
    reason_of,
)
from melpy.files import replace_file, write_file
from melpy.net import Advice, download, is_remote
from melpy.repo.http_cache import fetch_cached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from melpy.apk.model import Index
    from melpy.meter import Meter

_LOCATION_HINT = "name the directory above the architectures' directories"
_KEY_LIMIT = 1 << 20
_PACKAGE_LIMIT = 16 << 30  # whatever the index says
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


class ServerCache(Noun, frozen=True):
    """Where is kept what comes from servers, and whether they may be asked.

    Attributes:
        directory: melpy's cache.
        offline: take what is there, and ask no server.
    """

    directory: Path
    offline: bool = False

    @property
    def indexes(self) -> Path:
        """Directory of indexes."""
        return self.directory / "indexes"

    @property
    def keys(self) -> Path:
        """Directory of public keys."""
        return self.directory / "keys"

    @property
    def packages(self) -> Path:
        """Directory of packages."""
        return self.directory / "packages"


def load_repository(
    location: str,
    arch: str,
    cache: ServerCache,
    *,
    keyring: Keyring | None,
    note: Callable[[str], object] | None = None,
) -> tuple[Index, str]:
    """Read the signed index of a repository; return it and the SHA-256 of its file.

    Args:
        location: the repository.
        arch: the architecture.
        cache: how servers are asked.
        keyring: keys of which one must have signed the index; None for any.
        note: is told where a server is asked again.

    Raises:
        RepositoryError: there is no such repository, or it has nothing for the architecture.
        SignatureError: it is not signed by a trusted key.
        PackageFormatError: the index is broken.
    """
    if ("://" in location and not is_remote(location)) or "\0" in location:
        raise RepositoryError("is neither a directory nor an http or https URL", where=location)
    base = f"{location}/{arch}"
    if not is_remote(location):
        path = Path(base, INDEX_NAME)
        adb = path.with_name(ADB_INDEX_NAME)
        path = adb if adb.is_file() and not path.is_file() else path
        where, data = str(path), _read(path, location, arch)
    else:
        where, data = _fetch_index(base, cache, note)
    return read_index(data, keyring=keyring, where=where), sha256_hex(data)


def _fetch_index(base: str, cache: ServerCache, note: Callable[[str], object] | None) -> tuple[str, bytes]:
    """Return where an index of a server is, and the index: that of apk-tools 3 where there is no other."""
    failures = []
    for name in (INDEX_NAME, ADB_INDEX_NAME):
        where = f"{base}/{name}"
        try:
            return where, fetch_cached(where, cache.indexes, offline=cache.offline, limit=LARGEST_INDEX, note=note)
        except UnreachableError as error:
            failures.append(error)
            if not error.absent:
                break
    first = failures[0]
    hint = _LOCATION_HINT if first.absent and not cache.offline else first.hint
    failure = RepositoryError(f"cannot be read: {first.message}", where=first.where, hint=hint)
    failure.passing, failure.pause = first.passing, first.pause
    raise failure from None


def _read(path: Path, location: str, arch: str) -> bytes:
    try:
        return read_file(path, LARGEST_INDEX)
    except FileNotFoundError:
        what = f"has no index for {arch}" if Path(location).is_dir() else "no such repository"
        raise RepositoryError(what, where=location, hint=_LOCATION_HINT) from None
    except OSError as error:
        raise RepositoryError(f"cannot be read: {reason_of(error)}", where=str(path)) from None


def fetch_package(location: str, checksum: str, size: int, cache: ServerCache, meter: Meter | None = None) -> Path:
    """Return a package's file, downloaded into the cache first when it is on a server.

    Whoever unpacks it checks it once more.

    Args:
        location: its path or URL.
        checksum: its identity, as indexes have it.
        size: bytes that it may have; 0 where that is not known.
        cache: where it is kept.
        meter: counts what comes.

    Raises:
        UnreachableError: the server does not have it.
        PackageFormatError: what it has is something else.
        OutputError: the cache cannot be written.
    """
    if not is_remote(location):
        return Path(location)
    path = cache.packages / f"{hashlib.sha256(checksum.encode()).hexdigest()[:32]}.apk"
    if not _is_kept(path, checksum):
        with replace_file(path) as stream:
            limit = min(size or _PACKAGE_LIMIT, _PACKAGE_LIMIT)
            advice = Advice(note=meter.note if meter else None)
            download(location, stream, offline=cache.offline, limit=limit, advice=advice, meter=meter)
            check_identity(stream, checksum, where=location)
    return path


def _is_kept(path: Path, checksum: str) -> bool:
    try:
        with open_file(path) as stream:
            check_identity(stream, checksum, where=str(path))
    except (OSError, PackageFormatError):
        return False
    return True


def load_keys(places: Iterable[str], cache: ServerCache) -> Keyring:
    """Read public keys from files and URLs; those from URLs are kept in the cache.

    Raises:
        KeyFileError: one is missing or is no key, or would come over a connection that anybody may change.
        UnreachableError: a server does not have it.
    """
    return load_keyring(_key_file(place, cache) for place in places)


def _key_file(place: str, cache: ServerCache) -> Path:
    if not is_remote(place):
        return Path(place)
    parts = urlsplit(place)
    if parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        hint = "use https, or download it, compare it with what its owner says, and name the file"
        raise KeyFileError("a key that comes over http may be anybody's", where=place, hint=hint)
    data = fetch_cached(place, cache.keys, offline=cache.offline, limit=_KEY_LIMIT)
    # A keyring knows its keys by their files' names.
    name = Path(parts.path).name
    name = name if name.strip(".") else "key"
    path = cache.keys / hashlib.sha256(place.encode()).hexdigest()[:16] / name
    try:
        if path.read_bytes() == data:
            return path
    except OSError:
        pass
    write_file(path, data)
    return path
