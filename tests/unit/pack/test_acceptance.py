"""Packages that a client would not take as they are meant are refused or warned of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import PackageInfo
from melpy.build.model import Entry, Kind, OutputTree, Owner
from melpy.build.tree import load_tree
from melpy.codec import replace
from melpy.errors import PackageFormatError
from melpy.pack.acceptance import check_acceptance, lint_acceptance
from melpy.pack.model import ControlFile
from melpy.pack.package import write_package
from tests.factories.tree import Directory, Fifo, Link, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.tree import Content

INFO = PackageInfo("hello", "1.0-r0", "x86_64")
FINE: dict[str, Content] = {"usr/a b": "", "usr/\udcff": "", "usr/.x": "", "usr/l": Link("../ü"), "ü": Directory()}


def refused(files: OutputTree, info: PackageInfo = INFO, control: tuple[ControlFile, ...] = ()) -> str:
    with pytest.raises(PackageFormatError) as caught:
        check_acceptance(files, info, control)
    assert caught.value.where == "hello"
    return "\n".join([caught.value.message, *caught.value.details])


def test_unusual_names_are_fine(tmp_path: Path) -> None:
    files = tree(tmp_path, FINE)
    check_acceptance(files, INFO, ())
    assert [*lint_acceptance(files, INFO, ())] == []


def test_nothing_is_written_of_a_package_that_apk_would_refuse(tmp_path: Path) -> None:
    files = tree(tmp_path / "tree", {"usr/a\nb": "", "usr/z\x7f": ""})
    with pytest.raises(PackageFormatError, match=r"usr/a\\nb has a control character in its name") as caught:
        write_package(files, INFO, tmp_path / "out", mtime=0)
    assert caught.value.details == (r"usr/z\x7f has a control character in its name, which apk refuses",)
    assert not (tmp_path / "out").exists()


def test_no_more_than_some_are_told(tmp_path: Path) -> None:
    files = tree(tmp_path, {f"{n:02}\t": "" for n in range(15)})
    assert refused(files).endswith("and 4 more")


def test_files_of_owners_that_apk_cannot_read(tmp_path: Path) -> None:
    tree(tmp_path, {"a": ""})
    files = load_tree("hello", tmp_path, owners={"a": Owner(3_000_000, 0, "", "")})
    assert "belongs to 3000000:0" in refused(files)


def test_a_file_of_8_gigabytes(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(8 << 30)
    assert "large has 8589934592 bytes" in refused(load_tree("hello", tmp_path))
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate((8 << 30) - 1)
    check_acceptance(load_tree("hello", tmp_path), INFO, ())


def test_an_attribute_whose_name_apk_would_cut(tmp_path: Path) -> None:
    tree(tmp_path, {"a": ""})
    files = load_tree("hello", tmp_path, xattrs={"a": {"user.a=b": b"1"}})
    assert "a has the extended attribute 'user.a=b'" in refused(files)


def test_what_belongs_to_melpy_itself(tmp_path: Path) -> None:
    assert "run/melpy/step is melpy's own in a build root" in refused(
        tree(tmp_path, {"run/melpy/step": Link("/oldroot")})
    )


def test_scripts_that_cannot_run(tmp_path: Path) -> None:
    control = (ControlFile(".post-install", b"echo\n", 0o755), ControlFile(".melange.yaml", b"x"))
    assert refused(tree(tmp_path, {}), control=control).startswith("the script post-install does not begin with #!")


def test_values_of_the_info(tmp_path: Path) -> None:
    info = replace(INFO, depends=("a b",), triggers=("usr",))
    assert refused(tree(tmp_path, {}), info).split("\n") == [
        "it depends on 'a b', which apk cannot read",
        "the trigger path 'usr' does not begin with / or +/, so apk never runs the script for it",
    ]


def test_a_hard_link_to_a_hidden_file(tmp_path: Path) -> None:
    tree(tmp_path, {".a": "x", "usr/x": ""})
    os.link(tmp_path / ".a", tmp_path / "usr/b")
    assert "usr/b is a hard link to .a, which apk passes over" in refused(load_tree("hello", tmp_path))


@pytest.mark.parametrize(
    ("files", "warning"),
    [
        ({".profile": "", ".d/x": "", "z": ""}, "apk does not install what begins with a dot at the top: .d, .profile"),
        ({"usr/l": Link("a\nb")}, "the targets of symlinks have control characters: usr/l"),
        ({"usr/pipe": Fifo()}, "apko does not install packages with devices and fifos: usr/pipe"),
        ({"lib/apk/db/installed": ""}, "apk keeps its own database where the package has files: lib/apk/db/installed"),
    ],
)
def test_warnings(tmp_path: Path, files: dict[str, Content], warning: str) -> None:
    found = tree(tmp_path, files)
    check_acceptance(found, INFO, ())
    assert [*lint_acceptance(found, INFO, ())] == [warning]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("usr/bin/x", "/home/build/x"),
        ("usr/bin/x", "//home/build/melange-out/hello/usr/bin/y"),
        ("usr/bin/x", "../../home/build/x"),
        ("usr/bin/x", "../../../../run/melpy/step"),
        ("x", "home/build"),
        ("x", "/usr/../run/melpy"),
    ],
)
def test_a_link_into_the_build_is_a_warning(tmp_path: Path, path: str, target: str) -> None:
    files = tree(tmp_path, {path: Link(target)})
    assert [*lint_acceptance(files, INFO, ())] == [
        f"symlinks lead into directories that only the build has: {path} -> {target}"
    ]


@pytest.mark.parametrize("target", ["/home/builder", "home/build", "/run/melpyx", "/home/build/own", "/usr/home/build"])
def test_a_link_that_leads_elsewhere_is_none(tmp_path: Path, target: str) -> None:
    files = tree(tmp_path, {"usr/bin/x": Link(target), "home/build/own": ""})
    assert [*lint_acceptance(files, INFO, ())] == []


def test_attributes_of_a_directory_are_a_warning(tmp_path: Path) -> None:
    files = OutputTree("hello", tmp_path, (Entry("usr", Kind.DIRECTORY, 0o755, xattrs=(("user.a", b"1"),)),))
    assert [*lint_acceptance(files, INFO, ())] == ["apk does not set extended attributes of directories: usr"]


def test_scripts_that_may_not_be_meant(tmp_path: Path) -> None:
    files, trigger = tree(tmp_path, {}), ControlFile(".trigger", b"#!/bin/sh\necho\r\n", 0o755)
    assert [*lint_acceptance(files, INFO, (trigger,))] == [
        "the script trigger has lines that end in a carriage return",
        "apk never runs the script trigger: no path is watched",
    ]
    info = replace(INFO, triggers=("/usr",))
    assert [*lint_acceptance(files, info, ())] == ["nothing is run for the trigger paths: there is no script trigger"]
