"""The manifest of a stored package: written once when it is extracted, read with every environment that has it.

Fields end with NUL, which no path holds: a JSON object with facts and counts; directories, symlinks, their targets,
and files, one field each; last the package's part of the database of installed packages, ready to be copied.
A hundred packages with thirty thousand files are read in some 10 ms (docs/decisions/0009-assembly.md).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from melpy.errors import StoreError, reason_of
from melpy.rootfs.model import MANIFEST, Entry, Library, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from melpy.apk.model import IndexEntry

DIRECTORY_MODE = (0o755, 0, 0)
"""Mode and owner that a directory has where nothing else is said."""

_FILE_MODE = (0o644, 0, 0)


def render_manifest(package: IndexEntry, entries: Sequence[Entry], libraries: Iterable[Library], stanza: str) -> bytes:
    """Return a manifest.

    Args:
        package: what the package says of itself.
        entries: everything in it, directories above files included.
        libraries: the shared libraries among its files.
        stanza: lines of the package in the database of installed packages.
    """
    info = package.info
    parts = {kind: sorted(entry for entry in entries if entry.kind == kind) for kind in "dlf"}
    modes = {
        entry.path: (entry.mode, entry.uid, entry.gid)
        for entry in parts["d"]
        if (entry.mode, entry.uid, entry.gid) != DIRECTORY_MODE
    }
    facts = {
        "name": info.name,
        "version": info.version,
        "origin": info.origin,
        "checksum": package.checksum,
        "replaces": info.replaces,
        "replaces_priority": int(info.replaces_priority or 0),
        "triggers": info.triggers,
        "modes": modes,
        "libraries": list(libraries),
        "counts": [len(parts[kind]) for kind in "dlf"],
    }
    fields = [
        json.dumps(facts, separators=(",", ":")),
        *(entry.path for entry in parts["d"]),
        *(entry.path for entry in parts["l"]),
        *(entry.target for entry in parts["l"]),
        *(entry.path for entry in parts["f"]),
        "\n".join([stanza, *_render_files(entries)]),
    ]
    return "\0".join(fields).encode("utf-8", "surrogateescape")


def _render_files(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield the lines that say what a package has installed where, as apk-tools reads them."""
    inside: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind != "d":
            inside.setdefault(entry.path.rpartition("/")[0], []).append(entry)
    directories = {entry.path: entry for entry in entries if entry.kind == "d"}
    for path in sorted({*directories, *inside}):
        yield f"F:{path}"
        if path in directories and (acl := _acl(directories[path], DIRECTORY_MODE)):
            yield f"M:{acl}"
        for entry in sorted(inside.get(path, ())):
            yield f"R:{entry.path.rpartition('/')[2]}"
            if acl := _acl(entry, _FILE_MODE):
                yield f"a:{acl}"
            yield f"Z:{entry.checksum}"


def _acl(entry: Entry, usual: tuple[int, int, int]) -> str:
    found = (entry.mode, entry.uid, entry.gid)
    return "" if found == usual else f"{entry.uid}:{entry.gid}:{entry.mode:o}"


def load_manifest(directory: Path | str) -> Manifest:
    """Read the manifest of a store entry.

    Raises:
        StoreError: it is not there or damaged.
    """
    try:
        with open(f"{directory}/{MANIFEST}", "rb", buffering=0) as stream:  # noqa: PTH123  # a third of the time
            data = stream.read()
    except OSError as error:
        raise StoreError(f"cannot be read: {reason_of(error)}", where=f"{directory}/{MANIFEST}") from None
    return parse_manifest(data, where=f"{directory}/{MANIFEST}")


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Read a manifest.

    Raises:
        StoreError: it is damaged.
    """
    try:
        fields = data.decode("utf-8", "surrogateescape").split("\0")
        facts = json.loads(fields[0])
        directories, links, files = facts["counts"]
        first = 1 + directories
        second, third = first + links, first + 2 * links
        (installed,) = fields[third + files :]
        return Manifest(
            name=facts["name"],
            version=facts["version"],
            origin=facts["origin"],
            checksum=facts["checksum"],
            replaces=tuple(facts["replaces"]),
            replaces_priority=facts["replaces_priority"],
            triggers=tuple(facts["triggers"]),
            modes={path: tuple(mode) for path, mode in facts["modes"].items()},
            libraries=tuple(Library(*library) for library in facts["libraries"]),
            directories=fields[1:first],
            links=fields[first:second],
            targets=fields[second:third],
            files=fields[third:-1],
            installed=installed,
        )
    except (ValueError, KeyError, TypeError):
        hint = "melpy store verify --repair removes what is damaged; it is extracted anew"
        raise StoreError("is no manifest of a stored package, or damaged", where=where, hint=hint) from None


def list_entries(manifest: Manifest) -> dict[str, Entry]:
    """Return everything that a package holds, by path."""
    found: dict[str, Entry] = {}
    targets = dict(zip(manifest.links, manifest.targets, strict=True))
    for directory in manifest.directories:
        found[directory] = Entry(directory, "d", *manifest.modes.get(directory, DIRECTORY_MODE))
    place = path = ""
    _, mark, files = manifest.installed.partition("\nF:")
    for line in f"F:{files}".split("\n") if mark else ():
        letter, value = line[:2], line[2:]
        if letter == "F:":
            place = value
        elif letter == "R:":
            path = f"{place}/{value}" if place else value
            kind = "l" if path in targets else "f"
            found[path] = Entry(path, kind, _FILE_MODE[0], target=targets.get(path, ""))
        elif letter == "a:":
            uid, gid, mode = value.split(":")
            found[path] = found[path]._replace(mode=int(mode, 8), uid=int(uid), gid=int(gid))
        elif letter == "Z:":
            found[path] = found[path]._replace(checksum=value)
    return found


def drop_entries(installed: str, paths: set[str]) -> str:
    """Return a package's part of the database without some of its files, which another package has now."""
    head, mark, tail = installed.partition("\nF:")
    place, keep = "", True
    lines = [head]
    for line in f"F:{tail}".split("\n") if mark else ():
        if line.startswith("F:"):
            place, keep = line[2:], True
        elif line.startswith("R:"):
            keep = (f"{place}/{line[2:]}" if place else line[2:]) not in paths
        if keep:
            lines.append(line)
    return "\n".join(lines)
