"""Small repositories for tests: real packages, made with melpy's own packer from programs of this machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.model import Index, IndexEntry, PackageInfo
from melpy.apk.signature import Signer, load_signer, write_key_pair
from melpy.apk.stanza import render_stanza
from melpy.build.tree import load_tree
from melpy.pack.package import write_package
from melpy.repo.indexing import refresh_index
from melpy.repo.layout import index_path
from melpy.repo.model import IndexSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Where Debian's busybox-static puts the one program that a build environment can do with.
BUSYBOX = Path("/bin/busybox")
APPLETS = (
    "sh cat cp mv rm mkdir ln ls chmod echo printf sed grep find test [ expr head tail sort tr cut touch true false "
    "dirname basename id sleep seq wc env nproc date dd sha256sum tar readlink"
).split()


def make_index(entries: Iterable[IndexEntry]) -> Index:
    """Return packages as they stand in an index."""
    return Index(tuple(map(render_stanza, entries)), where="index")


@dataclass(frozen=True)
class Repository:
    """A signed repository of a test."""

    root: Path
    signer: Signer
    public_key: Path

    def add(
        self, name: str, files: Path | None = None, *, version: str = "1-r0", arch: str = "x86_64", **info: object
    ) -> IndexEntry:
        """Pack a directory (or nothing) as a package and index it."""
        facts = PackageInfo(name=name, version=version, arch=arch, origin=name, **info)  # type: ignore[arg-type]  # a test's own facts
        return self.add_all([(facts, files or self.root / "nothing")])[0]

    def add_all(self, packages: Sequence[tuple[PackageInfo, Path]]) -> list[IndexEntry]:
        """Pack directories of one architecture as packages and index them."""
        arch = packages[0][0].arch
        entries = [
            write_package(load_tree(facts.name, files), facts, self.root / arch, mtime=0, signer=self.signer)
            for facts, files in packages
        ]
        refresh_index(self.root, arch, IndexSpec(index_path(self.root, arch), lambda: self.signer))
        return entries


def make_repository(directory: Path) -> Repository:
    """Make an empty repository with a key of its own."""
    public = write_key_pair(directory / "keys" / "test.rsa", 2048)
    return Repository(directory / "repository", load_signer(directory / "keys" / "test.rsa"), public)


def add_busybox(repository: Repository, directory: Path) -> IndexEntry:
    """Add a package that is a whole build environment: busybox and its links."""
    root = directory / "busybox"
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "usr/bin/busybox")
    for applet in APPLETS:
        (root / "usr/bin" / applet).symlink_to("busybox")
    (root / "bin").symlink_to("usr/bin")
    return repository.add("busybox", root)


def add_program(repository: Repository, directory: Path, program: str) -> IndexEntry:
    """Add a package with a program of this machine and the libraries that it needs."""
    import subprocess

    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, program
    root = directory / program
    listed = subprocess.run(["ldd", found], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    for path in (found, *libraries):
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return repository.add(program, root)
