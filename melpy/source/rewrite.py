"""Rewrites: what the user says is to be had elsewhere, by the beginning of its URL.

`https://github.com/=/srv/git/` has everything below the one looked for below the other, before it is looked for
upstream. Only the place changes: what a source is called, where it is kept and what is recorded of it go by the
recipe's URL, and its digest or commit decides whether it is taken.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from melpy.bound import BoundError
from melpy.errors import DigestMismatchError, SettingsError
from melpy.inside import find_below
from melpy.source.place import Candidate, Rewrite, decode_name, make_candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.errors import MelpyError

FORM = "a rewrite is PREFIX=PLACE, such as https://github.com/=/srv/git/"

_URL = re.compile(r"(?P<head>[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)(?P<rest>.*)", re.DOTALL)
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9][A-Za-z0-9.-]*:")
_GIT_ONLY = ("ssh://", "git://")


def parse_rewrite(text: str) -> Rewrite:
    """Read a rewrite from `PREFIX=PLACE`; the first `=` parts them.

    Raises:
        SettingsError: it is not of this form; the error has no place.
    """
    prefix, _, place = text.partition("=")
    if not (_URL.fullmatch(prefix) or _SCP.match(prefix)):
        raise SettingsError(f"does not begin with the beginning of a URL: {text!r}", hint=FORM)
    if not place:
        raise SettingsError(f"names no place: {text!r}", hint=FORM)
    return Rewrite(prefix, place)


def is_url(place: str) -> bool:
    """Tell whether a place is no path: a URL, or `user@host:path` as git has it."""
    return "://" in place or bool(_SCP.match(place))


def sort_rewrites(rewrites: Iterable[Rewrite]) -> tuple[Rewrite, ...]:
    """Return rewrites in the order in which they are tried: the longest prefix first, else as they are given."""
    return tuple(sorted(rewrites, key=lambda rewrite: -len(_plain(rewrite.prefix))))


def find_files(uri: str, rewrites: Sequence[Rewrite]) -> tuple[Candidate, ...]:
    """Return where rewrites have the file of a URI; those that serve git alone have none.

    Raises:
        UnreachableError: the URI leads out of a directory that stands for its beginning.
    """
    found: list[Candidate] = []
    for base, rest in _matches(uri, rewrites):
        directory = local_path(base)
        if directory is None:
            found += [] if base.startswith(_GIT_ONLY) or _SCP.match(base) else [Candidate(f"{base}{rest}")]
            continue
        path, question, _ = rest.partition("?")
        # As wget would name the file, and as one would.
        names = (rest, path) if question else (rest,)
        found += [_candidate(directory, name) for name in names]
    return tuple(dict.fromkeys(found))


def _candidate(directory: Path, rest: str) -> Candidate:
    # A rewrite may be of one whole URL, and its place a file.
    name = decode_name(rest)
    return make_candidate(directory, name) if name.strip("/") else make_candidate(directory.parent, directory.name)


def find_repositories(url: str, rewrites: Sequence[Rewrite]) -> tuple[str, ...]:
    """Return the URLs at which rewrites have the git repository of a URL.

    In directories a repository may have the end `.git` or not, whatever the recipe writes; those that are not there
    are left out.

    Raises:
        UnreachableError: the URL leads out of a directory that stands for its beginning.
    """
    found: list[str] = []
    for base, rest in _matches(url, rewrites, suffix=".git"):
        directory = local_path(base)
        if directory is None:
            found.append(f"{base}{rest}")
            continue
        plain = _candidate(directory, rest.removesuffix(".git"))
        assert plain.root is not None
        bare = make_candidate(plain.root, f"{plain.name}.git")
        named = (bare, plain) if rest.endswith(".git") else (plain, bare)
        found += [place.uri for place in named if _is_directory(place)]
    return tuple(dict.fromkeys(found))


def _is_directory(place: Candidate) -> bool:
    assert place.root is not None
    try:
        return find_below(place.root, place.name).is_dir()
    except (BoundError, OSError):
        return False


def local_path(place: str) -> Path | None:
    """Return the path of a place on this machine, or None."""
    if place.startswith("file://"):
        return Path(unquote(urlsplit(place).path))
    return Path(place) if place.startswith("/") else None


def worst_failure(failures: Sequence[MelpyError]) -> MelpyError:
    """Return the failure to report when every place has failed, with the others in its details."""
    # What somebody has, with other bytes, is the worse news; of equal ones it is upstream's, which is the last.
    *others, worst = sorted(failures, key=lambda failure: isinstance(failure, DigestMismatchError))
    details = [*worst.details, *map(str, others)]
    found = type(worst)(worst.message, where=worst.where, hint=worst.hint, details=details)
    found.passing = not isinstance(worst, DigestMismatchError) and any(failure.passing for failure in failures)
    found.pause = max(failure.pause for failure in failures)
    return found


def _matches(url: str, rewrites: Sequence[Rewrite], suffix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each rewrite of a URL without its last slash, and what is to follow it."""
    whole = _plain(url.partition("#")[0])
    # A name that goes up could leave what the user gave, on a server as well.
    if ".." in re.split(r"[/\\]", decode_name(whole)) or "\0" in decode_name(whole):
        return
    for rewrite in rewrites:
        prefix = _plain(rewrite.prefix)
        base = rewrite.place.rstrip("/")
        if whole.startswith(prefix) and (prefix.endswith(":") or whole[len(prefix) :][:1] in {"", "/", "?"}):
            rest = whole[len(prefix) :]
            yield base, f"/{rest.lstrip('/')}" if prefix.endswith(":") else rest
        elif suffix and whole == f"{prefix}{suffix}":
            yield base, ""


def _plain(url: str) -> str:
    """Return a URL with scheme and host in lower case, and without slashes at its end."""
    match = _URL.fullmatch(url)
    return f"{match['head'].lower()}{match['rest']}".rstrip("/") if match else url.rstrip("/")
