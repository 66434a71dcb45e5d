from __future__ import annotations

import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from melpy.bootstrap.deb import Filter, merge_path, merge_target, unpack_deb
from melpy.errors import ExtractError
from tests.unit.bootstrap.packages import Item, directory, hard_link, symlink, write_deb

if TYPE_CHECKING:
    from pathlib import Path


def unpack(tmp_path: Path, *items: Item, keep: Filter | None = None) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    unpack_deb(write_deb(tmp_path / "x.deb", *items), root, keep or Filter())
    return root


def test_files_links_and_modes(tmp_path: Path) -> None:
    root = unpack(
        tmp_path,
        directory("./"),
        directory("./usr/bin/"),
        Item("./usr/bin/tool", b"#!/bin/sh\n", mode=0o755),
        hard_link("./usr/bin/same", "./usr/bin/tool"),
        symlink("./usr/bin/link", "tool"),
        Item("./etc/secret", b"x", mode=0o000),
    )
    assert (root / "usr/bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert (root / "usr/bin/tool").samefile(root / "usr/bin/same")
    assert (root / "usr/bin/link").readlink().name == "tool"
    assert stat.S_IMODE((root / "etc/secret").stat().st_mode) == 0o400


def test_setuid_is_dropped_and_the_sticky_bit_of_directories_stays(tmp_path: Path) -> None:
    root = unpack(tmp_path, Item("./usr/bin/su", b"x", mode=0o4755), directory("./var/spool/", 0o3777))
    assert stat.S_IMODE((root / "usr/bin/su").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "var/spool").stat().st_mode) == 0o1777


def test_usr_is_merged(tmp_path: Path) -> None:
    root = unpack(
        tmp_path,
        symlink("./lib64", "usr/lib64"),
        directory("./bin/"),
        Item("./bin/ls", b"ls", mode=0o755),
        symlink("./lib/libz.so.1", "../usr/lib/libz.so.1.3"),
        symlink("./usr/lib/libz.so", "/lib/libz.so.1"),
    )
    assert sorted(path.name for path in root.iterdir()) == ["usr"]
    assert (root / "usr/bin/ls").read_bytes() == b"ls"
    assert str((root / "usr/lib/libz.so.1").readlink()) == "libz.so.1.3"
    assert str((root / "usr/lib/libz.so").readlink()) == "/lib/libz.so.1"


def test_sbin_is_bin(tmp_path: Path) -> None:
    root = unpack(
        tmp_path,
        symlink("./usr/sbin", "bin"),
        Item("./usr/sbin/early", b"sbin"),
        Item("./usr/bin/early", b"bin"),
        Item("./usr/bin/late", b"bin"),
        Item("./usr/sbin/late", b"sbin"),
        symlink("./usr/sbin/same", "../bin/same"),
        symlink("./usr/bin/itself", "/sbin/itself"),
        Item("./sbin/alone", b"sbin", mode=0o755),
        Item("./usr/lib64/ld.so", b"ld"),
    )
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files == {"usr/bin/early": b"bin", "usr/bin/late": b"bin", "usr/bin/alone": b"sbin", "usr/lib/ld.so": b"ld"}
    assert sorted(path.name for path in (root / "usr/bin").iterdir()) == ["alone", "early", "late"]


def test_what_no_build_reads_is_left_out(tmp_path: Path) -> None:
    keep = Filter(drop=("usr/share/doc",), omit=frozenset({"usr/bin/sh"}))
    items = (Item("./usr/share/doc/x/README"), Item("./usr/share/docs"), symlink("./usr/bin/sh", "dash"))
    root = unpack(tmp_path, *items, keep=keep)
    assert [str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()] == ["usr/share/docs"]


@pytest.mark.parametrize(
    "items",
    [
        (Item("../evil"),),
        (Item("./usr/../../evil"),),
        (symlink("./usr/x", "/tmp"), Item("./usr/x/evil")),
        (symlink("./usr/x", "/etc/passwd"), Item("./usr/x", b"evil")),
        (hard_link("./usr/x", "/etc/passwd"),),
        (hard_link("./usr/x", "../../etc/passwd"),),
        (symlink("./a", "/etc/passwd"), hard_link("./b", "./a")),
    ],
)
def test_nothing_is_written_or_linked_outside(tmp_path: Path, items: tuple[Item, ...]) -> None:
    with pytest.raises(ExtractError):
        unpack(tmp_path, *items)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("data", [b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 60, b"not a package"])
def test_a_broken_package_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.deb").write_bytes(data)
    with pytest.raises(ExtractError) as caught:
        unpack_deb(tmp_path / "x.deb", tmp_path, Filter())
    assert caught.value.where == str(tmp_path / "x.deb")


def test_devices_are_passed_over(tmp_path: Path) -> None:
    assert list(unpack(tmp_path, Item("./dev/null", type=tarfile.CHRTYPE)).rglob("null")) == []


@pytest.mark.parametrize(
    ("name", "target", "merged"),
    [
        ("./lib/x86_64/libm.so", "libm.so.6", "libm.so.6"),
        ("./usr/bin/awk", "../../bin/gawk", "gawk"),
        ("./bin/sh", "dash", "dash"),
        ("./bin/vi", "../usr/share/vi", "../share/vi"),
        ("./usr/lib/x", "../../../../y", "../../../../y"),
        ("./usr/sbin/x", "../bin/y", "y"),
        ("./usr/lib64/ld.so.2", "../lib/multiarch/ld.so.2", "multiarch/ld.so.2"),
        ("./usr/share/x", "../sbin/y", "../bin/y"),
        ("./etc/alternatives/cc", "/usr/bin/gcc", "/usr/bin/gcc"),
    ],
)
def test_targets_follow_what_moved(name: str, target: str, merged: str) -> None:
    assert merge_target(name, target) == merged


def test_paths_are_merged() -> None:
    assert merge_path("./sbin/init") == "usr/bin/init"
    assert merge_path("./usr/lib64/ld.so") == "usr/lib/ld.so"
    assert merge_path("./usr/sbin") == "usr/bin"
    assert merge_path("./usr/sbinary/x") == "usr/sbinary/x"
    assert merge_path("./library/x") == "library/x"
    assert merge_path("./") == ""
