"""Indexes of package files: what is read, what is told, what is written."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from melpy.apk.archive import write_flat
from melpy.apk.index import read_entries, read_index, write_index
from melpy.apk.model import Index, IndexEntry, PackageInfo
from melpy.apk.pkginfo import render_pkginfo
from melpy.errors import PackageFormatError
from melpy.repo.indexing import index_files, refresh_index
from melpy.repo.inventory import read_records
from melpy.repo.memory import CHANGING, load_memory, memory_path, recall_index, stamp_files
from melpy.repo.model import IndexReport, IndexSpec

if TYPE_CHECKING:
    from pathlib import Path


def put(directory: Path, name: str, version: str = "1-r0", arch: str = "x86_64", **info: Any) -> Path:
    """Write a package without data, long ago, so that its times say whether it changes."""
    directory.mkdir(parents=True, exist_ok=True)
    facts = PackageInfo(name, version, arch, datahash="0" * 64, **info)
    path = directory / facts.file_name
    path.write_bytes(write_flat([(".PKGINFO", render_pkginfo(facts).encode(), 0o644)], mtime=0))
    os.utime(path, (1, 1))
    return path


@pytest.fixture
def spec(tmp_path: Path) -> IndexSpec:
    return IndexSpec(tmp_path / "r/x86_64/APKINDEX.tar.gz", None, memory=tmp_path / "memory")


def names(path: Path) -> list[str]:
    return [entry.info.full_name for entry in read_entries(read_index(path.read_bytes(), keyring=None, where=""))]


def settle() -> None:
    """Wait until a change can be told from those before."""
    time.sleep(0.15)


def refresh(spec: IndexSpec) -> IndexReport:
    """Do what `melpy index` does for a directory."""
    files = sorted(path.name for path in spec.path.parent.glob("*.apk"))
    known = recall_index(spec, str(spec.path.parent), files)
    return known or refresh_index(spec.path.parent.parent, spec.path.parent.name, spec)


def test_packages_are_read_once(spec: IndexSpec) -> None:
    put(spec.path.parent, "a")
    put(spec.path.parent, "b")
    settle()
    first = refresh(spec)
    assert (first.packages, first.read, first.written) == (2, 2, True)
    again = refresh(spec)
    assert (again.packages, again.read, again.written) == (2, 0, False)
    put(spec.path.parent, "c")
    (spec.path.parent / "a-1-r0.apk").unlink()
    more = refresh(spec)
    assert (more.packages, more.read, more.written) == (2, 1, True)
    assert names(spec.path) == ["b-1-r0", "c-1-r0"]


def test_a_package_with_another_content_is_noticed_though_size_and_mtime_are_the_same(spec: IndexSpec) -> None:
    path = put(spec.path.parent, "a", description="ab")
    settle()
    refresh(spec)
    before = path.stat()
    others = (put(spec.path.parent, "a", description=f"{letter}b") for letter in "bcdefghijklmnop")
    assert any(other.stat().st_size == before.st_size for other in others)
    assert (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )
    assert refresh(spec).written
    (entry,) = read_entries(read_index(spec.path.read_bytes(), keyring=None, where=""))
    assert entry.info.description not in {"", "ab"}


def test_what_may_still_change_within_its_time_is_looked_into(spec: IndexSpec) -> None:
    path = put(spec.path.parent, "a")
    assert stamp_files(str(spec.path.parent), [path.name]) == {path.name: CHANGING}
    assert [refresh(spec).read for _ in range(2)] == [1, 1]
    settle()
    assert [refresh(spec).read for _ in range(2)] == [1, 0]


def test_of_a_copy_the_heads_are_read(spec: IndexSpec, tmp_path: Path) -> None:
    put(spec.path.parent, "a")
    settle()
    refresh(spec)
    path = memory_path(spec)
    assert path is not None
    known = load_memory(path).records()
    shutil.copytree(spec.path.parent, tmp_path / "copy")
    settle()
    stamps = stamp_files(str(tmp_path / "copy"), list(known))
    # The stanza is what was remembered, so the package was not parsed.
    marked = {file: record._replace(stanza=record.stanza + "z:marked\n") for file, record in known.items()}
    (record,), faults = read_records(str(tmp_path / "copy"), stamps, marked, 1)
    assert (record.stanza.endswith("z:marked\n"), record.stamp, faults) == (True, stamps["a-1-r0.apk"], [])


def test_an_index_that_somebody_else_changed_is_written_anew(spec: IndexSpec) -> None:
    put(spec.path.parent, "a")
    settle()
    refresh(spec)
    right = spec.path.read_bytes()
    spec.path.write_bytes(write_index([]))
    report = refresh(spec)
    assert (report.written, report.read) == (True, 0)
    assert spec.path.read_bytes() == right
    spec.path.unlink()
    assert refresh(spec).written


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign", "empty"])
def test_a_memory_that_may_be_wrong_is_forgotten(spec: IndexSpec, damage: str) -> None:
    put(spec.path.parent, "a")
    settle()
    refresh(spec)
    path = memory_path(spec)
    assert path is not None
    data = path.read_bytes()
    if damage == "foreign":
        path.chmod(0o666)
    else:
        path.write_bytes({"flip": data.replace(b"P:a", b"P:b"), "cut": data[:-9], "empty": b""}[damage])
    report = refresh(spec)
    assert (report.written, report.read) == (False, 1)
    assert names(spec.path) == ["a-1-r0"]


def test_another_key_signs_anew(spec: IndexSpec) -> None:
    put(spec.path.parent, "a")
    settle()
    refresh(spec)
    assert recall_index(spec, str(spec.path.parent), ["a-1-r0.apk"])
    signed = IndexSpec(spec.path, lambda: pytest.fail("not loaded"), "key one", spec.memory)
    assert recall_index(signed, str(spec.path.parent), ["a-1-r0.apk"]) is None


def test_packages_are_sorted_by_name_and_version(spec: IndexSpec) -> None:
    for version in ("10-r0", "9-r0", "9_rc1-r0"):
        put(spec.path.parent, "b", version)
    put(spec.path.parent, "b-c")
    put(spec.path.parent, "a", arch="noarch")
    refresh(spec)
    assert names(spec.path) == ["a-1-r0", "b-9_rc1-r0", "b-9-r0", "b-10-r0", "b-c-1-r0"]


def test_all_that_is_wrong_is_told_and_the_index_stays(spec: IndexSpec) -> None:
    directory = spec.path.parent
    put(directory, "a")
    refresh(spec)
    before = spec.path.read_bytes()
    put(directory, "b", arch="aarch64")
    put(directory, "c").rename(directory / "other-1-r0.apk")
    (directory / "broken.apk").write_bytes(b"no package")
    (directory / "directory.apk").mkdir()
    os.mkfifo(directory / "pipe.apk")
    with pytest.raises(PackageFormatError, match="5 files cannot be indexed") as caught:
        refresh(spec)
    assert [line.partition(": ")[2] for line in caught.value.details] == [
        "is not a gzip file",
        "cannot be read: is a directory",
        "is not a file",
        "is for aarch64 (move it from x86_64 to aarch64)",
        "holds c-1-r0 (rename it to c-1-r0.apk)",
    ]
    assert all(line.startswith(f"  {directory}/") for line in caught.value.details)
    assert spec.path.read_bytes() == before


def test_files_of_one_architecture_go_into_an_index(tmp_path: Path) -> None:
    files = [str(put(tmp_path / arch, "a", arch=arch)) for arch in ("x86_64", "aarch64")]
    files.append(str(put(tmp_path, "n", arch="noarch")))
    index = tmp_path / "APKINDEX.tar.gz"
    with pytest.raises(PackageFormatError, match=r"is for aarch64, and .* for x86_64") as caught:
        index_files(files, IndexSpec(index, None))
    assert caught.value.hint == "an index is for one architecture: name it with --arch"
    assert not index.exists()
    report = index_files(files, IndexSpec(index, None, arch="x86_64"))
    assert (report.packages, report.left_out) == (2, (files[1],))
    assert names(index) == ["a-1-r0", "n-1-r0"]


def test_the_same_package_twice_is_told_and_another_of_its_name_refused(tmp_path: Path) -> None:
    one, same = put(tmp_path / "1", "a"), put(tmp_path / "2", "a")
    other = put(tmp_path / "3", "a", description="another")
    index = tmp_path / "APKINDEX.tar.gz"
    report = index_files([str(one), str(same)], IndexSpec(index, None))
    assert (report.packages, report.repeated) == (1, (str(same),))
    with pytest.raises(PackageFormatError, match="is another a-1-r0 than"):
        index_files([str(one), str(other)], IndexSpec(index, None))


def test_merging_keeps_what_is_there_besides(tmp_path: Path) -> None:
    index = tmp_path / "APKINDEX.tar.gz"
    old = [IndexEntry(PackageInfo(name, "1-r0", "x86_64"), f"Q1{name}", 7) for name in ("a", "z")]
    base = read_index(write_index(old, description="mine"), keyring=None, where="old")
    report = index_files([str(put(tmp_path, "a")), str(put(tmp_path, "a", "2-r0"))], IndexSpec(index, None), base)
    assert (report.packages, names(index)) == (3, ["a-1-r0", "a-2-r0", "z-1-r0"])
    found = read_index(index.read_bytes(), keyring=None, where="")
    assert found.description == "mine"
    assert [entry.size for entry in read_entries(found)][2] == 7
    assert read_entries(found)[0].size > 7


def test_a_malformed_index_is_not_merged(tmp_path: Path) -> None:
    with pytest.raises(PackageFormatError, match="malformed line 'nonsense'"):
        index_files(
            [str(put(tmp_path, "a"))],
            IndexSpec(tmp_path / "APKINDEX.tar.gz", None),
            Index(("C:Q1\nP:a\nV:1\nnonsense",), where="old"),
        )


def test_a_path_with_a_line_break_is_not_remembered(tmp_path: Path, spec: IndexSpec) -> None:
    path = put(tmp_path / "odd\nplace", "a")
    settle()
    for _ in range(2):
        assert index_files([str(path)], spec).read == 1


def test_not_more_is_told_than_can_be_read(spec: IndexSpec) -> None:
    for number in range(30):
        put(spec.path.parent, f"a{number}", arch="aarch64")
    with pytest.raises(PackageFormatError, match="30 files cannot be indexed") as caught:
        refresh(spec)
    assert (len(caught.value.details), caught.value.details[-1]) == (21, "  and 10 more")


def test_a_package_for_every_architecture_is_found_where_it_lies(spec: IndexSpec, tmp_path: Path) -> None:
    path = put(spec.path.parent, "n", arch="noarch")
    refresh(spec)
    (entry,) = read_entries(read_index(spec.path.read_bytes(), keyring=None, where=""))
    assert entry.info.arch == "x86_64"
    index_files([str(path), str(put(spec.path.parent, "x"))], IndexSpec(tmp_path / "i", None))
    entries = read_entries(read_index((tmp_path / "i").read_bytes(), keyring=None, where=""))
    assert {entry.info.arch for entry in entries} == {"x86_64"}
    index_files([str(path)], IndexSpec(tmp_path / "i", None))
    (entry,) = read_entries(read_index((tmp_path / "i").read_bytes(), keyring=None, where=""))
    assert entry.info.arch == "noarch"


def test_only_what_melpy_left_is_cleared_away(spec: IndexSpec) -> None:
    directory = spec.path.parent
    put(directory, "a")
    kept = [directory / f".{spec.path.name}{end}" for end in (".bak", ".abcdefgh.old", ".d")]
    for path in kept[:2]:
        path.touch()
    kept[2].mkdir()
    (directory / f".{spec.path.name}.abc_e1gh").touch()
    refresh(spec)
    assert sorted(directory.glob(".*")) == sorted(kept)
