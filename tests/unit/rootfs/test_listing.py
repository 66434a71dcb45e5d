"""Files of packages: the store and the package itself say the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.model import PackageInfo
from melpy.build.tree import load_tree
from melpy.pack.package import write_package
from melpy.rootfs.listing import Listing, find_clashes, find_listing
from melpy.rootfs.model import StoredPackage
from melpy.rootfs.store import ensure_layers

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.apk.model import IndexEntry


def pack(directory: Path, name: str, text: str, **info: object) -> tuple[IndexEntry, Path]:
    """Pack a file, a second name of it, a symlink and a directory."""
    files = directory / name
    (files / "usr/share/empty").mkdir(parents=True)
    (files / "usr/share/file").write_text(text)
    os.link(files / "usr/share/file", files / "usr/share/other")
    (files / "usr/share/link").symlink_to(text)
    facts = PackageInfo(name=name, version="1-r0", arch="x86_64", origin=name, **info)  # type: ignore[arg-type]  # a test's own facts
    entry = write_package(load_tree(name, files), facts, directory / "x86_64", mtime=0)
    return entry, directory / "x86_64" / facts.file_name


def test_the_store_and_the_package_have_the_same_files(tmp_path: Path) -> None:
    entry, path = pack(tmp_path, "one", "text", replaces=("two",))
    store = tmp_path / "store"
    read = find_listing(store, entry.checksum, path, 1 << 20)
    ensure_layers(store, [StoredPackage(path, entry.checksum)], events.Null())
    stored = find_listing(store, entry.checksum, None, 0)
    assert read
    assert stored
    assert sorted(read.files) == ["usr/share/file", "usr/share/link", "usr/share/other"]
    assert read.files == stored.files
    facts = ("name", "version", "origin", "checksum", "replaces", "replaces_priority")
    assert all(getattr(read.manifest, one) == getattr(stored.manifest, one) for one in facts)


def test_a_package_that_is_not_at_hand_has_no_files(tmp_path: Path) -> None:
    entry, path = pack(tmp_path, "one", "text")
    assert find_listing(tmp_path / "store", entry.checksum, None, 1 << 20) is None
    assert find_listing(tmp_path / "store", entry.checksum, path, 10) is None
    assert find_listing(tmp_path / "store", "Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=", path, 1 << 20) is None
    path.write_bytes(b"damaged")
    assert find_listing(tmp_path / "store", entry.checksum, path, 1 << 20) is None


def test_clashes_are_paths_with_other_content_that_neither_package_may_overwrite(tmp_path: Path) -> None:
    def listing(name: str, text: str, **info: object) -> Listing:
        entry, path = pack(tmp_path, name, text, **info)
        found = find_listing(tmp_path / "store", entry.checksum, path, 1 << 20)
        assert found
        return found

    one, same, other = listing("one", "a"), listing("same", "a"), listing("other", "b")
    replacing = listing("replacing", "b", replaces=("one",))
    assert list(find_clashes(one, same)) == []
    assert sorted(find_clashes(one, other)) == ["usr/share/file", "usr/share/link", "usr/share/other"]
    assert list(find_clashes(one, replacing)) == []
