"""Looking after the store: what is in it, whether it is as it was made, and what has not been used for long."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melpy.codec import Noun
from melpy.errors import StoreError, reason_of
from melpy.rootfs.extraction import q1
from melpy.rootfs.layout import NEW, is_held, remove_entry_tree
from melpy.rootfs.manifest import list_entries, load_manifest
from melpy.rootfs.model import FILES, MANIFEST, PACKAGES, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_CHUNK = 1 << 20
_KINDS = {"environment": PACKAGES, "package": MANIFEST}
_UNKNOWN = "?"
_TOUCHED = {"f": stat.S_IRUSR, "d": stat.S_IRWXU, "l": 0}  # what extraction adds to modes


class StoreEntry(Noun, frozen=True):
    """One entry of the store.

    Attributes:
        path: its directory.
        kind: `package` or `environment`; `unknown` where it does not say.
        name: the package, or the architecture and number of packages of an environment; empty where it is damaged.
        size: bytes that it takes on disk; what an environment shares with packages is counted there.
        last_use: seconds since 1970.
        packages: names of the entries that an environment lies upon.
    """

    path: Path
    kind: str
    name: str
    size: int
    last_use: float
    packages: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Its name in the store."""
        return self.path.name


class Damage(Noun, frozen=True):
    """What is wrong with an entry: one line each."""

    entry: StoreEntry
    faults: tuple[str, ...]


def list_store(store: Path) -> list[StoreEntry]:
    """Return the entries of a store, packages by name and then environments.

    Raises:
        StoreError: the store cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(store) if not name.startswith(NEW))  # noqa: PTH208  # thousands
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot be read: {reason_of(error)}", where=str(store)) from None
    found = [_look_at(store / name) for name in names]
    used: dict[str, float] = {}
    for entry in found:
        for name in entry.packages:
            used[name] = max(used.get(name, 0), entry.last_use)
    entries = [_used_at(entry, used.get(entry.identity, 0)) for entry in found]
    return sorted(entries, key=lambda entry: (entry.kind != "package", entry.name, entry.identity))


def _used_at(entry: StoreEntry, time: float) -> StoreEntry:
    last = max(entry.last_use, time)
    return StoreEntry(entry.path, entry.kind, entry.name, entry.size, last, entry.packages)


def _look_at(path: Path) -> StoreEntry:
    size = _measure(path)
    kind = next((kind for kind, file in _KINDS.items() if (path / file).is_file()), "unknown")
    try:
        if kind == "environment":
            facts = load_environment(path)
            packages = tuple(facts["packages"])
            name = f"{facts['arch']}, {len(packages)} packages"
            return StoreEntry(path, kind, name, size, (path / PACKAGES).stat().st_mtime, packages)
        manifest = load_manifest(path)
        return StoreEntry(path, kind, manifest.full_name, size, (path / MANIFEST).stat().st_mtime)
    except (StoreError, OSError):
        return StoreEntry(path, kind, "", size, 0)


def load_environment(path: Path) -> dict[str, Any]:
    """Return what an environment's entry says of itself.

    Raises:
        StoreError: it is not there or damaged.
    """
    where = str(path / PACKAGES)
    try:
        facts = json.loads((path / PACKAGES).read_text())
        _ = [Entry(*fields) for fields in facts["entries"]], [str(name) for name in facts["packages"]], facts["arch"]
        _ = [facts["packages"][number] for number, _ in facts["lifted"].values()]
    except OSError as error:
        raise StoreError(f"cannot be read: {reason_of(error)}", where=where) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise StoreError("is no list of an environment, or damaged", where=where) from None
    assert isinstance(facts, dict)
    return facts


def _measure(path: Path) -> int:
    """Return the bytes that a tree takes on disk; files that other entries have, too, are counted with these."""
    is_environment = (path / PACKAGES).is_file()
    total = 0
    seen: set[int] = set()
    pending = [os.fspath(path)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode):
                        pending.append(entry.path)
                    elif info.st_nlink > 1:
                        if is_environment or info.st_ino in seen:
                            continue
                        seen.add(info.st_ino)
                    total += info.st_blocks * 512
        except OSError:
            continue  # gone meanwhile, or without permissions: verify tells
    return total


def verify_store(entries: Iterable[StoreEntry], workers: int) -> Iterator[Damage | None]:
    """Yield for each entry what is wrong with it, or None."""
    entries = list(entries)
    known = {entry.identity for entry in entries}
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda entry: _verify(entry, known), entries)


def _verify(entry: StoreEntry, known: set[str]) -> Damage | None:
    try:
        if entry.kind == "environment":
            facts = load_environment(entry.path)
            expected = {one.path: one for one in (Entry(*fields) for fields in facts["entries"])}
            expected |= _lifted(entry.path.parent, facts)
            faults = [f"{name}: is not in the store" for name in facts["packages"] if name not in known]
        else:
            expected, faults = list_entries(load_manifest(entry.path)), []
    except StoreError as error:
        return Damage(entry, (str(error.message),))
    faults += _compare(entry.path / FILES, expected)
    return Damage(entry, tuple(faults)) if faults else None


def _lifted(store: Path, facts: Mapping[str, Any]) -> dict[str, Entry]:
    """Return what an environment has of its packages' files."""
    found: dict[str, Entry] = {}
    read: dict[int, dict[str, Entry]] = {}
    for path, (number, source) in facts["lifted"].items():
        if number not in read:
            try:
                read[number] = list_entries(load_manifest(store / facts["packages"][number]))
            except StoreError:
                read[number] = {}  # told where the package is verified
        known = read[number].get(source)
        found[path] = known._replace(path=path) if known else Entry(path, _UNKNOWN, 0)
    return found


def _compare(root: Path, expected: Mapping[str, Entry]) -> list[str]:
    """Return what is missing below a directory, changed, or there besides."""
    faults: list[str] = []
    seen: set[str] = set()
    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(root / directory) as found:
                inside = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            faults.append(f"/{directory}: {reason_of(error)}")
            continue
        for item in inside:
            path = f"{directory}/{item.name}" if directory else item.name
            seen.add(path)
            if path not in expected:
                faults.append(f"/{path}: does not belong there")
            elif fault := _check_item(item, expected[path]):
                faults.append(f"/{path}: {fault}")
            elif expected[path].kind == "d":
                pending.append(path)
    gone = [path for path in expected if path not in seen and path.rpartition("/")[0] in {"", *seen}]
    return sorted([*faults, *(f"/{path}: is missing" for path in gone)])


def _check_item(item: os.DirEntry[str], entry: Entry) -> str:
    """Return what is wrong with a file; empty when nothing is, or when nobody knows."""
    if entry.kind == _UNKNOWN:
        return ""
    info = item.stat(follow_symlinks=False)
    kind = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l"}.get(stat.S_IFMT(info.st_mode))
    if kind != entry.kind:
        return "is of another kind"
    if kind == "l":
        target = os.readlink(item.path)  # noqa: PTH115  # a Path would tidy it up
        return "" if target == entry.target else "points elsewhere"
    expected = entry.mode | _TOUCHED[entry.kind]
    # An ordinary user may be refused setgid for a group of others.
    if (stat.S_IMODE(info.st_mode) ^ expected) & ~stat.S_ISGID:
        return f"has mode {stat.S_IMODE(info.st_mode):04o}, not {expected:04o}"
    if kind == "f" and _digest(item.path) != entry.checksum:
        return "has other content"
    return ""


def _digest(path: str) -> str:
    digest = hashlib.sha1()
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as stream:
            while piece := stream.read(_CHUNK):
                digest.update(piece)
    except OSError:
        return ""
    return q1(digest.digest())


def find_used(entries: Iterable[StoreEntry]) -> set[str]:
    """Return the names of entries that running builds use; the store must be locked whole."""
    used: set[str] = set()
    for entry in entries:
        if entry.kind == "environment" and is_held(entry.path):
            used |= {entry.identity, *entry.packages}
    return used


def find_dependent(entries: Iterable[StoreEntry], names: set[str]) -> set[str]:
    """Return entries by name, and the environments that lie upon them."""
    return names | {entry.identity for entry in entries if names.intersection(entry.packages)}


def choose_stale(
    entries: Sequence[StoreEntry], used: set[str], *, before: float | None, max_size: int | None
) -> list[StoreEntry]:
    """Return the entries to be removed, those that were not used for longest first; never what is used now.

    Args:
        entries: all entries.
        used: names of those that running builds use.
        before: remove what was last used before this, in seconds since 1970.
        max_size: remove until no more than these bytes are left.
    """
    # An environment goes before what it lies upon: it was never used later than that.
    ordered = sorted(entries, key=lambda entry: (entry.last_use, entry.kind == "package"))
    left = sum(entry.size for entry in entries)
    chosen = []
    for entry in ordered:
        if entry.identity in used:
            continue
        too_old = before is not None and entry.last_use < before
        if too_old or (max_size is not None and left > max_size):
            chosen.append(entry)
            left -= entry.size
    return chosen


def remove_entries(store: Path, entries: Iterable[StoreEntry]) -> None:
    """Remove entries; the store must be locked whole.

    Raises:
        OutputError: one cannot be removed.
    """
    doomed = []
    for entry in entries:
        # Out of sight at once, so that nobody who is killed here leaves half an entry with its name.
        target = store / f"{NEW}old-{secrets.token_hex(8)}"
        entry.path.rename(target)
        doomed.append(target)
    for target in doomed:
        remove_entry_tree(target)
