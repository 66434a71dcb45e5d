"""Where sources are looked for, and what of this machine may be reached: nothing but what the user names.

Names come from recipes and from what repositories say, so each is decoded first and then refused where it leads out of
the directory that it is meant to be below. Files of this machine, in mirrors and rewrites too, are taken by digest
only: nothing else says that they are what a recipe means.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from melpy.bound import BoundError, check_path
from melpy.codec import Noun
from melpy.errors import UnreachableError, reason_of
from melpy.inside import find_below, open_file_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


SOURCE_LIMIT = 10 * 10**9
"""Bytes of a source; the largest of Wolfi's recipes has 5 GB."""

_CHUNK = 1 << 20
_DISTRUST = "do not trust this recipe"
_LOCAL_HINT = "allow its directory with local-sources in melpy.toml or --local-source"


class Rewrite(Noun, frozen=True):
    """One rewrite.

    Attributes:
        prefix: what URLs begin with; it ends where a part of the path does.
        place: the URL or absolute path of a directory that stands for it.
    """

    prefix: str
    place: str


class SourcePlaces(Noun, frozen=True):
    """Where sources are looked for.

    Attributes:
        mirrors: directories or URLs with files by digest or name.
        rewrites: what stands for the beginnings of URLs.
        local: directories below which recipes may name files and repositories of this machine.
        offline: ask no server.
        limit: bytes that a file may have at most.
    """

    mirrors: tuple[str, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    local: tuple[Path, ...] = ()
    offline: bool = False
    limit: int = SOURCE_LIMIT


NOWHERE = SourcePlaces()
"""Sources come from their own places on servers alone."""


class Candidate(Noun, frozen=True):
    """A place where a file may be.

    Attributes:
        uri: its URI, for messages and downloads.
        root: the directory that it must be below, if it is on this machine.
        name: its decoded name below that.
    """

    uri: str
    root: Path | None = None
    name: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return self.root is not None


def decode_name(text: str) -> str:
    """Return a part of a URL as the name of a file; what is not UTF-8 stays the bytes that it is."""
    return unquote(text, errors="surrogateescape")


def make_candidate(root: Path, name: str) -> Candidate:
    """Return the place of a decoded name below a directory.

    Raises:
        UnreachableError: the name leads out of it, is empty or out of bounds.
    """
    try:
        parts = check_path(name)
    except BoundError as error:
        raise UnreachableError(str(error), where=str(root), hint=_DISTRUST) from None
    if not parts:
        raise UnreachableError("is asked for a file without a name", where=str(root), hint=_DISTRUST)
    below = quote(os.fsencode("/".join(parts)), safe="/:")
    return Candidate(f"{root.absolute().as_uri()}/{below}", root, "/".join(parts))


def find_local(uri: str, local: Sequence[Path]) -> Candidate:
    """Return the place of a `file:` URI that a recipe gives, or of a path.

    Raises:
        UnreachableError: it is below none of the directories that recipes may name.
    """
    is_uri = not uri.startswith("/")
    parts = urlsplit(uri) if is_uri else None
    path = decode_name(parts.path) if parts else uri
    if parts and parts.netloc not in {"", "localhost"}:
        raise UnreachableError("names a file of another machine", where=uri, hint="write file:///path")
    for root in local:
        name = os.path.relpath(path, root) if os.path.isabs(path) and ".." not in path.split("/") else ".."  # noqa: PTH117  # a text
        if name.split("/")[0] != "..":
            return Candidate(uri, root, "" if name == "." else name)
    raise UnreachableError("is on this machine, where recipes may not reach", where=uri, hint=_LOCAL_HINT)


def check_local_repository(url: str, local: Sequence[Path]) -> None:
    """Check that a recipe may name this git repository of this machine.

    Raises:
        UnreachableError: it may not, or there is none.
    """
    candidate = find_local(url, local)
    assert candidate.root is not None
    try:
        if candidate.name:
            find_below(candidate.root, candidate.name)
    except BoundError as error:
        raise UnreachableError(str(error), where=url, hint=_LOCAL_HINT) from None
    except OSError as error:
        raise UnreachableError(reason_of(error), where=url) from None


def copy_file(candidate: Candidate, stream: IO[bytes], limit: int, hint: str) -> None:
    """Write a file of this machine to a stream.

    Raises:
        UnreachableError: it is not there, is no regular file, is too large, or a symlink leads out of its directory.
    """
    assert candidate.root is not None
    try:
        with open_file_below(candidate.root, candidate.name) as source:
            taken = 0
            while piece := source.read(_CHUNK):
                taken += len(piece)
                if taken > limit:
                    message = f"is larger than the {limit} bytes that a source may have"
                    raise UnreachableError(message, where=candidate.uri, hint=limit_hint())
                stream.write(piece)
    except BoundError as error:
        raise UnreachableError(str(error), where=candidate.uri, hint=_DISTRUST) from None
    except OSError as error:
        raise UnreachableError(reason_of(error), where=candidate.uri, hint=hint) from None


def limit_hint() -> str:
    """Return what to do about a source that is too large."""
    return "if it is to be trusted, allow more with source-limit in melpy.toml or --source-limit"


def by_digest_only(places: Iterable[Candidate]) -> list[UnreachableError]:
    """Return the errors of places on this machine for a source without a digest."""
    return [
        UnreachableError("a file of this machine is fetched by digest only", where=place.uri, hint="give its digest")
        for place in places
    ]
