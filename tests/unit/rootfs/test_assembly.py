"""Environments as they are assembled from real packages: what the layers show, and what lies beside the packages."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import IndexEntry, PackageInfo
from melpy.errors import FileConflictError
from melpy.pack.model import ControlFile
from melpy.pack.package import write_package
from melpy.plan.model import PlanGroup, PlanUser
from melpy.rootfs.account import make_build_root
from melpy.rootfs.layout import STORE, hold_entry
from tests.factories.rootfs import Parcel, assemble_packages, build_environment, look
from tests.factories.tree import Content, Directory, File, Link, program, tree

if TYPE_CHECKING:
    from pathlib import Path

BASE = Parcel("base", {"lib": Link("usr/lib"), "bin": Link("usr/bin"), "usr/lib/a": "a", "usr/bin/x": program()})


def test_an_environment_of_nothing(tmp_path: Path) -> None:
    found = look(build_environment(tmp_path, spec=make_build_root("aarch64", ("b>1", "a@edge"))).merge())
    assert found["etc/passwd"] == "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/home/build:/bin/sh\n"
    assert found["etc/group"] == "root:x:0:\nbuild:x:1000:build\n"
    assert found["etc/apk/world"] == "a\nb>1\n"
    assert found["etc/apk/arch"] == "aarch64\n"
    assert found["lib/apk"] == "-> ../usr/lib/apk"
    assert found["usr/lib/apk/db/installed"] == ""
    assert "etc/ld.so.cache" not in found
    assert "bin" not in found


def test_files_behind_a_link_lie_where_it_leads(tmp_path: Path) -> None:
    other = Parcel("other", {"lib/b": "b", "lib/deep/c": File("c", 0o600), "lib/l": Link("b")})
    root = build_environment(tmp_path, other, BASE).merge()
    found = look(root)
    assert found["lib"] == "-> usr/lib"
    assert (found["usr/lib/a"], found["usr/lib/b"], found["usr/lib/deep/c"]) == ("a", "b", "c")
    assert found["usr/lib/l"] == "-> b"
    assert stat.S_IMODE((root / "usr/lib/deep/c").stat().st_mode) == 0o600
    assert (root / "lib/apk/db/installed").is_file()
    assert (root / "lib").is_symlink()


def test_who_replaces_whom_decides_what_is_seen_and_what_is_recorded(tmp_path: Path) -> None:
    first = Parcel("first", {"etc/conf": "first"}, {"replaces": ("second",)})
    found = look(build_environment(tmp_path, first, Parcel("second", {"etc/conf": "second", "etc/own": ""})).merge())
    assert found["etc/conf"] == "first"
    installed = found["usr/lib/apk/db/installed"].split("\n\n")
    assert [part.count("R:conf") for part in installed] == [1, 0, 0]
    assert "R:own" in installed[1]


def test_a_conflict_leaves_nothing_behind(tmp_path: Path) -> None:
    one, two = Parcel("one", {"a": "1"}), Parcel("two", {"a": "2"})
    with pytest.raises(FileConflictError, match="is in one-1-r0 and two-1-r0"):
        build_environment(tmp_path, one, two)
    assert sorted(len(path.name) for path in (tmp_path / "store").iterdir()) == [40, 40]


def test_what_is_lifted_is_the_stored_file_itself(tmp_path: Path) -> None:
    built = build_environment(
        tmp_path, Parcel("first", {"a": "1"}, {"replaces": ("second",)}), Parcel("second", {"a": "2"})
    )
    assert (built.layers[-1] / "a").stat().st_ino == (built.layers[0] / "a").stat().st_ino


def test_layers_are_assembled_once(tmp_path: Path) -> None:
    entries = [BASE.pack(tmp_path)]
    first = assemble_packages(tmp_path, entries, make_build_root("x86_64", ("base",)))
    info = first.layers[-1].stat()
    again = assemble_packages(tmp_path, entries, make_build_root("x86_64", ("base",)))
    assert again == first
    assert again.layers[-1].stat().st_mtime_ns == info.st_mtime_ns
    other = assemble_packages(tmp_path, entries, make_build_root("x86_64", ("base", "base>0")))
    assert other.layers[-1] != first.layers[-1]


def test_accounts_of_packages_and_recipe(tmp_path: Path) -> None:
    passwd = "root:x:0:0:root:/root:/bin/ash\nmail:x:8:8::/:/none\n\nbuild:x:77:77::/b:/bin/sh\nmail:x:9:9:::\n"
    own = Parcel("own", {"etc/passwd": passwd, "etc/group": "root:x:0:\nwheel:x:10:\n"})
    users = (PlanUser("mail", 12, 12), PlanUser("nonroot", 65532, 65532, "/srv/home", "/bin/false"))
    spec = make_build_root("x86_64", (), users, (PlanGroup("staff", 50, ("nonroot", "mail")),))
    root = build_environment(tmp_path, own, spec=spec).merge()
    assert (root / "etc/passwd").read_text() == (
        "root:x:0:0:root:/root:/bin/ash\n"
        "mail:x:12:12:mail:/home/mail:/bin/sh\n"
        "build:x:77:77::/b:/bin/sh\n"
        "nonroot:x:65532:65532:nonroot:/srv/home:/bin/false\n"
    )
    assert (root / "etc/group").read_text() == "root:x:0:\nwheel:x:10:\nstaff:x:50:nonroot,mail\nbuild:x:1000:build\n"
    assert (root / "srv/home").is_dir()
    assert (tmp_path / "trees/own/etc/passwd").read_text() == passwd


def test_the_stored_package_is_not_written_through_a_lifted_file(tmp_path: Path) -> None:
    first = Parcel("first", {"etc/passwd": "a:x:1:1:::\n"}, {"replaces": ("second",)})
    built = build_environment(tmp_path, first, Parcel("second", {"etc/passwd": "b:x:2:2:::\n"}))
    assert (built.layers[0] / "etc/passwd").read_text() == "a:x:1:1:::\n"
    assert (built.layers[-1] / "etc/passwd").read_text().startswith("a:x:1:1:::\nroot:")


def test_busybox_has_links_where_its_list_says(tmp_path: Path) -> None:
    listed = {"etc/busybox-paths.d/busybox": "/bin/sh\nusr/bin/x\nsbin/init\n../../evil\nusr/bin/env\n\n"}
    busybox = Parcel("busybox", {"usr/bin/busybox": program("none"), "usr/bin/env": "own", **listed})
    found = look(build_environment(tmp_path, BASE, busybox).merge())
    assert found["usr/bin/sh"] == "-> /bin/busybox"
    assert found["sbin/init"] == "-> /bin/busybox"
    assert (found["usr/bin/x"], found["usr/bin/env"]) == ("#!/bin/sh\n", "own")
    assert not any("evil" in path for path in found)


def test_busybox_without_a_list_is_asked_what_it_can_do(tmp_path: Path) -> None:
    code = b"\x7fELF\0...\0[\0[[\0arping\0cat\0novel\0\0more"
    found = look(build_environment(tmp_path, Parcel("busybox", {"bin/busybox": program(code)})).merge())
    links = {path for path, text in found.items() if text == "-> /bin/busybox"}
    assert links == {"usr/bin/[", "usr/bin/[[", "usr/sbin/arping", "bin/cat", "usr/bin/novel"}


def test_the_database_lies_where_a_package_has_it(tmp_path: Path) -> None:
    built = build_environment(tmp_path, Parcel("apk-tools", {"lib/apk/db/.keep": "", "etc/apk/repositories": "r\n"}))
    found = look(built.merge())
    assert "P:apk-tools" in found["lib/apk/db/installed"]
    assert "usr/lib/apk/db" not in found
    assert found["etc/apk/repositories"] == "r\n"


def test_scripts_and_triggers(tmp_path: Path) -> None:
    long_name = "a-name-" + "long-" * 20 + "name"
    source = tree(tmp_path / "source", {"usr/a": "a"})
    info = PackageInfo(long_name, "1-r0", "x86_64", triggers=("/usr/lib/*", "/etc"), build_date=7)
    scripts = [ControlFile(name, b"#!/bin/sh\n", 0o755) for name in (".trigger", ".other", ".post-install")]
    entry = write_package(source, info, tmp_path / "x86_64", mtime=1, control=scripts)
    root = assemble_packages(tmp_path, [entry, BASE.pack(tmp_path)], make_build_root("x86_64")).merge()
    assert (root / "lib/apk/db/triggers").read_text() == f"{entry.checksum} /usr/lib/* /etc\n"
    with tarfile.open(fileobj=io.BytesIO((root / "lib/apk/db/scripts.tar").read_bytes())) as tar:
        names = tar.getnames()
        assert [one.rpartition(".")[2] for one in names] == ["post-install", "trigger"]
        assert all(one.startswith(f"{long_name}-1-r0.X1") for one in names)
        assert {member.mtime for member in tar} == {7}


def test_modes_of_directories_are_those_of_the_tree(tmp_path: Path) -> None:
    tight = Parcel("a", {"etc": Directory(0o711), "srv": Directory(0o700), "tmp": Directory(0o1777)})
    root = build_environment(tmp_path, tight, Parcel("b", {"srv/x": "x", "etc/y": "y"})).merge()
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in ("etc", "srv", "tmp", "usr")}
    assert modes == {"etc": 0o711, "srv": 0o700, "tmp": 0o1777, "usr": 0o755}


@pytest.mark.parametrize(
    "files",
    [
        {"etc": "file"},
        {"usr/lib/apk": "file"},
        {"etc/apk": Link("../../../../../../tmp/evil"), "tmp/evil": "file"},
        {"etc": Link("gone"), "gone": "file"},
    ],
)
def test_a_file_in_the_way_of_what_every_environment_has(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(FileConflictError, match="is a file in evil-1-r0, and must be a directory"):
        build_environment(tmp_path, Parcel("evil", files))


def test_links_of_packages_lead_nowhere_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("secret")
    files: dict[str, Content] = {
        "etc/passwd": Link(f"{outside}/passwd"),
        "etc/apk": Link(f"../../../..{outside}"),
        "usr/lib/apk": Link(str(outside)),
        "lib": Link("../../.."),
        "etc/ld.so.conf": Link(f"{outside}/passwd"),
        "etc/busybox-paths.d/x": Link(f"{outside}/passwd"),
        "bin/busybox": "busybox",
    }
    other = Parcel("other", {"lib/planted": "planted"})
    built = build_environment(tmp_path, Parcel("evil", files), other)
    assert [path.name for path in outside.iterdir()] == ["passwd"]
    assert (outside / "passwd").read_text() == "secret"
    assert "secret" not in json.dumps(look(built.layers[-1]))
    assert (built.layers[-1] / "planted").is_file()


def test_what_is_used_is_held_and_noted(tmp_path: Path) -> None:
    built = build_environment(tmp_path, BASE)
    entry = built.layers[-1].parent
    os.utime(entry / "packages", (1, 1))
    held = hold_entry(built.store, entry.name)
    assert held is not None
    assert held.layer == built.layers[-1]
    assert (entry / "packages").stat().st_mtime > 1
    held.close()
    assert hold_entry(built.store, "0" * 64) is None


def test_only_the_user_can_enter_the_store(tmp_path: Path) -> None:
    built = build_environment(tmp_path, Parcel("su", {"usr/bin/su": File("su", 0o4755), "srv": Directory(0o2775)}))
    assert stat.S_IMODE(built.store.stat().st_mode) == 0o700
    assert stat.S_IMODE((built.layers[0] / "usr/bin/su").stat().st_mode) == 0o4755
    assert stat.S_IMODE((built.layers[0] / "srv").stat().st_mode) == 0o2775
    assert STORE != "store-1"


def test_identities_of_packages_are_checked(tmp_path: Path) -> None:
    entry = BASE.pack(tmp_path)
    wrong = IndexEntry(entry.info, "Q1" + "A" * 27 + "=", entry.size)
    with pytest.raises(Exception, match="is not the package that the index names"):
        assemble_packages(tmp_path, [wrong], make_build_root("x86_64"))
