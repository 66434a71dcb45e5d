"""Packages of every form, good and bad, as the store takes them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from melpy.apk.archive import control_checksum, write_flat
from melpy.apk.model import PackageInfo
from melpy.apk.pkginfo import render_pkginfo
from melpy.apk.tar import CHECKSUM
from melpy.errors import ExtractError, MelpyError, PackageFormatError
from melpy.events import Null
from melpy.rootfs.layout import layer_path, lock_store, new_entry, share_store
from melpy.rootfs.manifest import list_entries, load_manifest
from melpy.rootfs.model import StoredPackage
from melpy.rootfs.store import ensure_layers
from tests.factories.clock import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    item = tarfile.TarInfo(name)
    item.size, item.mode = len(content), 0o644
    for key, value in fields.items():
        setattr(item, key, value)
    return item, content


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, errors="surrogateescape") as tar:
        for item, content in members:
            tar.addfile(item, io.BytesIO(content))
    return stream.getvalue()


def extract(directory: Path, data: bytes, *, size: int = 1000, store: str = "store") -> Path:
    """Extract a package whose data member holds these bytes, compressed already or not."""
    packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1)
    info = PackageInfo("one", "1-r0", "x86_64", installed_size=size, datahash=hashlib.sha256(packed).hexdigest())
    control = write_flat([(".PKGINFO", render_pkginfo(info).encode(), 0o644)], mtime=0)
    path = directory / "one-1-r0.apk"
    path.write_bytes(control + packed)
    return ensure_layers(directory / store, [StoredPackage(path, control_checksum(control))], Null())[0]


def refusal(directory: Path, data: bytes, size: int = 1000) -> MelpyError:
    with pytest.raises((ExtractError, PackageFormatError)) as caught:
        extract(directory, data, size=size)
    assert list((directory / "store").iterdir()) == [], "half an entry was left"
    return caught.value


LONG = "d" * 90 + "/" + "e" * 150 + "/" + "f" * 120


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_form_of_tar(tmp_path: Path, form: int) -> None:
    long = "x" * 80 + "/" + "y" * 90 if form == tarfile.USTAR_FORMAT else LONG
    data = archive(
        member("usr/", type=tarfile.DIRTYPE, mode=0o750, mtime=5),
        member("usr/a", b"a" * 700, mode=0o4755, uid=3, gid=7, mtime=9),
        member("./usr/b", type=tarfile.SYMTYPE, linkname="a"),
        member("usr/c", type=tarfile.LNKTYPE, linkname="usr/a"),
        member(long, b"long"),
        member("null", type=tarfile.CHRTYPE),
        form=form,
    )
    root = extract(tmp_path, data)
    assert (root / long).read_bytes() == b"long"
    assert (root / "usr/c").stat().st_ino == (root / "usr/a").stat().st_ino
    assert (root / "usr/a").stat().st_mtime == 9
    assert (root / "usr").stat().st_mtime == 5
    assert not (root / "null").exists()
    found = list_entries(load_manifest(root.parent))
    assert found["usr"][1:5] == ("d", 0o750, 0, 0)
    assert found["usr/a"][1:5] == ("f", 0o4755, 3, 7)
    assert found["usr/c"].checksum == found["usr/a"].checksum
    assert found["usr/b"].target == "a"
    assert "null" not in found


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"usr/\xff\xfe")
    root = extract(tmp_path, archive(member(name, b"odd"), form=tarfile.GNU_FORMAT))
    assert (root / name).read_bytes() == b"odd"
    assert name in load_manifest(root.parent).files


def test_members_that_come_twice_are_the_last(tmp_path: Path) -> None:
    data = archive(
        member("a", b"1"), member("a", type=tarfile.SYMTYPE, linkname="b"), member("b", b"1"), member("b", b"2")
    )
    root = extract(tmp_path, data)
    assert ((root / "a").readlink().name, (root / "b").read_bytes()) == ("b", b"2")
    assert load_manifest(root.parent).links == ["a"]


def test_what_apk_leaves_out_is_left_out(tmp_path: Path) -> None:
    names = (".hidden", "usr/a", ".later", ".config/x", "usr/b\nF:etc", "usr/\x7f")
    root = extract(tmp_path, archive(*(member(name, b"x") for name in names)))
    assert load_manifest(root.parent).files == ["usr/a"]
    assert sorted(path.name for path in root.rglob("*")) == ["a", "usr"]


def test_data_in_several_gzip_members(tmp_path: Path) -> None:
    plain = archive(member("a", b"a" * 5000), member("b", b"b"))
    packed = gzip.compress(plain[:700]) + gzip.compress(plain[700:])
    assert (extract(tmp_path, packed) / "b").read_bytes() == b"b"


def test_no_data_at_all(tmp_path: Path) -> None:
    assert list(extract(tmp_path, gzip.compress(bytes(1024))).iterdir()) == []


def test_unreadable_files_can_be_read_by_their_owner(tmp_path: Path) -> None:
    root = extract(tmp_path, archive(member("a", b"a", mode=0o111), member("d", type=tarfile.DIRTYPE, mode=0)))
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o511
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o700
    assert list_entries(load_manifest(root.parent))["a"].mode == 0o111


OUTSIDE = "wants to write outside of its directory"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("../evil", b"x")], OUTSIDE),
        ([member("usr/../../evil", b"x")], OUTSIDE),
        ([member("out", type=tarfile.SYMTYPE, linkname="/tmp"), member("out/evil", b"x")], OUTSIDE),
        ([member("out", type=tarfile.SYMTYPE, linkname=".."), member("out", type=tarfile.DIRTYPE)], OUTSIDE),
        ([member("file", b"x"), member("file/evil", b"x")], OUTSIDE),
        ([member("a", type=tarfile.LNKTYPE, linkname="../../../etc/passwd")], OUTSIDE),
        ([member("a", type=tarfile.LNKTYPE, linkname="gone")], "another name of 'gone', which is not in it"),
        ([member("d", type=tarfile.DIRTYPE), member("d", b"x")], "as a directory and as a file"),
        ([member("d/x", b"x"), member("d", type=tarfile.SYMTYPE, linkname="..")], "as a directory and as a file"),
        ([member("a", b"x", type=tarfile.GNUTYPE_SPARSE)], "in a form that is not known"),
        ([member("l", type=tarfile.SYMTYPE, linkname="")], "a symlink 'l' to nothing"),
        ([member("a", b"x", pax_headers={CHECKSUM: "00" * 20})], "one-1-r0.apk: a: is not what its checksum says"),
        ([member("a", b"", pax_headers={"mtime": "soon"})], "broken PAX record"),
    ],
)
def test_what_is_refused(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], message: str) -> None:
    assert message in str(refusal(tmp_path, archive(*members)))
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda plain: plain[:1500], "ends in the middle of a file"),
        (lambda plain: plain[:100], "ends in the middle of a file"),
        (lambda plain: gzip.compress(plain)[:-20] + bytes(30), "broken gzip stream"),
        (lambda plain: plain[:257] + b"other" + plain[262:], "is no tar"),
        (lambda plain: plain[:124] + b"zzzzzzzzzzz\0" + plain[136:], "is no tar: 'zzzzzzzzzzz' is not a number"),
    ],
)
def test_damaged_archives(tmp_path: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
    plain = archive(member("a", bytes(range(256)) * 8), form=tarfile.USTAR_FORMAT)
    assert message in str(refusal(tmp_path, spoil(plain)))


def test_a_package_that_unpacks_to_far_more_than_it_says(tmp_path: Path) -> None:
    item = tarfile.TarInfo("bomb")
    item.size = 200 << 20
    bomb = gzip.compress(item.tobuf(), 1) + gzip.compress(bytes(100 << 20), 1) * 2
    assert "unpacks to far more than the package says of itself" in str(refusal(tmp_path, bomb))
    assert "unpacks" not in str(refusal(tmp_path, bomb[: len(bomb) // 2], size=100 << 20))


def test_what_killed_processes_left_is_swept_when_nobody_is_at_work(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stale = store / ".new-stale/root/deep"
    with share_store(store):
        stale.mkdir(parents=True)
        stale.chmod(0)
    with share_store(store), new_entry(store) as busy:
        with share_store(store):
            assert busy.is_dir(), "it belongs to somebody at work"
        assert not stale.parent.exists()
    assert list(store.iterdir()) == []


def test_whoever_removes_waits_for_who_adds(tmp_path: Path) -> None:
    store = tmp_path / "store"

    class WaitedError(Exception):
        pass

    def waiting() -> None:
        raise WaitedError

    with share_store(store), pytest.raises(WaitedError), lock_store(store, waiting):
        pass
    with lock_store(store, waiting):
        pass


def test_a_checksum_that_is_none(tmp_path: Path) -> None:
    for text in ("", "Q1", "Q2" + "A" * 27 + "=", "Q1***", "../../etc"):
        with pytest.raises(PackageFormatError, match="not the checksum of a package"):
            layer_path(tmp_path, text)


DEEP = "d/" * 2000


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("d/" * 10_000 + "x", b"x")], "path of more than 4095 bytes"),
        ([member(f"{number}/{DEEP}x"[:4000], b"x") for number in range(200)], "nests deeper than 256 directories"),
        ([member("x" * 256, b"x")], "name of more than 255 bytes"),
        ([member("l", type=tarfile.SYMTYPE, linkname="x" * 5000)], "path of more than 4095 bytes"),
        ([member("a", pax_headers={"uid": "9" * 5000})], "not a number"),
        ([member("a", pax_headers={"mtime": "nan"})], "not a time"),
        ([member("a", pax_headers={"mtime": "1e300"})], "not a time"),
        ([member("a", pax_headers={"GNU.sparse.major": "1"})], "sparse"),
    ],
)
def test_what_is_out_of_bounds(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], message: str) -> None:
    start = cpu_seconds()
    assert message in str(refusal(tmp_path, archive(*members)))
    assert cpu_seconds() - start < 2


def test_a_time_beyond_all_dates(tmp_path: Path) -> None:
    root = extract(tmp_path, archive(member("a", b"", pax_headers={"mtime": str(2**63 - 1)})))
    assert (root / "a").exists()


def test_deep_directories_cost_no_more_than_their_number(tmp_path: Path) -> None:
    members = [member(f"{number}/" + "d/" * 250 + "x", b"x") for number in range(20)]
    start = cpu_seconds()
    root = extract(tmp_path, archive(*members), size=10**6)
    assert (root / ("19/" + "d/" * 250 + "x")).read_bytes() == b"x"
    assert len(load_manifest(root.parent).directories) == 20 * 251
    assert cpu_seconds() - start < 5


def test_more_entries_than_a_package_of_its_size_holds(tmp_path: Path) -> None:
    data = archive(*(member(f"{number}") for number in range(10_002)), form=tarfile.USTAR_FORMAT)
    assert "more files, or longer names, than a package of its size" in str(refusal(tmp_path, gzip.compress(data)))


def test_a_package_that_says_it_is_larger_than_any_disk(tmp_path: Path) -> None:
    item = tarfile.TarInfo("bomb")
    item.size = 65 * 10**9
    assert "unpacks to far more" in str(refusal(tmp_path, item.tobuf(), size=2**63 - 1))
