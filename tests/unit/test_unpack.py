"""Unpacking archives, and never outside of their directory."""

from __future__ import annotations

import calendar
import io
import locale
import os
import re
import stat
import struct
import tarfile
import time
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

import libarchive
import pytest

from melpy.errors import ExtractError
from melpy.unpack import Limit, make_limit, unpack_archive, unpack_stream
from tests.factories.archive import HARD_LINK, SYMLINK, Item, make_cpio, make_tar, make_zip, read_tree
from tests.factories.clock import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
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
        (0, ["README", "src/deep/g", "src/f"]),
        (1, ["README", "src/deep/g", "src/f"]),
        (2, ["deep/g", "f"]),
        (3, ["g"]),
    ],
)
def test_a_dot_counts_as_a_component(box: Box, strip: int, expected: list[str]) -> None:
    names = ["./README", "./src/f", "./src/deep/g"]
    files = box.unpack(folder("./"), folder("./src/"), *(member(name) for name in names), strip=strip)
    assert sorted(files) == expected


@pytest.mark.parametrize(
    ("name", "strip", "expected"),
    [
        ("/usr/src/f", 1, "src/f"),
        ("//usr//src///f", 1, "src/f"),
        ("usr/./f", 1, "f"),
        ("././f", 1, "f"),
        ("./usr//./src/f", 2, "src/f"),
    ],
)
def test_slashes_do_not_count(box: Box, name: str, strip: int, expected: str) -> None:
    assert list(box.unpack(member(name), strip=strip)) == [expected]


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


@pytest.mark.parametrize("mode", [0o1777, 0o2775, 0o4755, 0o6711, 0o555, 0o444, 0o1, 0])
def test_modes_are_those_of_the_archive(box: Box, mode: int) -> None:
    unpack_archive(box.tar(folder("d", mode), member("f", b"x", mode=mode)), box.out)
    assert oct(stat.S_IMODE((box.out / "d").stat().st_mode)) == oct(mode)
    assert oct(stat.S_IMODE((box.out / "f").stat().st_mode)) == oct(mode)


@pytest.mark.parametrize("mode", [0o555, 0o400, 0])
def test_what_comes_later_is_written_into_closed_directories(box: Box, mode: int) -> None:
    unpack_archive(box.tar(folder("d", mode), member("d/a", b"x"), folder("d/e", mode), member("d/e/f", b"y")), box.out)
    assert stat.S_IMODE((box.out / "d").stat().st_mode) == mode
    # Another source, into what the first one left.
    unpack_archive(box.tar(member("d/e/g", b"z")), box.out)
    assert stat.S_IMODE((box.out / "d").stat().st_mode) == mode
    (box.out / "d").chmod(0o755)
    assert stat.S_IMODE((box.out / "d/e").stat().st_mode) == mode
    (box.out / "d/e").chmod(0o755)
    assert box.files() == {"d/a": "x", "d/e/f": "y", "d/e/g": "z"}


def test_the_directory_itself_keeps_its_mode(box: Box) -> None:
    before = box.out.stat().st_mode
    box.unpack(folder("./", 0o1700), member("./a"))
    assert box.out.stat().st_mode == before


def test_a_directory_that_a_member_names_again_has_the_last_mode(box: Box) -> None:
    box.unpack(folder("d", 0o700), member("d/a"), folder("./d/", 0o2750))
    assert stat.S_IMODE((box.out / "d").stat().st_mode) == 0o2750


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


@pytest.mark.parametrize("name", ["a/..", "a/../b", "a/b/../../c"])
def test_names_with_a_way_up_that_stay_inside(box: Box, name: str) -> None:
    message = f"cannot be unpacked: {name!r} has '..' in it, which tar does not unpack either"
    assert box.refuses(member(name, b"x")) == message


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "..", "../out/evil"])
def test_names_that_go_up(box: Box, name: str) -> None:
    assert box.refuses(member(name, b"evil")) == f"wants to write outside of its directory: {name!r}"


def test_stripping_does_not_hide_a_name_that_goes_up(box: Box) -> None:
    assert "wants to write outside" in box.refuses(member("../evil", b"evil"), strip=1)


def test_absolute_names_stay_inside(box: Box) -> None:
    assert box.unpack(member("/etc/evil", b"x")) == {"etc/evil": "x"}


@pytest.mark.parametrize("target", ["..", "/", "/etc", "sub/../..", "self/..", "l2"])
def test_nothing_is_written_through_a_symlink_that_leads_out(box: Box, target: str) -> None:
    links = [symlink("self", "."), symlink("l2", "./../out/../"), symlink("l", target)]
    message = box.refuses(folder("sub"), *links, member("l/evil", b"evil"))
    assert message.startswith("wants to write outside of its directory: through ")


@pytest.mark.parametrize(
    ("target", "place"), [("sub", "sub/f"), ("./sub/", "sub/f"), ("sub/../sub", "sub/f"), (".", "f")]
)
def test_files_through_a_symlink_that_stays_inside(box: Box, target: str, place: str) -> None:
    assert box.unpack(folder("sub"), symlink("l", target), member("l/f", b"x"), member("l/f", b"y")) == {place: "y"}
    assert (box.out / "l").is_symlink()


def test_a_symlink_through_a_directory_above(box: Box) -> None:
    files = box.unpack(folder("a/b"), folder("c"), symlink("a/b/up", "../../c"), member("a/b/up/f", b"x"))
    assert files == {"c/f": "x"}


def test_symlinks_in_a_circle(box: Box) -> None:
    message = box.refuses(symlink("a", "b"), symlink("b", "a"), member("a/f"))
    assert message == "cannot be unpacked: 'a' leads through too many symlinks"


def test_a_symlink_to_nothing_is_not_written_through(box: Box) -> None:
    assert "no such file or directory" in box.refuses(symlink("l", "none"), member("l/f"))


def test_a_symlink_that_was_there_is_not_the_fault_of_the_archive(box: Box) -> None:
    (box.out / "l").symlink_to("/")
    with pytest.raises(ExtractError, match="'l', which was there before, is a symlink to '/', outside") as caught:
        unpack_archive(box.tar(member("l/evil", b"evil")), box.out)
    assert "do not trust" not in (caught.value.hint or "")


@pytest.mark.parametrize("target", ["sub", ".", "..", "/", "none"])
def test_a_directory_takes_the_place_of_a_symlink(box: Box, target: str) -> None:
    above = stat.S_IMODE(box.root.stat().st_mode)
    box.unpack(folder("sub", 0o700), symlink("l", target), folder("l", 0o777), member("l/f", b"x"))
    assert not (box.out / "l").is_symlink()
    assert (box.out / "l/f").read_text() == "x"
    assert stat.S_IMODE((box.out / "sub").stat().st_mode) == 0o700
    assert stat.S_IMODE(box.root.stat().st_mode) == above


def test_a_directory_takes_the_place_of_a_file(box: Box) -> None:
    assert box.unpack(member("d", b"x"), folder("d"), member("d/f", b"y")) == {"d/f": "y"}


@pytest.mark.parametrize("later", [member("d", b"x"), symlink("d", "..")])
def test_a_file_takes_the_place_of_an_empty_directory(box: Box, later: tuple[tarfile.TarInfo, bytes]) -> None:
    above = stat.S_IMODE(box.root.stat().st_mode)
    box.unpack(folder("d", 0o777), later)
    assert not (box.out / "d").is_dir() or (box.out / "d").is_symlink()
    assert stat.S_IMODE(box.root.stat().st_mode) == above


def test_a_file_does_not_take_the_place_of_a_full_directory(box: Box) -> None:
    message = box.refuses(member("d/f"), member("d", b"x"))
    assert message == "cannot be unpacked: 'd' is a directory with something in it, and would have to be a file"


def test_a_file_is_no_directory(box: Box) -> None:
    message = box.refuses(member("top/d", b"x"), member("top/d/f"))
    assert message == "cannot be unpacked: 'top/d' is a file, and would have to be a directory"


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
    message = box.refuses(member("a", b"x"), hard_link("top/l", "a"), strip=1)
    assert message == "cannot be unpacked: 'top/l' links to 'a', which is not unpacked"


def test_hard_links_and_dots(box: Box) -> None:
    assert box.unpack(member("./a", b"x"), hard_link("./b", "a"), hard_link("c", "./b")) == dict.fromkeys("abc", "x")
    assert (box.out / "a").stat().st_nlink == 3


def test_a_hard_link_to_itself(box: Box) -> None:
    assert box.unpack(member("a", b"x"), hard_link("./a", "a")) == {"a": "x"}


@pytest.mark.parametrize("form", ["newc", "odc"])
def test_hard_links_of_a_cpio_have_its_content(box: Box, form: str) -> None:
    items = [
        Item(b"a", content=b"one", mode=0o755),
        Item(b"b", HARD_LINK, target=b"a"),
        Item(b"d/c", HARD_LINK, target=b"a"),
    ]
    (box.root / "a.cpio").write_bytes(make_cpio(items, form))
    unpack_archive(box.root / "a.cpio", box.out)
    assert box.files() == {"a": "one", "b": "one", "d/c": "one"}
    info = (box.out / "d/c").stat()
    assert (info.st_nlink, stat.S_IMODE(info.st_mode), info.st_mtime) == (3, 0o755, 42)


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
        unpack_archive(bomb, box.out, limit=make_limit(10**6))
    assert "unpack-limit" in (caught.value.hint or "")
    assert sum(path.stat().st_size for path in box.out.rglob("*") if path.is_file()) <= 1_000_000
    unpack_archive(bomb, box.out, limit=make_limit(5 * 10**6))


def test_all_files_together_count(box: Box) -> None:
    with pytest.raises(ExtractError, match="becomes more than the 1000 bytes"):
        unpack_archive(box.tar(*(member(f"{n}", bytes(300)) for n in range(4))), box.out, limit=make_limit(1000))


def test_the_hole_of_a_sparse_file_counts(box: Box) -> None:
    info, content = member("a", b"x")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "10000000001"}
    info.pax_headers |= {"GNU.sparse.name": "a", "GNU.sparse.map": "10000000000,1"}
    with pytest.raises(ExtractError, match="becomes more than"):
        unpack_archive(box.tar((info, content)), box.out, limit=make_limit(10**6))


def test_too_many_entries(box: Box) -> None:
    many = box.tar(*(symlink(f"{n}", "x") for n in range(11)))
    with pytest.raises(ExtractError, match="has more than the 10 entries that it may have"):
        unpack_archive(many, box.out, limit=Limit(size=1, entries=10))


@pytest.mark.parametrize(("size", "entries"), [(64 * 10**9, 4_000_000), (500 * 10**6, 31_250), (7, 10_000)])
def test_a_limit_has_entries_by_its_size(size: int, entries: int) -> None:
    assert make_limit(size) == Limit(size, entries)


def notes(box: Box, *members: tuple[tarfile.TarInfo, bytes], strip: int = 0) -> tuple[str, ...]:
    return unpack_archive(box.tar(*members), box.out, strip=strip)


def test_what_is_as_expected_is_not_spoken_of(box: Box) -> None:
    assert notes(box, folder("./"), folder("top"), member("top/a"), folder("top"), hard_link("top/b", "top/a")) == ()


def test_what_is_left_out_is_told(box: Box) -> None:
    special = [
        member(f"dev/{kind.decode()}", kind=kind) for kind in (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
    ]
    assert notes(box, *special, member("dev/\xe9", kind=tarfile.FIFOTYPE), member("a")) == (
        "devices, pipes and sockets are left out: 'dev/6', 'dev/3', 'dev/4' and 1 more",
    )


def test_namesakes_are_told(box: Box) -> None:
    assert notes(box, member("a"), member("./a"), member("b")) == (
        "'a' has two members, of which the last one is unpacked",
    )
    # One over the other, by strip-components.
    assert notes(box, member("x/a"), member("y/a"), member("x/b"), symlink("y/b", "a"), strip=1) == (
        "'a', 'b' have two or more members, of which the last one is unpacked",
    )


def test_what_was_there_is_no_namesake(box: Box) -> None:
    assert notes(box, member("a")) == ()
    assert notes(box, member("a")) == ()


def test_what_is_stripped_away_is_told(box: Box) -> None:
    assert notes(box, folder("top"), member("top/a"), member("package.xml"), strip=1) == (
        "strip-components 1 leaves no name of 'package.xml'",
    )
    assert notes(box, member("a"), member("b"), strip=1) == (
        "nothing is unpacked: strip-components 1 leaves no name of 'a', 'b'",
    )


def test_an_archive_of_nothing_is_told(box: Box) -> None:
    assert notes(box) == ("nothing is unpacked: it has no files",)
    assert notes(box, folder("./")) == ("nothing is unpacked: it has no files",)


@pytest.mark.parametrize(
    "mtime", ["-1", "-1.5", "0.123456789", "9223372036854775807", "9" * 30, "-" + "9" * 30, "1e300"]
)
def test_times(box: Box, mtime: str) -> None:
    info, content = member("a", b"x")
    info.pax_headers = {"mtime": mtime}
    directory, _ = folder("d")
    directory.pax_headers = {"mtime": mtime}
    path = box.root / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(content))
        tar.addfile(directory)
    unpack_archive(path, box.out)
    expected = {"-1": -(10**9), "0.123456789": 123456789}.get(mtime)
    if expected is not None:
        assert (box.out / "a").stat().st_mtime_ns == expected
        assert (box.out / "d").stat().st_mtime_ns == expected


@pytest.mark.parametrize("mtime", ["nan", "inf", "-inf", "", "x"])
def test_what_is_no_time(box: Box, mtime: str) -> None:
    info, content = member("a", b"x")
    info.pax_headers = {"mtime": mtime}
    with tarfile.open(box.root / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(content))
    with suppress(ExtractError):  # newer libarchives refuse it
        unpack_archive(box.root / "a.tar", box.out)
        assert (box.out / "a").stat().st_mtime >= 0


@pytest.mark.parametrize("depth", [2049, 10_000])
def test_paths_are_no_longer_than_the_system_allows(box: Box, depth: int) -> None:
    message = box.refuses(member("d/" * (depth - 1) + "d"))
    assert message.startswith(f"cannot be unpacked: a path of {depth * 2 - 1} bytes is longer than 4095: 'd/d/d/")
    assert list(box.out.iterdir()) == []


def test_names_are_no_longer_than_the_system_allows(box: Box) -> None:
    assert box.refuses(member("n" * 256)).endswith("nnn'…: file name too long")


def test_depth_costs_in_proportion(box: Box) -> None:
    top = "d/" * 2000
    archive = box.tar(*(member(f"{top}{number}") for number in range(200)))
    start = cpu_seconds()
    unpack_archive(archive, box.out)
    seconds = cpu_seconds() - start
    # pytest cannot remove it: it is flattened, a level at a time.
    directory, depth = box.out / "d", 1
    while (below := directory / "d").is_dir():
        below.rename(box.out / "below")
        directory.rmdir()
        (box.out / "below").rename(directory)
        depth += 1
    assert depth == 2000
    assert len(list(directory.iterdir())) == 200
    # It took 11 s to go from the root to each of 2,000 directories, and for every file; now it takes 0.1 s.
    assert seconds < 3


def test_directories_that_no_member_names_count(box: Box) -> None:
    with pytest.raises(ExtractError, match="has more than the 100 entries that it may have"):
        unpack_archive(box.tar(member("d/" * 200 + "d")), box.out, limit=Limit(size=1000, entries=100))


def test_what_is_stripped_away_counts(box: Box) -> None:
    with pytest.raises(ExtractError, match="becomes more than"):
        unpack_archive(box.tar(member("a", bytes(2000))), box.out, strip=1, limit=Limit(size=1000))


def test_names_that_are_too_strange(box: Box) -> None:
    with zipfile.ZipFile(box.root / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("a")
        info.filename = "a\0b"
        archive.writestr(info, "x")
    with pytest.raises(ExtractError, match="there is a NUL in it"):
        unpack_archive(box.root / "a.zip", box.out)
    (box.root / "a.zip").unlink()
    assert "is a symlink to '', which is no path" in box.refuses(symlink("s", ""))
    assert "which is no path" in box.refuses(symlink("s", "x" * 5000))


BYTES = ["ü".encode(), b"u\xcc\x88", b"\xfc", b"\xff\xfe", "\u2126".encode(), "\U0001f600".encode(), b"\xed\xa0\x80"]


@pytest.mark.parametrize("form", ["v7", "ustar", "gnu", "pax", "zip", "newc", "odc"])
@pytest.mark.parametrize("characters", ["C", "C.UTF-8", None])
def test_names_are_bytes(box: Box, form: str, characters: str | None) -> None:
    items = [Item(name, content=b"x") for name in BYTES] + [Item(b"l-" + name, SYMLINK, target=name) for name in BYTES]
    makers: dict[str, Callable[[], bytes]] = {"zip": lambda: make_zip(items)}
    makers |= {kind: lambda: make_cpio(items, form) for kind in ("newc", "odc")}
    path = box.root / "archive"
    path.write_bytes(makers.get(form, lambda: make_tar(items, form))())
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        if characters:
            locale.setlocale(locale.LC_CTYPE, characters)
        unpack_archive(path, box.out)
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    found = read_tree(box.out)
    assert sorted(found) == sorted([*BYTES, *(b"l-" + name for name in BYTES)])
    assert {found[b"l-" + name].content for name in BYTES} == set(BYTES)


def test_names_of_a_7z(box: Box) -> None:
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    write_archive(box.root / "a.7z", "7zip", None, {"ü": b"x", "\U0001f600": b"y"})
    try:
        locale.setlocale(locale.LC_CTYPE, "C")
        unpack_archive(box.root / "a.7z", box.out)
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    assert sorted(read_tree(box.out)) == ["ü".encode(), "\U0001f600".encode()]


def test_no_word_of_libarchive_reaches_the_terminal(box: Box, capfd: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(box.root / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("ü"))
    unpack_archive(box.root / "a.tar", box.out)
    assert capfd.readouterr() == ("", "")


def test_names_stay_as_they_are(box: Box) -> None:
    names = ["COPYING.", "a b", "patches/0001-fix: x.patch", "ünï", "quote'\"", "back\\slash", " lead", "-n", "a\nb"]
    assert box.unpack(*(member(name, b"x") for name in names)) == dict.fromkeys(names, "x")


def zipped(box: Box, *entries: tuple[zipfile.ZipInfo, bytes], name: str = "a.zip") -> Path:
    """Write a zip; zipfile gives entries without a mode the mode 0600, so it is set once more."""
    with zipfile.ZipFile(box.root / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in entries:
            mode = info.external_attr
            archive.writestr(info, content)
            info.external_attr = mode
    return box.root / name


def entry(name: str, mode: int = 0, *, system: int = 3, dos: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6))
    info.create_system, info.external_attr = system, mode << 16 | dos
    return info


def test_zip(box: Box) -> None:
    with zipfile.ZipFile(box.root / "a.zip", "w") as archive:
        archive.writestr("top/a", "x")
        archive.writestr("top/", "")
    unpack_archive(box.root / "a.zip", box.out, strip=1)
    assert box.files() == {"a": "x"}
    assert stat.S_IMODE((box.out / "a").stat().st_mode) == 0o644  # what zipfile says of itself is 0600


@pytest.mark.parametrize(
    ("mode", "system", "dos", "expected"),
    [
        (0, 3, 0, 0o644),
        (0, 0, 0, 0o644),
        (0, 11, 0, 0o644),
        (0o600, 3, 0, 0o644),
        (0o600, 0, 0, 0o644),
        (0, 0, 0x1, 0o444),
        (0o100600, 3, 0, 0o600),
        (0o755, 3, 0, 0o755),
        (0o104755, 3, 0, 0o755),
        (0o100555, 3, 0, 0o555),
        (0o100640, 0, 0, 0o640),
        (0o100755, 0, 0, 0o644),
        (0o100644, 0, 0x1, 0o444),
        (0o100755, 19, 0, 0o644),
    ],
)
def test_modes_of_a_zip(box: Box, mode: int, system: int, dos: int, expected: int) -> None:
    unpack_archive(zipped(box, (entry("f", mode, system=system, dos=dos), b"x")), box.out)
    # As unzip gives them with umask 022, but for the first, which it makes 0000, and those of zipfile, 0600.
    assert oct(stat.S_IMODE((box.out / "f").stat().st_mode)) == oct(expected)


@pytest.mark.parametrize(
    ("mode", "system", "expected"),
    [(0, 3, 0o755), (0, 0, 0o755), (0o40700, 3, 0o700), (0o41777, 3, 0o777), (0o40555, 3, 0o555), (0o755, 3, 0o755)],
)
def test_modes_of_directories_of_a_zip(box: Box, mode: int, system: int, expected: int) -> None:
    unpack_archive(zipped(box, (entry("d/", mode, system=system), b""), (entry("d/f"), b"x")), box.out)
    assert oct(stat.S_IMODE((box.out / "d").stat().st_mode)) == oct(expected)


def test_a_7z_without_modes(box: Box) -> None:
    write_archive(box.root / "a.7z", "7zip", None, {"a": b"x"})
    unpack_archive(box.root / "a.7z", box.out)
    assert stat.S_IMODE((box.out / "a").stat().st_mode) & 0o022 == 0


def test_times_of_a_zip_are_those_of_no_zone(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    exact = entry("exact")
    exact.extra = struct.pack("<HHBi", 0x5455, 5, 1, -77)
    wrong = entry("wrong")
    wrong.date_time = (1980, 0, 0, 0, 0, 0)
    try:
        unpack_archive(zipped(box, (entry("dos"), b""), (exact, b""), (wrong, b"")), box.out)
    finally:
        monkeypatch.undo()
        time.tzset()
    times = {path.name: path.stat().st_mtime for path in box.out.iterdir()}
    assert times == {"dos": calendar.timegm((2001, 2, 3, 4, 5, 6)), "exact": -77, "wrong": 315532800}


def test_symlinks_of_a_zip(box: Box) -> None:
    entries = [
        (entry("sub/"), b""),
        (entry("l", 0o120777), b"sub"),
        (entry("l/f"), b"x"),
        (entry("n", 0o120777), b"../x"),
    ]
    unpack_archive(zipped(box, *entries), box.out)
    assert box.files() == {"sub/f": "x"}
    assert [str((box.out / name).readlink()) for name in "ln"] == ["sub", "../x"]


def test_a_zip_of_dos_has_backslashes(box: Box) -> None:
    unpack_archive(zipped(box, (entry("d\\f", system=0), b"x"), (entry("a\\b"), b"y")), box.out)
    assert box.files() == {"d/f": "x", "a\\b": "y"}


def test_a_zip_behind_a_program(box: Box) -> None:
    path = zipped(box, (entry("f"), b"x"))
    path.write_bytes(b"#!/bin/sh\nexec unzip $0\n" + path.read_bytes())
    unpack_archive(path, box.out)
    assert box.files() == {"f": "x"}


def test_a_zip64(box: Box) -> None:
    with zipfile.ZipFile(box.root / "a.zip", "w") as archive, archive.open("f", "w", force_zip64=True) as stream:
        stream.write(b"x")
    unpack_archive(box.root / "a.zip", box.out)
    assert box.files() == {"f": "x"}


def test_a_zip_of_many(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # from where on a zip64 has a longer end
    path = zipped(box, (entry("a"), b""), (entry("b"), b""))
    assert b"PK\6\6" in path.read_bytes()
    unpack_archive(path, box.out)
    assert box.files() == {"a": "", "b": ""}
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, data.index(b"PK\6\6") + 40, 2**40)
    path.write_bytes(data)
    with pytest.raises(ExtractError, match=f"has a list of members of {2**40} bytes"):
        unpack_archive(path, box.out)


def test_an_empty_zip(box: Box) -> None:
    assert unpack_archive(zipped(box), box.out) == ("nothing is unpacked: it has no files",)


def test_an_encrypted_zip(box: Box) -> None:
    path = zipped(box, (entry("f"), b"x"))
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(ExtractError, match="cannot be unpacked: is an encrypted zip") as caught:
        unpack_archive(path, box.out)
    assert caught.value.hint == "fetch it with `extract: false`, and unpack it in a step"


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        (b"PK\3\4", b"PK\3\3", "is a damaged zip"),  # no header where one is listed
        (b"name-one", b"name-two", "is a damaged zip: File name in directory"),  # what the header says is not listed
        (b"PK\5\6", b"PK\5\5", "it has no list of its members"),
        (b"content", b"contenT", "is a damaged zip: Bad CRC-32"),
    ],
)
def test_a_zip_that_contradicts_itself(box: Box, find: bytes, replace: bytes, message: str) -> None:
    with zipfile.ZipFile(box.root / "a.zip", "w") as archive:
        archive.writestr("first", "x")
        archive.writestr("name-one", "content")
    data = (box.root / "a.zip").read_bytes()
    start = 1 if find == b"PK\3\4" else 0
    (box.root / "a.zip").write_bytes(data[:start] + data[start:].replace(find, replace, 1))
    with pytest.raises(ExtractError, match=re.escape(message)):
        unpack_archive(box.root / "a.zip", box.out)


def test_a_zip_that_is_compressed_in_another_way(box: Box) -> None:
    path = zipped(box, (entry("f"), b"x"))
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        data[data.index(magic) + offset] = 9  # deflate64
    path.write_bytes(data)
    with pytest.raises(ExtractError, match="is a zip of a kind that is not read"):
        unpack_archive(path, box.out)


def test_a_zip_with_an_endless_list(box: Box) -> None:
    path = zipped(box, (entry("f"), b"x"))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\5\6") + 12, 2**31)
    path.write_bytes(data)
    with pytest.raises(ExtractError, match="has a list of members of 2147483648 bytes"):
        unpack_archive(path, box.out)


def test_a_zip_bomb_is_stopped(box: Box) -> None:
    path = zipped(box, (entry("f"), bytes(5_000_000)))
    with pytest.raises(ExtractError, match="becomes more than the 1000000 bytes"):
        unpack_archive(path, box.out, limit=make_limit(10**6))


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


@pytest.mark.parametrize("size", [600, 700, 1023])
def test_a_tar_that_ends_within_a_file(box: Box, size: int) -> None:
    path = box.tar(member("a", bytes(10_000)))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ExtractError, match=r"a\.tar: cannot be unpacked: truncated"):
        unpack_archive(path, box.out)


def test_a_cpio_with_a_negative_mode(box: Box) -> None:
    data = make_cpio([Item(b"a", content=b"x")], "newc")
    (box.root / "a.cpio").write_bytes(data[:14] + b"FFFFFFFF" + data[22:])
    assert unpack_archive(box.root / "a.cpio", box.out) == ("devices, pipes and sockets are left out: 'a'",)


def test_a_missing_archive(box: Box) -> None:
    with pytest.raises(ExtractError, match="cannot be read"):
        unpack_archive(box.root / "none.tar", box.out)
