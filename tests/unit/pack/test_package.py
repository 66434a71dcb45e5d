"""Output trees become packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import PackageInfo
from melpy.apk.segment import check_datahash, read_entry, read_segments
from melpy.build.tree import load_tree
from melpy.errors import OutputError, PackageFormatError
from melpy.pack.model import ControlFile
from melpy.pack.package import installed_size, write_package
from tests.factories.package import walk_as_apko
from tests.factories.tree import Directory, Fifo, File, Link, program, tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.build.model import OutputTree
    from tests.factories.tree import Content

INFO = PackageInfo("hello", "1.0-r0", "x86_64")


def packed(files: OutputTree, directory: Path, control: Sequence[ControlFile] = ()) -> dict[str, tarfile.TarInfo]:
    """Pack a tree and return the members of the one tar that the package is."""
    write_package(files, INFO, directory, mtime=7, control=control)
    data = gzip.decompress((directory / INFO.file_name).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        return {item.name: item for item in tar}


def test_directories_have_entries_and_come_before_their_files(tmp_path: Path) -> None:
    found = packed(
        tree(
            tmp_path / "tree",
            {"usr/bin/b": program(), "usr/bin/B": program(), "usr/bin-x": "", "etc": Directory(0o700)},
        ),
        tmp_path,
    )
    assert list(found) == [".PKGINFO", "etc", "usr", "usr/bin", "usr/bin/B", "usr/bin/b", "usr/bin-x"]
    assert found["etc"].mode == 0o700
    assert all(item.mtime == 7 and item.uid == item.gid == 0 for item in found.values())


def test_a_reader_that_goes_by_the_names_as_written_sees_every_file(tmp_path: Path) -> None:
    long = "d" * 200
    files = tree(tmp_path / "tree", {"usr/share/doc/a": "x", f"{long}/{long}/f": "x", "empty": Directory(), "ü/b": ""})
    write_package(files, INFO, tmp_path, mtime=7)
    assert walk_as_apko(tmp_path / INFO.file_name) == sorted(entry.path for entry in files)


def test_files_carry_their_checksum_for_apk(tmp_path: Path) -> None:
    found = packed(tree(tmp_path / "tree", {"a": b"content", "l": Link("../nowhere")}), tmp_path)
    assert found["a"].pax_headers["APK-TOOLS.checksum.SHA1"] == hashlib.sha1(b"content").hexdigest()
    assert found["l"].pax_headers["APK-TOOLS.checksum.SHA1"] == hashlib.sha1(b"../nowhere").hexdigest()
    assert (found["l"].type, found["l"].linkname, found["l"].mode) == (tarfile.SYMTYPE, "../nowhere", 0o777)


def test_hard_links_are_stored_once(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    tree(root, {"b": b"x" * 1000, "sub/other": b"x" * 1000})
    os.link(root / "b", root / "sub" / "link")
    os.link(root / "b", root / "a")
    found = packed(load_tree("hello", root), tmp_path)
    assert (found["a"].type, found["a"].size) == (tarfile.REGTYPE, 1000)
    assert [(found[name].type, found[name].linkname) for name in ("b", "sub/link")] == [(tarfile.LNKTYPE, "a")] * 2
    assert found["sub/other"].type == tarfile.REGTYPE
    assert installed_size(load_tree("hello", root)) == 2000


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o444, 0o000])
def test_modes_are_kept(tmp_path: Path, mode: int) -> None:
    assert packed(tree(tmp_path / "tree", {"a": File("x", mode)}), tmp_path)["a"].mode == mode


def test_directory_modes_are_kept(tmp_path: Path) -> None:
    found = packed(tree(tmp_path / "tree", {"tmp": Directory(0o1777), "closed": Directory(0o500)}), tmp_path)
    assert (found["tmp"].mode, found["closed"].mode) == (0o1777, 0o500)


def test_extended_attributes_become_records(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    tree(root, {"bin/ping": program()})
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    found = load_tree("hello", root, xattrs={"/bin/ping": {"security.capability": capability}})
    records = packed(found, tmp_path)["bin/ping"].pax_headers
    assert records["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == capability


def test_binary_extended_attributes_survive(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    tree(root, {"a": "x"})
    found = load_tree("hello", root, xattrs={"a": {"user.x": b"\xff\x00\xfe\n=1"}})
    write_package(found, INFO, tmp_path, mtime=0)
    assert b"SCHILY.xattr.user.x=\xff\x00\xfe\n=1\n" in gzip.decompress((tmp_path / INFO.file_name).read_bytes())


def test_attributes_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PackageFormatError, match="bin/ping is not in the package") as caught:
        load_tree("hello", tmp_path, xattrs={"/bin/ping": {"security.capability": b""}})
    assert caught.value.where == "hello"


def test_an_empty_package_has_size_1(tmp_path: Path) -> None:
    entry = write_package(load_tree("hello", tmp_path / "none"), INFO, tmp_path, mtime=7)
    assert entry.info.installed_size == 1
    assert read_entry(tmp_path / INFO.file_name) == entry


def test_a_package_of_links_only_counts_their_targets(tmp_path: Path) -> None:
    assert installed_size(tree(tmp_path / "tree", {"a": Link("12345"), "d": Directory()})) == 5


def test_fifos_are_packed(tmp_path: Path) -> None:
    assert packed(tree(tmp_path / "tree", {"run/pipe": Fifo()}), tmp_path)["run/pipe"].type == tarfile.FIFOTYPE


def test_control_files_follow_the_info_by_name(tmp_path: Path) -> None:
    control = [ControlFile(".trigger", b"#!/bin/sh", 0o755), ControlFile(".melange.yaml", b"x")]
    found = packed(load_tree("hello", tmp_path / "none"), tmp_path, control)
    assert [(name, item.mode) for name, item in found.items()] == [
        (".PKGINFO", 0o644),
        (".melange.yaml", 0o644),
        (".trigger", 0o755),
    ]


def test_the_entry_is_what_is_read_back(tmp_path: Path) -> None:
    entry = write_package(tree(tmp_path / "tree", {"a": "x" * 5000}), INFO, tmp_path, mtime=7)
    path = tmp_path / INFO.file_name
    assert read_entry(path) == entry
    assert entry.info.installed_size == 5000
    with path.open("rb") as stream:
        check_datahash(stream, read_segments(stream, where="x"), where=str(path))


def test_bytes_depend_on_content_alone(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "usr/bin/a": program("a"),
        "usr/bin/b": program("b"),
        "usr/lib/l": Link("../bin/a"),
        "z": "z",
    }
    one = tree(tmp_path / "one", files)
    mask = os.umask(0o077)
    try:
        two = tree(tmp_path / "two" / "deeper", dict(reversed(files.items())))
    finally:
        os.umask(mask)
    for directory in (tmp_path / "two" / "deeper").rglob("*"):
        if not directory.is_symlink():
            os.utime(directory, (1, 1))
            if directory.is_dir():
                directory.chmod(0o755)
    two = load_tree("hello", two.root)
    write_package(one, INFO, tmp_path / "out1", mtime=7)
    write_package(two, INFO, tmp_path / "out2", mtime=7)
    first, second = (tmp_path / out / INFO.file_name for out in ("out1", "out2"))
    assert first.read_bytes() == second.read_bytes()


def test_a_file_that_vanishes_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    found = tree(tmp_path / "tree", {"a": "x", "b": "y"})
    (tmp_path / "tree" / "b").unlink()
    with pytest.raises(PackageFormatError, match="b cannot be read: no such file or directory") as caught:
        write_package(found, INFO, tmp_path / "out", mtime=7)
    assert caught.value.where == "hello"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write: not a directory"):
        write_package(load_tree("hello", tmp_path / "none"), INFO, tmp_path / "file" / "out", mtime=7)
