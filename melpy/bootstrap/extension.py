"""A seed grows: names are answered from the suite, missing packages are made, and the index is written last.

The index always holds the closure of everything that was asked for so far, and nothing else.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_provide
from melpy.apk.index import read_entries, write_index
from melpy.apk.segment import read_entry
from melpy.apk.signature import load_signer, write_key_pair
from melpy.bootstrap.apt import Apt, download_debs, forget_downloads, prepare_apt, update_lists
from melpy.bootstrap.batch import Workshop, make_packages, plan_tasks
from melpy.bootstrap.closure import Resolver
from melpy.bootstrap.convert import remove_file
from melpy.bootstrap.lock import lock_seed
from melpy.bootstrap.manifest import Manifest, load_manifest, write_manifest
from melpy.bootstrap.model import SeedReport
from melpy.bootstrap.suite import Suite
from melpy.bootstrap.table import load_table, recipe_digest
from melpy.codec import replace
from melpy.digest import sha256_hex
from melpy.errors import MelpyError, SeedError, ToolMissingError
from melpy.events import StageFinished, StageStarted
from melpy.files import write_file
from melpy.meter import open_meter, watch_files
from melpy.repo.layout import index_path
from melpy.repo.repository import load_index, sort_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.arch import Arch
    from melpy.bootstrap.batch import Task
    from melpy.bootstrap.manifest import Made
    from melpy.bootstrap.model import Deb, SeedSpec
    from melpy.events import Monitor

_KEY_BITS = 2048
_DATE = re.compile(rb"^Date: (.+)$", re.MULTILINE)
_HEAD = 4096


def extend_index(spec: SeedSpec, requests: Iterable[str], arch: Arch, monitor: Monitor, *, update: bool) -> SeedReport:
    """Add the packages that answer some names; see `melpy.bootstrap.seed.extend_seed`. The caller holds the lock."""
    root = spec.repository.root
    old = _load_old(spec, root / arch.apk)
    apt = _prepare_lists(spec, arch, monitor, update=update)
    table = load_table(spec.suite)
    resolver = Resolver(Suite(path.read_bytes() for path in apt.lists), table)
    entries = _load_entries(root, arch, old)
    wanted = sorted({*old.requests, *requests})
    answers = _find_answers(wanted, resolver)
    tasks = plan_tasks(resolver.close(answers.values()), table, arch)
    kept = {name: made for name, made in old.packages.items() if _is_kept(tasks.get(name), made, entries)}
    missing = {name: task for name, task in tasks.items() if name not in kept}
    made = _make(spec, missing, apt, root / arch.apk, monitor)
    entries = _read_entries(root / arch.apk, kept | made, entries)
    answers = _check_answers(answers, resolver, entries)
    new = Manifest(
        **_describe_suite(spec, apt),
        packages=kept | made,
        requests=answers,
        unknown=_find_unknown(wanted, answers, resolver, old),
    )
    _write(spec, root, arch, new, entries.values())
    return SeedReport(
        added=tuple(sorted(made)),
        reused=len(kept),
        answers={name: answer for name, answer in new.requests.items() if name in set(requests)},
        unknown={name: near for name, near in new.unknown.items() if name in set(requests)},
        downloaded=sum(task.size for task in missing.values()),
    )


def load_resolver(spec: SeedSpec, arch: Arch, monitor: Monitor, *, offline: bool) -> Resolver | None:
    """Return what answers names from the suite's lists, which are fetched where they are not there; None without any.

    Raises:
        SeedError: there is no table for the suite, or the mirror has not the suite.
        ToolMissingError: this machine has no apt.
        UnreachableError: the mirror does not answer.
    """
    apt = prepare_apt(spec, arch.debian)
    if not apt.lists and not offline:
        with lock_seed(spec):
            apt = _prepare_lists(spec, arch, monitor, update=False)
    if not apt.lists:
        return None
    return Resolver(Suite(path.read_bytes() for path in apt.lists), load_table(spec.suite))


def find_present(spec: SeedSpec, requests: Iterable[str], arch: Arch) -> dict[str, str]:
    """Return the APK package that answers each name, of those that are there, by the lists that are there."""
    root = spec.repository.root
    try:
        lists = prepare_apt(spec, arch.debian).lists
    except (SeedError, ToolMissingError):
        return {}  # the seed was made by another machine
    if not lists:
        return {}
    resolver = Resolver(Suite(path.read_bytes() for path in lists), load_table(spec.suite))
    entries = _load_entries(root, arch, load_manifest(root / arch.apk))
    answers = _check_answers(_find_answers(requests, resolver), resolver, entries)
    return {request: answer for request, answer in answers.items() if answer in entries}


def _load_old(spec: SeedSpec, directory: Path) -> Manifest:
    """Return the state of the seed so far; without its key, what was made with it is of no use."""
    public = spec.repository.public_key
    if spec.key.exists() and public.exists():
        return load_manifest(directory)
    remove_file(spec.key)
    remove_file(public)
    write_key_pair(spec.key, _KEY_BITS)
    return Manifest()


def _prepare_lists(spec: SeedSpec, arch: Arch, monitor: Monitor, *, update: bool) -> Apt:
    apt = prepare_apt(spec, arch.debian)
    if update or not apt.lists:
        with _stage(monitor, f"{spec.suite}/{arch.debian}", "lists"), _watch(monitor, apt.home, "lists/partial/*"):
            update_lists(apt)
    return apt


@contextmanager
def _stage(monitor: Monitor, detail: str, stage: str) -> Iterator[None]:
    started = time.monotonic()
    monitor.emit(StageStarted("seed", stage, detail))
    yield
    monitor.emit(StageFinished("seed", stage, time.monotonic() - started, detail))


@contextmanager
def _watch(monitor: Monitor, directory: Path, pattern: str, total: int = 0) -> Iterator[None]:
    """Tell of what apt downloads into a directory."""
    with (
        open_meter(monitor, "seed", "download" if total else "lists", total) as meter,
        watch_files(meter, directory, [pattern]),
    ):
        yield


def _load_entries(root: Path, arch: Arch, old: Manifest) -> dict[str, IndexEntry]:
    """Return what is known of each package that the seed's state vouches for and that is there."""
    try:
        indexed = {entry.checksum: entry for entry in read_entries(load_index(root, arch.apk, keyring=None))}
    except MelpyError:
        indexed = {}
    entries = {}
    for name, made in old.packages.items():
        path = root / arch.apk / made.file
        entry = indexed.get(made.checksum) or _find_entry(path, made.checksum)
        if entry and path.is_file():
            entries[name] = entry
    return entries


def _find_entry(path: Path, checksum: str) -> IndexEntry | None:
    """Return what a package that an interrupted run left says of itself, if it is the one that is meant."""
    try:
        entry = read_entry(path)
    except MelpyError:
        return None
    return entry if entry.checksum == checksum else None


def _find_answers(wanted: Iterable[str], resolver: Resolver) -> dict[str, str]:
    """Return the APK package that answers each name, or that is looked into to find out whether it does."""
    return {request: answer for request in wanted if (answer := resolver.find_answer(request))}


def _check_answers(answers: Mapping[str, str], resolver: Resolver, entries: Mapping[str, IndexEntry]) -> dict[str, str]:
    """Return the answers that hold now that every package has been looked into.

    What a package was thought to provide, one that it depends on may provide in its place. No other package counts,
    though the seed may have it: what was asked for before would decide then.
    """
    checked = {}
    for request, answer in answers.items():
        found: str | None = answer
        if request.startswith(("so:", "cmd:", "pc:")):
            candidates = (answer, *resolver.close([answer]))
            found = next((name for name in candidates if name in entries and _has(entries[name], request)), None)
        if found:
            checked[request] = found
    return checked


def _has(entry: IndexEntry, name: str) -> bool:
    return any(parse_provide(text)[0] == name for text in entry.info.provides)


def _find_unknown(
    wanted: Iterable[str], answers: Mapping[str, str], resolver: Resolver, old: Manifest
) -> dict[str, tuple[str, ...]]:
    # What was unknown before is asked again, since the suite or the table may have changed.
    missed = {name for name in (*wanted, *old.unknown) if name not in answers}
    return {
        name: resolver.find_near(name)
        for name in sorted(missed)
        if resolver.find_answer(name) is None or name in wanted
    }


def _is_kept(task: Task | None, made: Made, entries: Mapping[str, IndexEntry]) -> bool:
    entry = entries.get(task.job.name) if task else None
    return (
        task is not None
        and entry is not None
        and made.identity == task.job.identity
        and made.checksum == entry.checksum
    )


def _make(spec: SeedSpec, missing: Mapping[str, Task], apt: Apt, directory: Path, monitor: Monitor) -> dict[str, Made]:
    if not missing:
        return {}
    downloads = apt.home / "debs"

    def fetch(debs: list[Deb]) -> Mapping[str, Path]:
        size = sum(deb.size for deb in debs)
        stage = _stage(monitor, f"{len(debs)} packages, {size / 1e6:.0f} MB", "download")
        with stage, _watch(monitor, downloads, "**/*.deb*", size):
            return download_debs(apt, debs, downloads)

    with _stage(monitor, f"{len(missing)} packages", "convert"):
        made = make_packages(missing, Workshop(spec.key, directory, spec.jobs, fetch, monitor))
    forget_downloads(downloads)
    return made


def _read_entries(
    directory: Path, packages: Mapping[str, Made], known: Mapping[str, IndexEntry]
) -> dict[str, IndexEntry]:
    entries = {}
    for name, made in sorted(packages.items()):
        entry = known.get(name)
        if entry is None or entry.checksum != made.checksum:
            entry = read_entry(directory / made.file)
        entries[name] = entry
    return entries


def _describe_suite(spec: SeedSpec, apt: Apt) -> dict[str, str]:
    if apt.release is None:
        raise SeedError("the suite has no Release file", where=spec.suite, hint="run: melpy bootstrap --update")
    data = apt.release.read_bytes()
    date = _DATE.search(data, 0, _HEAD)
    return {
        "suite": spec.suite,
        "release": sha256_hex(data),
        "released": date[1].decode() if date else "",
        "recipe": recipe_digest(spec.suite),
    }


def _write(spec: SeedSpec, root: Path, arch: Arch, manifest: Manifest, entries: Iterable[IndexEntry]) -> None:
    description = f"Debian {spec.suite}, released {manifest.released}"
    index = write_index(sort_entries(entries), signer=load_signer(spec.key), description=description)
    write_manifest(root / arch.apk, replace(manifest, index=sha256_hex(index)))
    write_file(index_path(root, arch.apk), index)
