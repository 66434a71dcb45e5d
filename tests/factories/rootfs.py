"""Packages and environments for tests of the store: made by melpy's own packer, extracted and assembled for real."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.model import IndexEntry, PackageInfo
from melpy.events import Null
from melpy.pack.package import write_package
from melpy.rootfs.account import make_build_root
from melpy.rootfs.assembly import assemble
from melpy.rootfs.database import render_installed
from melpy.rootfs.layout import share_store
from melpy.rootfs.manifest import parse_manifest, render_manifest
from melpy.rootfs.merge import merge_layers
from melpy.rootfs.model import Entry, Manifest, RootSpec, StoredPackage
from melpy.rootfs.store import ensure_layers
from tests.factories.tree import Directory, File, Link, tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.factories.tree import Content


def manifest(name: str, files: Mapping[str, Content], **info: object) -> Manifest:
    """Return the manifest of a package that was never on disk."""
    facts = PackageInfo(name, "1-r0", "x86_64", **info)  # type: ignore[arg-type]  # a test's own facts
    entries: dict[str, Entry] = {}
    for path, content in files.items():
        parts = path.split("/")
        for number in range(1, len(parts)):
            above = "/".join(parts[:number])
            entries.setdefault(above, Entry(above, "d", 0o755))
        entries[path] = _entry(path, content)
    package = IndexEntry(facts, _q1(name.encode()), 1)
    data = render_manifest(package, list(entries.values()), (), render_installed(package))
    return parse_manifest(data, where=name)


def _entry(path: str, content: Content) -> Entry:
    if isinstance(content, Directory):
        return Entry(path, "d", content.mode)
    if isinstance(content, Link):
        return Entry(path, "l", 0o777, target=content.target, checksum=_q1(content.target.encode()))
    file = content if isinstance(content, File) else File(content)  # type: ignore[arg-type]  # pipes are in no package
    data = file.content.encode() if isinstance(file.content, str) else file.content
    return Entry(path, "f", file.mode, checksum=_q1(data))


def _q1(data: bytes) -> str:
    return "Q1" + base64.b64encode(hashlib.sha1(data).digest()).decode()


@dataclass(frozen=True)
class Parcel:
    """A package of a test: its files and what its .PKGINFO says."""

    name: str
    files: Mapping[str, Content]
    info: Mapping[str, object] = field(default_factory=dict)
    version: str = "1-r0"

    def pack(self, directory: Path) -> IndexEntry:
        """Write the package into a directory for x86_64."""
        source = directory / "trees" / self.name
        facts = PackageInfo(self.name, self.version, "x86_64", **self.info)  # type: ignore[arg-type]  # a test's own
        return write_package(tree(source, self.files, self.name), facts, directory / "x86_64", mtime=1)


@dataclass(frozen=True)
class Built:
    """An environment of a test.

    Attributes:
        store: where it lies.
        layers: its layers, topmost last.
        checksums: identities of its packages.
    """

    store: Path
    layers: tuple[Path, ...]
    checksums: tuple[str, ...]

    def merge(self) -> Path:
        """Return the tree that the layers show, as plain files."""
        target = self.store.with_name("merged")
        target.mkdir()
        merge_layers(self.layers, target)
        return target


def build_environment(
    directory: Path, *parcels: Parcel, spec: RootSpec | None = None, big_endian: bool = False
) -> Built:
    """Pack, extract and assemble packages, given in install order."""
    entries = [parcel.pack(directory) for parcel in parcels]
    return assemble_packages(directory, entries, spec or make_build_root("x86_64"), big_endian=big_endian)


def assemble_packages(
    directory: Path, entries: Sequence[IndexEntry], spec: RootSpec, *, big_endian: bool = False
) -> Built:
    """Extract and assemble packages that were packed in a directory."""
    store = directory / "store"
    packages = [StoredPackage(directory / "x86_64" / entry.info.file_name, entry.checksum) for entry in entries]
    checksums = tuple(entry.checksum for entry in entries)
    with share_store(store):
        layers = ensure_layers(store, packages, Null())
        held = assemble(store, checksums, spec, big_endian=big_endian)
    held.close()
    return Built(store, (*layers, held.layer), checksums)


def look(root: Path) -> dict[str, str]:
    """Return what is in a directory: `d`, `-> target` or the text of each path, but what every environment has."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = "d"
        else:
            found[name] = path.read_text(errors="replace")
    return found
