"""Indexes made from package files: of a directory of a repository, or of files that are named.

Only what has changed is read, and an index is written only when it is not right as it is. One process at a time does
this, or publishes; the index is replaced by an atomic rename.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.index import compose_index
from melpy.apk.model import LARGEST_INDEX, Index
from melpy.apk.stanza import find_identity, parse_stanza, place_stanza
from melpy.bound import read_file
from melpy.errors import PackageFormatError
from melpy.files import make_directory, remove_leftovers, write_file
from melpy.repo.inventory import Fault, read_records
from melpy.repo.layout import list_packages
from melpy.repo.memory import (
    CHANGING,
    Memory,
    describe_making,
    load_memory,
    make_memory,
    memory_path,
    save_memory,
    stamp_files,
)
from melpy.repo.model import IndexReport
from melpy.repo.repository import locked, sort_packages
from melpy.repo.signing import find_lost, is_same_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.repo.model import IndexSpec, Record

_TOLD = 20  # faults; whoever has more has made one mistake many times
_MEND = "build it again, or move the file away; until then the index stays as it was"
_ANY_ARCH = {"noarch", ""}
_ONE_ARCH = "an index is for one architecture: name it with --arch"


def refresh_index(root: Path, arch: str, spec: IndexSpec) -> IndexReport:
    """Write the index of an architecture of a repository from the packages that are there.

    Raises:
        OutputError: it cannot be written.
        PackageFormatError: packages are broken or lie where no client looks; all are told, the index stays as it was.
    """
    directory = root / arch
    with locked(directory):
        files = list_packages(directory)
        return _write(directory, files, spec, Index(()), home=arch)


def index_files(files: Sequence[str], spec: IndexSpec, base: Index | None = None) -> IndexReport:
    """Write an index of files that are named, and of what another index has besides.

    Raises:
        OutputError: it cannot be written.
        PackageFormatError: packages are broken, or do not go into one index; all are told.
    """
    directory = spec.path.parent
    make_directory(directory)
    with locked(directory):
        return _write(Path(), files, spec, base or Index(()), home="")


def _write(directory: Path, files: Sequence[str], spec: IndexSpec, base: Index, *, home: str) -> IndexReport:
    """Write an index of files.

    Args:
        directory: what the files are relative to.
        files: the files.
        spec: how it is made.
        base: what it has besides.
        home: architecture of the directory where they lie, as in a repository; empty when they may lie anywhere.
    """
    kept = memory_path(spec)
    memory = load_memory(kept) if kept else Memory()
    stamps = stamp_files(os.fspath(directory), files) if memory.listing else dict.fromkeys(files, CHANGING)
    known = memory.records()
    records, faults = read_records(os.fspath(directory), stamps, known, spec.jobs)
    chosen = _choose(records, spec, home, directory, base)
    _check_faults([*faults, *chosen.faults], spec.path)
    stanzas = _merge(base, chosen.records)
    signer = spec.signer() if spec.signer else None
    data = compose_index(stanzas, signer=signer, description=base.description)
    old = _read(spec.path)
    where = str(spec.path)
    changed = not is_same_index(old, data, where)
    if changed:
        remove_leftovers(spec.path)
        write_file(spec.path, data)
    if kept:
        # Where something is to be told every time, or merged, an index is never right as it is.
        plain = not base.stanzas and not chosen.left_out and not chosen.repeated
        save_memory(kept, make_memory(describe_making(spec) if plain else "?", records))
    unchanged = sum(stamps.get(file) == record.stamp != CHANGING for file, record in known.items())
    return IndexReport(
        spec.path,
        len(stanzas),
        read=len(stamps) - unchanged,
        written=changed,
        left_out=tuple(chosen.left_out),
        repeated=tuple(chosen.repeated),
        signed=signer is not None,
        lost=find_lost(old, data, where) if changed else (),
    )


def _read(path: Path) -> bytes:
    try:
        return read_file(path, LARGEST_INDEX)
    except OSError:
        return b""


@dataclass
class _Chosen:
    """What of the files goes into an index."""

    records: list[Record] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def _choose(records: Sequence[Record], spec: IndexSpec, home: str, directory: Path, base: Index) -> _Chosen:
    """Take what belongs into the index: a client makes up a package's path from what the index says."""
    chosen = _Chosen()
    taken: dict[str, tuple[str, str]] = {}
    prefix = "" if directory == Path() else f"{directory}/"
    first = _first_arch(base)
    if first and spec.arch and first[1] != spec.arch:
        chosen.faults.append(Fault(first[0], f"is for {first[1]}, not for {spec.arch}", "merge with another index"))
    for record in records:
        checksum, name, version, arch = find_identity(record.stanza)
        expected = f"{name}-{version}.apk"
        anywhere = arch in _ANY_ARCH
        if record.file.rpartition("/")[2] != expected:
            chosen.faults.append(Fault(f"{prefix}{record.file}", f"holds {name}-{version}", f"rename it to {expected}"))
        elif home and not anywhere and arch != home:
            chosen.faults.append(Fault(f"{prefix}{record.file}", f"is for {arch}", f"move it from {home} to {arch}"))
        elif spec.arch and not anywhere and arch != spec.arch:
            chosen.left_out.append(record.file)
        elif first and not anywhere and arch != first[1]:
            chosen.faults.append(
                Fault(f"{prefix}{record.file}", f"is for {arch}, and {first[0]} for {first[1]}", _ONE_ARCH)
            )
        elif expected in taken and taken[expected][0] == checksum:
            chosen.repeated.append(record.file)
        elif expected in taken:
            other = f"is another {name}-{version} than {taken[expected][1]}"
            chosen.faults.append(
                Fault(f"{prefix}{record.file}", other, "leave one of them out, or give it another epoch")
            )
        else:
            taken[expected] = (checksum, f"{prefix}{record.file}")
            first = first if first or anywhere else (f"{prefix}{record.file}", arch)
            chosen.records.append(record)
    # Clients look for a package where the index says that it is for.
    home = home or spec.arch or (first[1] if first else "")
    chosen.records = [_placed(record, home) for record in chosen.records]
    if chosen.left_out and not chosen.records:
        hint = "name the architecture that they are for, or none"
        chosen.faults.append(Fault("--arch", f"none of the packages is for {spec.arch}", hint))
    return chosen


def _placed(record: Record, home: str) -> Record:
    stanza = place_stanza(record.stanza, home)
    return record if stanza is record.stanza else record._replace(stanza=stanza)


def _first_arch(base: Index) -> tuple[str, str] | None:
    """Return what an index is called and for which architecture it is."""
    arches = (find_identity(stanza)[3] for stanza in base.stanzas)
    found = next((arch for arch in arches if arch not in _ANY_ARCH), None)
    return (base.where, found) if found else None


def _check_faults(faults: Sequence[Fault], index: Path) -> None:
    if len(faults) == 1:
        raise PackageFormatError(faults[0].message, where=faults[0].where, hint=faults[0].hint or _MEND)
    if faults:
        more = [f"  and {len(faults) - _TOLD} more"] if len(faults) > _TOLD else []
        raise PackageFormatError(
            f"{len(faults)} files cannot be indexed",
            where=str(index),
            details=[f"  {fault.where}: {fault.message}{_advice(fault)}" for fault in faults[:_TOLD]] + more,
            hint=_MEND,
        )


def _advice(fault: Fault) -> str:
    return f" ({fault.hint})" if fault.hint else ""


def _merge(base: Index, records: Iterable[Record]) -> list[str]:
    """Return the stanzas of an index, by name and version; of two with the same the later one counts.

    Raises:
        PackageFormatError: one of the other index is malformed.
    """
    stanzas: dict[tuple[str, str], str] = {}
    for stanza in base.stanzas:
        parse_stanza(stanza, where=base.where)
        _, name, version, _ = find_identity(stanza)
        stanzas[name, version] = stanza
    for record in records:
        _, name, version, _ = find_identity(record.stanza)
        stanzas[name, version] = record.stanza
    return [stanzas[key] for key in sort_packages(stanzas, lambda key: key)]
