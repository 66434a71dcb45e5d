"""Repositories that build environments come from: directories of this machine, or HTTP servers.

What a server sends is checked before it is used: indexes by signature, packages by the identity in the index.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from melpy.apk.archive import control_checksum
from melpy.apk.index import read_index
from melpy.apk.model import INDEX_NAME
from melpy.apk.segment import read_segments
from melpy.apk.signature import Keyring, load_keyring
from melpy.errors import PackageFormatError, RepositoryError, UnreachableError, reason_of
from melpy.files import replace_file
from melpy.net import download

if TYPE_CHECKING:
    from collections.abc import Iterable

    from melpy.apk.model import Index


def is_remote(place: str) -> bool:
    """Tell whether a repository or key is named by a URL."""
    return place.startswith(("http://", "https://"))


def split_tag(line: str) -> tuple[str, str]:
    """Return the tag and the place of a repository line, `@tag place` or `place`."""
    if line.startswith("@"):
        tag, _, place = line[1:].partition(" ")
        return tag, place.strip()
    return "", line


def load_repository(place: str, arch: str, *, keyring: Keyring | None) -> Index:
    """Read the signed index of a repository.

    Raises:
        RepositoryError: there is no such repository, or it has nothing for the architecture.
        SignatureError: it is not signed by a trusted key.
        PackageFormatError: the index is broken.
    """
    where = f"{place}/{arch}/{INDEX_NAME}"
    if "://" in place and not is_remote(place):
        raise RepositoryError("is neither a directory nor an http or https URL", where=place)
    if not is_remote(place):
        return read_index(_read(Path(where), place, arch), keyring=keyring, where=where)
    with tempfile.TemporaryFile() as stream:
        try:
            download(where, stream)
        except UnreachableError as error:
            raise RepositoryError(f"cannot be read: {error.message}", where=where, hint=error.hint) from None
        stream.seek(0)
        return read_index(stream.read(), keyring=keyring, where=where)


def _read(path: Path, place: str, arch: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        hint = "name the directory above the architectures' directories"
        what = f"has no index for {arch}" if Path(place).is_dir() else "no such repository"
        raise RepositoryError(what, where=place, hint=hint) from None
    except OSError as error:
        raise RepositoryError(f"cannot be read: {reason_of(error)}", where=str(path)) from None


def fetch_package(location: str, checksum: str, cache: Path) -> Path:
    """Return a package's file, downloaded into the cache first when it is on a server.

    Whoever unpacks it checks it against the index's checksum.

    Raises:
        UnreachableError: the server does not have it.
        PackageFormatError: what it has is something else.
        OutputError: the cache cannot be written.
    """
    if not is_remote(location):
        return Path(location)
    path = cache / f"{hashlib.sha256(checksum.encode()).hexdigest()[:32]}.apk"
    if not path.is_file():
        with replace_file(path) as stream:
            download(location, stream)
            stream.seek(0)
            control = read_segments(stream, where=location).control
            if control_checksum(control) != checksum:
                raise PackageFormatError("is not the package that the index names", where=location)
    return path


def load_keys(places: Iterable[str], cache: Path) -> Keyring:
    """Read public keys from files and URLs; those from URLs are kept in the cache.

    Raises:
        KeyFileError: one is missing or is no key.
        UnreachableError: a server does not have it.
    """
    return load_keyring(_key_file(place, cache) for place in places)


def _key_file(place: str, cache: Path) -> Path:
    if not is_remote(place):
        return Path(place)
    path = cache / hashlib.sha256(place.encode()).hexdigest()[:16] / place.rpartition("/")[2]
    if not path.is_file():
        stream: IO[bytes]
        with replace_file(path) as stream:
            download(place, stream)
    return path
