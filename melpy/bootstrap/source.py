"""Upstream archives out of Debian's source packages, by digest.

Debian keeps the archives that upstream published as `.orig.tar.*`, for most of the GNU programs byte for byte. Only
the same bytes count: what Debian repacked or compressed anew has another digest and is not found. The Sources lists
name SHA-256 only, so a source that a recipe names by SHA-512 is looked for by the name and version in its URI, and
its digest is known when it has been fetched. The lists are some 50 MB and are only fetched when a source is looked
for. Source of the format: deb-src-control(5), deb-version(7).
"""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy import events
from melpy.arch import host_arch
from melpy.bootstrap.apt import download_source, prepare_apt, update_lists
from melpy.bootstrap.lock import lock_seed
from melpy.digest import file_digest
from melpy.errors import SeedError, UnreachableError
from melpy.events import Progress, StageFinished, StageStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from melpy.bootstrap.apt import Apt
    from melpy.bootstrap.model import SeedSpec, WantedSource
    from melpy.events import Monitor

_ORIG = re.compile(rb"^ ([0-9a-f]{64}) +[0-9]+ +(\S+\.orig(?:-[\w-]+)?\.tar\.\w+)$", re.MULTILINE)
_UPSTREAM = re.compile(r"(?P<name>.+?)[-_]v?(?P<version>[0-9][\w.+~-]*?)(?:[.-]orig)?\.(?:tar\.\w+|tgz|tbz2?|txz)")
_TRIES = 3


@dataclass(frozen=True)
class Archive:
    """An upstream archive that the suite has.

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
    store: Callable[[Path, str], None],
    monitor: Monitor,
    *,
    update: bool = False,
) -> tuple[WantedSource, ...]:
    """Fetch the archives that the suite has, hand each file and its SHA-256 to `store`, and return those found.

    A digest is verified before its file is handed over. The file is gone afterwards: `store` copies or moves it.

    Raises:
        ToolMissingError: this machine has no apt.
        SeedError: the mirror has not the suite, or the keys of Debian's archive are missing.
        UnreachableError: the lists cannot be fetched.
    """
    started = time.monotonic()
    monitor.emit(StageStarted("seed", "sources", f"{len(wanted)} archives"))
    found = []
    with lock_seed(spec):
        apt = prepare_apt(spec, host_arch().debian, sources=True)
        if update or not apt.lists:
            update_lists(apt)
        archives = tuple(archive for path in apt.lists for archive in parse_sources(path.read_bytes()))
        for number, (source, candidates) in enumerate(match_archives(wanted, archives), 1):
            if any(_fetch(apt, source, archive, store, monitor) for archive in candidates):
                found.append(source)
            monitor.emit(Progress("seed", "sources", number, len(wanted)))
    monitor.emit(StageFinished("seed", "sources", time.monotonic() - started, f"{len(found)} found"))
    return tuple(found)


def parse_sources(data: bytes) -> Iterator[Archive]:
    """Yield the upstream archives of a Sources list."""
    for stanza in data.split(b"\n\n"):
        files = _ORIG.findall(stanza)
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
    """Yield archives of the upstream version in a URI, under one of the names that Debian gives to sources."""
    match = _UPSTREAM.fullmatch(uri.partition("?")[0].rpartition("/")[2])
    if not match:
        return
    name = match["name"].lower().replace("_", "-")
    names = {name, f"lib{name}", f"lib{name}-perl", f"python-{name}", f"{name}{match['version'].partition('.')[0]}"}
    for archive in archives:
        if archive.package in names and archive.file_name.startswith(f"{archive.package}_{match['version']}.orig"):
            yield archive


def _fetch(
    apt: Apt, source: WantedSource, archive: Archive, store: Callable[[Path, str], None], monitor: Monitor
) -> bool:
    directory = apt.home / "fetched"
    try:
        download_source(apt, archive.package, archive.version, directory)
        path = directory / archive.file_name
        if not path.is_file() or file_digest(path, source.algorithm) != source.digest.lower():
            return False
        sha256 = archive.sha256 if source.algorithm == "sha256" else file_digest(path)
        store(path, sha256)
    except (SeedError, UnreachableError) as error:
        monitor.emit(events.Warning("seed", f"{archive.file_name}: {error.message}", error.hint or ""))
        return False
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return True
