"""Upstream archives out of Debian's source packages, by digest.

Debian keeps the archives that upstream published as `.orig.tar.*`, for most of the GNU programs byte for byte; where
a recipe fetches what is Debian's own, that is there as well. Only the same bytes count: what Debian repacked or
compressed anew has another digest and is not found. The Sources lists name SHA-256 only, so a source that a recipe
names by SHA-512 is looked for by the name and version in its URI, and its digest is known when it has been fetched. A
source may be of any age, whatever the seed is made of, so the other suites of the archive are looked into as well, in
turn, for what is not found yet. The lists of a suite are some 60 MB and are only fetched when a source is looked for.
Source of the format: deb-src-control(5), deb-version(7).
"""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING

from melpy import events
from melpy.arch import host_arch
from melpy.bootstrap.apt import download_source, prepare_apt, update_lists
from melpy.bootstrap.lock import lock_seed
from melpy.codec import Noun
from melpy.digest import file_digest
from melpy.errors import SeedError, UnreachableError
from melpy.events import Progress, StageFinished, StageStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from melpy.bootstrap.apt import Apt
    from melpy.bootstrap.model import SeedSpec, WantedSource
    from melpy.errors import MelpyError
    from melpy.events import Monitor

_TAR = re.compile(rb"^ ([0-9a-f]{64}) +[0-9]+ +(\S+\.tar\.\w+)$", re.MULTILINE)
_UPSTREAM = re.compile(r"(?P<name>.+?)[-_]v?(?P<version>[0-9][\w.+~-]*?)(?:[.-]orig)?\.(?:tar\.\w+|tgz|tbz2?|txz)")
_TRIES = 3
_FRESH_HINT = "its lists are fresh, so the mirror is incomplete: try later, or name another with --seed-mirror"

OTHERS = ("unstable", "testing", "stable", "oldstable")
"""Suites that are looked into after the seed's own: the newest first, as recipes are mostly newer than a seed."""


class Archive(Noun, frozen=True):
    """An archive of a source package of the suite.

    Attributes:
        package: name of the source package.
        version: Debian's version of it.
        file_name: name of the archive in it.
        sha256: of the archive.
    """

    package: str
    version: str
    file_name: str
    sha256: str


def find_sources(
    spec: SeedSpec,
    wanted: Sequence[WantedSource],
    store: Callable[[Path, WantedSource], None],
    monitor: Monitor,
    *,
    update: bool = False,
) -> dict[WantedSource, str]:
    """Fetch the archives that Debian has, hand each file and its source to `store`, and return where they were.

    That is the suite of each, the seed's own or one of `OTHERS`; what is nowhere is left out. A digest is verified
    before its file is handed over. The file is gone afterwards: `store` copies or moves it.

    Raises:
        ToolMissingError: this machine has no apt.
        SeedError: the mirror has not the seed's suite, or the keys of Debian's archive are missing.
        UnreachableError: its lists cannot be fetched.
    """
    started = time.monotonic()
    monitor.emit(StageStarted("seed", "sources", f"{len(wanted)} archives"))
    found: dict[WantedSource, str] = {}
    refused: dict[WantedSource, MelpyError] = {}
    with lock_seed(spec):
        for suite in (spec.suite, *OTHERS):
            left = [source for source in wanted if source not in found]
            if not left:
                break
            try:
                for source, error in _search(spec, suite, left, store, update=update):
                    if error is None:
                        found[source] = suite
                        monitor.emit(Progress("seed", "sources", len(found), len(wanted)))
                    else:
                        refused[source] = error
            except (SeedError, UnreachableError) as error:
                if suite == spec.suite:
                    raise
                monitor.emit(events.Warning("seed", f"{suite} is not looked into: {error.message}", error.hint or ""))
    for source in wanted:
        # One message for each: that Debian does not have it would contradict the list.
        if source in found:
            monitor.emit(events.Note("sources", f"{source.uri} was found in {found[source]}, by its digest"))
        elif source in refused:
            text = f"{source.uri} cannot be taken from Debian and will be fetched from there: {refused[source].message}"
            monitor.emit(events.Warning("sources", text, refused[source].hint or ""))
        else:
            monitor.emit(events.Note("sources", f"Debian has not {source.uri}; it will be fetched from there"))
    monitor.emit(StageFinished("seed", "sources", time.monotonic() - started, f"{len(found)} found"))
    return found


def _search(
    spec: SeedSpec,
    suite: str,
    wanted: Sequence[WantedSource],
    store: Callable[[Path, WantedSource], None],
    *,
    update: bool,
) -> Iterator[tuple[WantedSource, MelpyError | None]]:
    """Yield the sources that a suite has: each handed over, or with the reason why the mirror does not give it."""
    apt = prepare_apt(spec, host_arch().debian, sources=suite)
    fresh = update or not apt.lists
    if fresh:
        update_lists(apt)
    again = []
    for source, error in _fetch_all(apt, wanted, store):
        if error and not fresh and suite != spec.suite:
            again.append(source)
            continue
        if error and fresh:
            error.hint = _FRESH_HINT
        yield source, error
    if again:
        # Nothing is made of these suites, so nothing has to stay as it was; some change every day.
        update_lists(apt)
        for source, error in _fetch_all(apt, again, store):
            if error:
                error.hint = _FRESH_HINT
            yield source, error


def _fetch_all(
    apt: Apt, wanted: Sequence[WantedSource], store: Callable[[Path, WantedSource], None]
) -> Iterator[tuple[WantedSource, MelpyError | None]]:
    lists = [path.read_bytes() for path in apt.lists]
    # Looking for a digest takes 8 ms, reading a list takes 2 s; and most digests are in few suites.
    likely = [source for source in wanted if source.algorithm != "sha256" or _is_named(source.digest, lists)]
    archives = tuple(archive for data in lists for archive in parse_sources(data)) if likely else ()
    for source, candidates in match_archives(likely, archives):
        try:
            if any(_fetch(apt, source, archive, store) for archive in candidates):
                yield source, None
        except (SeedError, UnreachableError) as error:
            yield source, error


def _is_named(digest: str, lists: Iterable[bytes]) -> bool:
    return any(digest.lower().encode() in data for data in lists)


def parse_sources(data: bytes) -> Iterator[Archive]:
    """Yield the archives of a Sources list."""
    for stanza in data.split(b"\n\n"):
        files = _TAR.findall(stanza)
        if files:
            fields = dict(re.findall(r"^(Package|Version): (.+)$", stanza.decode(errors="replace"), re.MULTILINE))
            for sha256, name in files:
                yield Archive(fields.get("Package", ""), fields.get("Version", ""), name.decode(), sha256.decode())


def match_archives(
    wanted: Iterable[WantedSource], archives: Sequence[Archive]
) -> Iterator[tuple[WantedSource, tuple[Archive, ...]]]:
    """Yield each wanted source with the archives that are it, or, without a SHA-256, that may be it."""
    by_digest = {archive.sha256: archive for archive in archives}
    for source in wanted:
        if source.algorithm == "sha256":
            archive = by_digest.get(source.digest.lower())
            yield source, (archive,) if archive else ()
        else:
            yield source, tuple(_find_alike(source.uri, archives))[:_TRIES]


def _find_alike(uri: str, archives: Iterable[Archive]) -> Iterator[Archive]:
    """Yield archives of the name in a URI, or of the version in it under a name that Debian gives to sources."""
    file_name = uri.partition("?")[0].rpartition("/")[2]
    match = _UPSTREAM.fullmatch(file_name)
    names: set[str] = set()
    if match:
        name = match["name"].lower().replace("_", "-")
        names = {name, f"lib{name}", f"lib{name}-perl", f"python-{name}", f"python-{name.removeprefix('py')}"}
        names.add(f"{name}{match['version'].partition('.')[0]}")
    for archive in archives:
        alike = f"{archive.package}_{match['version']}.orig" if match and archive.package in names else None
        if archive.file_name == file_name or (alike and archive.file_name.startswith(alike)):
            yield archive


def _fetch(apt: Apt, source: WantedSource, archive: Archive, store: Callable[[Path, WantedSource], None]) -> bool:
    directory = apt.home / "fetched"
    try:
        download_source(apt, archive.package, archive.version, directory)
        path = directory / archive.file_name
        if not path.is_file() or file_digest(path, source.algorithm) != source.digest.lower():
            return False
        store(path, source)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return True
