"""Consistency of a repository that gets new packages while others of it could not be built again.

A build that no longer provides a name, such as an old soname, is held back as long as a package needs that name whose
own build has failed: clients that have the old package could not upgrade otherwise. What needs the packages of a build
that is held back is held back, too. Versions do not count here, only names.
"""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency, parse_provide
from melpy.apk.version import compare_versions
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from melpy.apk.model import IndexEntry

Entries = dict[str, "IndexEntry"]
_NONE: Mapping[str, str] = MappingProxyType({})


def find_held(
    known: Iterable[IndexEntry],
    builds: Mapping[str, Sequence[IndexEntry]],
    failed: Collection[str],
    already: Mapping[str, str] = _NONE,
) -> dict[str, str]:
    """Return the builds that are to be held back, each with the reason.

    Args:
        known: packages of the repository, for one architecture.
        builds: new packages of each build, by the build's name.
        failed: names of recipes whose builds failed or were skipped.
        already: builds that are held back for the sake of another architecture, each with the reason.
    """
    held = {job: already[job] for job in builds if job in already}
    before = _find_newest(known)
    whole = _list_provided([*before.values(), *(entry for entries in builds.values() for entry in entries)]).keys()
    while True:
        new = {job: entries for job, entries in builds.items() if job not in held}
        makers = {entry.info.name: job for job, entries in new.items() for entry in entries}
        after = {**before, **{entry.info.name: entry for entries in new.values() for entry in entries}}
        found = _find_broken(before, after, makers, failed)
        found |= _find_orphans(after, makers, whole, held)
        if not found:
            return held
        held |= found


def find_needed(left: Iterable[IndexEntry], gone: Sequence[IndexEntry]) -> dict[str, str]:
    """Return the packages that cannot go, since others need a name that no other package has, each with the reason.

    Args:
        left: packages of the repository that stay, for one architecture; of each name the newest counts.
        gone: packages that are to go.

    Returns:
        Reasons by full name.
    """
    needed: dict[str, str] = {}
    staying = list(_find_newest(left).values())
    has = _list_provided(staying).keys()
    names = _list_provided(gone).keys() - has
    asking = staying
    while asking:
        asks = {
            name: entry.info.full_name for entry in reversed(asking) for name in _list_needed(entry) if name in names
        }
        asking = []
        for entry in gone:
            found = sorted(asks.keys() & _list_provided([entry]).keys())
            if found and entry.info.full_name not in needed:
                needed[entry.info.full_name] = f"{asks[found[0]]} needs {found[0]}"
                asking.append(entry)
    return needed


def _find_broken(before: Entries, after: Entries, makers: Mapping[str, str], failed: Collection[str]) -> dict[str, str]:
    """Return the builds that take a name away from packages whose builds failed."""
    had, has = _list_provided(before.values()), _list_provided(after.values())
    found: dict[str, str] = {}
    for entry in after.values():
        if entry.info.name in makers or (entry.info.origin or entry.info.name) not in failed:
            continue
        for name in _list_needed(entry):
            if name not in has:
                for provider in had.get(name, ()):
                    if provider in makers:
                        reason = f"{entry.info.full_name}, which could not be built again, needs {name}"
                        found.setdefault(makers[provider], reason)
    return found


def _find_orphans(
    after: Entries, makers: Mapping[str, str], whole: Collection[str], held: Mapping[str, str]
) -> dict[str, str]:
    """Return the builds that need a name which only builds that are held back provide."""
    has = _list_provided(after.values())
    found: dict[str, str] = {}
    for name, job in makers.items():
        for needed in _list_needed(after[name]):
            if held and needed in whole and needed not in has:
                found.setdefault(job, f"{after[name].info.full_name} needs {needed}, which is held back")
    return found


def _find_newest(entries: Iterable[IndexEntry]) -> Entries:
    newest: Entries = {}
    for entry in entries:
        other = newest.get(entry.info.name)
        if other is None or compare_versions(entry.info.version, other.info.version) >= 0:
            newest[entry.info.name] = entry
    return newest


def _list_provided(entries: Iterable[IndexEntry]) -> dict[str, list[str]]:
    provided: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        for name in {entry.info.name, *(parse_provide(text)[0] for text in entry.info.provides)}:
            provided[name].append(entry.info.name)
    return provided


def _list_needed(entry: IndexEntry) -> list[str]:
    names = []
    for text in entry.info.depends:
        try:
            atom = parse_dependency(text)
        except PackageFormatError:
            continue  # no client installs the package
        if not atom.conflict:
            names.append(atom.name)
    return names
