"""Unpacking archives, and never outside of their directory."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

import libarchive
import pytest

from melpy.errors import ExtractError, SettingsError
from melpy.unpack import Limit, parse_limit, unpack_archive, unpack_stream

if TYPE_CHECKING:
    from pathlib import Path


def member(
    name: str,
    content: bytes = b"",
    *,
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mtime: int = 42,
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.mtime, info.size = kind, mode, link, mtime, len(content)
    info.uid = info.gid = 4321
    return info, content


def folder(name: str, mode: int = 0o755, mtime: int = 42) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, mode=mode, kind=tarfile.DIRTYPE, mtime=mtime)


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.SYMTYPE, link=target, mode=0o777)


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.LNKTYPE, link=target)


def write_archive(path: Path, form: str, compression: str | None, files: dict[str, bytes]) -> None:
    with libarchive.file_writer(str(path), form, compression) as writer:
        for name, content in files.items():
            writer.add_file_from_memory(name, len(content), content, mtime=42)


class Box:
    """An archive and the directory that it is unpacked into; the directory above must stay as it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.out = root / "out"
        self.out.mkdir()
        self.secret = root / "secret"
        self.secret.write_text("secret")
        self.secret.chmod(0o600)

    def tar(self, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w", name: str = "a.tar") -> Path:
        path = self.root / name
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]  # any mode
            for info, content in members:
                tar.addfile(info, io.BytesIO(content))
        return path

    def unpack(self, *members: tuple[tarfile.TarInfo, bytes], strip: int = 0) -> dict[str, str]:
        unpack_archive(self.tar(*members), self.out, strip=strip)
        return self.files()

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.out)): path.read_text()
            for path in sorted(self.out.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }

    def refuses(self, *members: tuple[tarfile.TarInfo, bytes], strip: int = 0) -> str:
        with pytest.raises(ExtractError) as caught:
            unpack_archive(self.tar(*members), self.out, strip=strip)
        assert caught.value.where == "a.tar"
        assert self.secret.read_text() == "secret"
        assert stat.S_IMODE(self.secret.stat().st_mode) == 0o600
        assert sorted(path.name for path in self.root.iterdir()) == ["a.tar", "out", "secret"]
        return caught.value.message


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_files_and_missing_directories(box: Box) -> None:
    assert box.unpack(member("a/b/c", b"one"), member("./d", b"two"), member("a//e", b"three")) == {
        "a/b/c": "one",
        "a/e": "three",
        "d": "two",
    }


@pytest.mark.parametrize(
    ("strip", "expected"),
    [
        (0, {"top/a": "a", "top/sub/b": "b", "other": "o"}),
        (1, {"a": "a", "sub/b": "b"}),
        (2, {"b": "b"}),
        (3, {}),
    ],
)
def test_leading_components_are_stripped(box: Box, strip: int, expected: dict[str, str]) -> None:
    assert (
        box.unpack(folder("top"), member("top/a", b"a"), member("top/sub/b", b"b"), member("other", b"o"), strip=strip)
        == expected
    )


def test_links_to_files_inside(box: Box) -> None:
    box.unpack(member("top/a", b"a"), hard_link("top/hard", "top/a"), symlink("top/soft", "../elsewhere"), strip=1)
    assert (box.out / "a").samefile(box.out / "hard")
    assert str((box.out / "soft").readlink()) == "../elsewhere"


def test_modes_and_times_are_kept(box: Box) -> None:
    box.unpack(folder("d", 0o750, 1000), member("d/a", b"x", mode=0o751, mtime=2000), symlink("l", "d"))
    assert stat.S_IMODE((box.out / "d").stat().st_mode) == 0o750
    assert stat.S_IMODE((box.out / "d/a").stat().st_mode) == 0o751
    assert ((box.out / "d").stat().st_mtime, (box.out / "d/a").stat().st_mtime) == (1000, 2000)
    assert (box.out / "l").lstat().st_mtime == 42


def test_modes_do_not_depend_on_the_umask(box: Box) -> None:
    mask = os.umask(0o077)
    try:
        box.unpack(member("a", b"x", mode=0o666))
    finally:
        os.umask(mask)
    assert stat.S_IMODE((box.out / "a").stat().st_mode) == 0o666


def test_owners_are_not_taken_over(box: Box) -> None:
    box.unpack(member("a", b"x"))
    assert (box.out / "a").stat().st_uid == os.getuid()


def test_setuid_and_sticky_bits_are_dropped(box: Box) -> None:
    box.unpack(member("a", b"x", mode=0o4755), folder("t", 0o1777))
    assert stat.S_IMODE((box.out / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((box.out / "t").stat().st_mode) == 0o777


def test_a_closed_directory_stays_open_to_its_owner(box: Box) -> None:
    assert box.unpack(folder("d", 0o555), member("d/a", b"x")) == {"d/a": "x"}
    assert stat.S_IMODE((box.out / "d").stat().st_mode) == 0o755


def test_a_later_member_takes_the_place_of_an_earlier_one(box: Box) -> None:
    assert box.unpack(member("a", b"one"), member("a", b"two")) == {"a": "two"}
    assert box.unpack(symlink("l", "../secret"), member("l", b"mine"))["l"] == "mine"
    assert box.secret.read_text() == "secret"


def test_a_file_in_place_of_a_hard_link_does_not_change_the_other_name(box: Box) -> None:
    assert box.unpack(member("a", b"one"), hard_link("b", "a"), member("b", b"two")) == {"a": "one", "b": "two"}


def test_devices_and_pipes_are_left_out(box: Box) -> None:
    assert box.unpack(member("pipe", kind=tarfile.FIFOTYPE), member("null", kind=tarfile.CHRTYPE), member("a")) == {
        "a": ""
    }
    assert sorted(path.name for path in box.out.iterdir()) == ["a"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "..", "a/..", "../out/evil"])
def test_names_that_go_up(box: Box, name: str) -> None:
    assert box.refuses(member(name, b"evil")) == f"wants to write outside of its directory: {name!r}"


def test_stripping_does_not_hide_a_name_that_goes_up(box: Box) -> None:
    assert "wants to write outside" in box.refuses(member("../evil", b"evil"), strip=1)


def test_absolute_names_stay_inside(box: Box) -> None:
    assert box.unpack(member("/etc/evil", b"x")) == {"etc/evil": "x"}


@pytest.mark.parametrize("target", ["..", "/", "/etc", "sub"])
def test_nothing_is_written_through_a_symlink(box: Box, target: str) -> None:
    assert "wants to write outside" in box.refuses(folder("sub"), symlink("l", target), member("l/evil", b"evil"))


def test_a_directory_does_not_take_the_mode_of_what_a_symlink_points_to(box: Box) -> None:
    assert "wants to write outside" in box.refuses(symlink("l", ".."), folder("l", 0o777))


def test_a_symlink_in_place_of_a_directory_is_not_followed_at_the_end(box: Box) -> None:
    above = stat.S_IMODE(box.root.stat().st_mode)
    with pytest.raises(ExtractError):
        unpack_archive(box.tar(folder("d", 0o777), symlink("d", "..")), box.out)
    assert stat.S_IMODE(box.root.stat().st_mode) == above


@pytest.mark.parametrize("target", ["../secret", "/../secret", "a/../../secret"])
def test_hard_links_to_outside(box: Box, target: str) -> None:
    assert "wants to write outside" in box.refuses(hard_link("l", target))


def test_hard_links_through_a_symlink(box: Box) -> None:
    assert "wants to write outside" in box.refuses(symlink("up", ".."), hard_link("l", "up/secret"))


def test_a_hard_link_to_a_symlink_links_the_symlink(box: Box) -> None:
    box.unpack(symlink("s", "../secret"), hard_link("l", "s"))
    assert (box.out / "l").is_symlink()
    assert box.secret.stat().st_nlink == 1


def test_a_hard_link_to_what_is_not_there(box: Box) -> None:
    assert "no such file or directory" in box.refuses(hard_link("l", "none"))


def test_a_hard_link_to_what_is_stripped_away(box: Box) -> None:
    assert box.refuses(member("a", b"x"), hard_link("top/l", "a"), strip=1)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_compressed_tars(box: Box, compression: str) -> None:
    path = box.tar(member("a", b"x"), mode=f"w:{compression}", name=f"a.tar.{compression}")
    unpack_archive(path, box.out)
    assert box.files() == {"a": "x"}


@pytest.mark.parametrize(
    ("form", "compression"),
    [
        *(("pax", name) for name in ("zstd", "lz4", "lzma", "lzip", "compress", "gzip", "bzip2", "xz")),
        *(("ustar", None), ("gnutar", "gzip"), ("v7tar", None)),
        *(("7zip", None), ("zip", None), ("cpio", None), ("cpio_newc", "gzip"), ("cpio_newc", "zstd")),
    ],
)
def test_every_kind(box: Box, form: str, compression: str | None) -> None:
    write_archive(box.root / "archive", form, compression, {"top/a": b"x" * 100_000, "top/dir/COPYING": b"y"})
    unpack_archive(box.root / "archive", box.out, strip=1)
    assert box.files() == {"a": "x" * 100_000, "dir/COPYING": "y"}
    assert (box.out / "a").stat().st_mtime == 42


@pytest.mark.parametrize("form", ["ar_bsd", "ar_svr4"])
def test_ar_and_so_deb(box: Box, form: str) -> None:
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"one", "data.tar.xz": b"two"}
    write_archive(box.root / "a.deb", form, None, members)
    unpack_archive(box.root / "a.deb", box.out)
    assert box.files() == {name: content.decode() for name, content in members.items()}


def test_rpm(box: Box) -> None:
    payload = box.root / "payload"
    write_archive(payload, "cpio_newc", "xz", {"./usr/share/a": b"x"})
    # A lead and two headers without entries. Source: the RPM file format, version 3.
    header = bytes.fromhex("8eade801 00000000 00000000 00000000")
    lead = bytes.fromhex("edabeedb 0300 0000 0001").ljust(96, b"\0")
    (box.root / "a.rpm").write_bytes(lead + header + header + payload.read_bytes())
    unpack_archive(box.root / "a.rpm", box.out)
    assert box.files() == {"usr/share/a": "x"}


@pytest.mark.parametrize("form", ["7zip", "zip", "cpio_newc"])
def test_names_that_go_up_in_other_archives(box: Box, form: str) -> None:
    write_archive(box.root / "archive", form, None, {"../evil": b"x"})
    with pytest.raises(ExtractError, match="wants to write outside"):
        unpack_archive(box.root / "archive", box.out)
    assert not (box.root / "evil").exists()


@pytest.mark.parametrize(
    "magic", [b"LRZI\0\6", b"GRZipII\0\2\4:)", b"\x89LZO\0\r\n\x1a\n", b"begin 644 x\n", b"#mtree\n./x type=file\n"]
)
def test_what_libarchive_would_ask_this_machine_for(box: Box, monkeypatch: pytest.MonkeyPatch, magic: bytes) -> None:
    for name in ("lrzip", "grzip", "lzop"):
        (box.root / name).write_text(f"#!/bin/sh\n: > {box.root}/ran\n")
        (box.root / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{box.root}:{os.environ['PATH']}")
    (box.root / "archive").write_bytes(magic + bytes(200))
    with pytest.raises(ExtractError, match="unrecognized archive format") as caught:
        unpack_archive(box.root / "archive", box.out)
    assert "`extract: false`" in (caught.value.hint or "")
    assert not (box.root / "ran").exists()


def test_directories_that_an_archive_leaves_out_have_the_time_of_what_is_in_them(box: Box) -> None:
    (box.out / "there").mkdir()
    before = (box.out / "there").stat().st_mtime
    box.unpack(member("a/b/c", b"x", mtime=1000), member("there/d", b"x"), folder("e/f", mtime=2000))
    times = {name: (box.out / name).stat().st_mtime for name in ("a", "a/b", "e", "e/f")}
    assert times == {"a": 1000, "a/b": 1000, "e": 2000, "e/f": 2000}
    assert (box.out / "there").stat().st_mtime >= before


def test_a_directory_that_is_named_after_what_is_in_it(box: Box) -> None:
    box.unpack(member("d/a", b"x", mtime=1), folder("d", 0o700, mtime=2))
    info = (box.out / "d").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_mtime) == (0o700, 2)


def test_a_bomb_is_stopped(box: Box) -> None:
    bomb = box.tar(member("top/a", bytes(5_000_000)), mode="w:xz")
    assert bomb.stat().st_size < 10_000
    with pytest.raises(ExtractError, match="becomes more than the 1000000 bytes that it may become") as caught:
        unpack_archive(bomb, box.out, limit=parse_limit("1MB"))
    assert "unpack-limit" in (caught.value.hint or "")
    assert sum(path.stat().st_size for path in box.out.rglob("*") if path.is_file()) <= 1_000_000
    unpack_archive(bomb, box.out, limit=parse_limit("5MB"))


def test_all_files_together_count(box: Box) -> None:
    with pytest.raises(ExtractError, match="becomes more than the 1000 bytes"):
        unpack_archive(box.tar(*(member(f"{n}", bytes(300)) for n in range(4))), box.out, limit=parse_limit("1kB"))


def test_the_hole_of_a_sparse_file_counts(box: Box) -> None:
    info, content = member("a", b"x")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "10000000001"}
    info.pax_headers |= {"GNU.sparse.name": "a", "GNU.sparse.map": "10000000000,1"}
    with pytest.raises(ExtractError, match="becomes more than"):
        unpack_archive(box.tar((info, content)), box.out, limit=parse_limit("1MB"))


def test_too_many_entries(box: Box) -> None:
    many = box.tar(*(symlink(f"{n}", "x") for n in range(11)))
    with pytest.raises(ExtractError, match="has more than the 10 entries that it may have"):
        unpack_archive(many, box.out, limit=Limit(size=1, entries=10))


@pytest.mark.parametrize(
    ("text", "size", "entries"),
    [
        ("64GB", 64_000_000_000, 4_000_000),
        ("500 MB", 500_000_000, 31_250),
        ("2T", 2 * 10**12, 125_000_000),
        ("7", 7, 10_000),
        ("3kB", 3000, 10_000),
    ],
)
def test_sizes(text: str, size: int, entries: int) -> None:
    assert parse_limit(text) == Limit(size, entries)


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1.5GB", "1XB", "64GiB", "lots"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(SettingsError, match="unpack-limit: not a size"):
        parse_limit(text)


def test_names_stay_as_they_are(box: Box) -> None:
    names = ["COPYING.", "a b", "patches/0001-fix: x.patch", "ünï", "quote'\"", "back\\slash", " lead", "-n", "a\nb"]
    assert box.unpack(*(member(name, b"x") for name in names)) == dict.fromkeys(names, "x")


def test_zip(box: Box) -> None:
    with zipfile.ZipFile(box.root / "a.zip", "w") as archive:
        archive.writestr("top/a", "x")
        archive.writestr("top/", "")
    unpack_archive(box.root / "a.zip", box.out, strip=1)
    assert box.files() == {"a": "x"}


def test_only_what_stands_behind_the_position(box: Box) -> None:
    first, second = box.tar(member("a", b"x")), box.tar(member("b", b"y"), name="b.tar")
    size = first.stat().st_size
    both = box.root / "both.tar"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with both.open("rb") as stream:
        stream.seek(size)
        unpack_stream(stream, box.out, where="both.tar")
    assert box.files() == {"b": "y"}


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x1f\x8b\x08\x00broken", b"\xfd7zXZ\x00broken"])
def test_what_is_no_archive(box: Box, content: bytes) -> None:
    path = box.root / "a.tar"
    path.write_bytes(content)
    if not content:
        unpack_archive(path, box.out)  # an empty tar, to libarchive
        assert box.files() == {}
        return
    with pytest.raises(ExtractError, match="cannot be unpacked"):
        unpack_archive(path, box.out)


def test_a_truncated_archive(box: Box) -> None:
    path = box.tar(member("a", os.urandom(100_000)), mode="w:gz", name="a.tar.gz")
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(ExtractError, match="cannot be unpacked") as caught:
        unpack_archive(path, box.out)
    assert caught.value.where == "a.tar.gz"


def test_a_missing_archive(box: Box) -> None:
    with pytest.raises(ExtractError, match="cannot be read"):
        unpack_archive(box.root / "none.tar", box.out)
