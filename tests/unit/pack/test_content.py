"""What counts of a package, and what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import PackageInfo
from melpy.apk.segment import read_segments
from melpy.build.tree import load_tree
from melpy.pack.content import find_content
from melpy.pack.model import ControlFile
from melpy.pack.package import write_package
from tests.factories.tree import Directory, File, Link, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.factories.tree import Content

INFO = PackageInfo(
    "hello", "1.0-r0", "x86_64", commit="a" * 40, build_date=7, description="hello", depends=("so:libc.so.6", "b")
)
FILES: Mapping[str, Content] = {"usr/bin/hello": File("x", 0o755), "usr/bin/hi": Link("hello"), "etc": Directory()}
SBOM = "var/lib/db/sbom/hello-1.0-r0.spdx.json"


def content(
    directory: Path,
    files: Mapping[str, Content] = FILES,
    info: PackageInfo = INFO,
    control: tuple[ControlFile, ...] = (),
    mtime: int = 7,
    **inputs: str,
) -> str:
    """Pack a tree and return the content digest that the package then has."""
    place = directory / str(len(list(directory.iterdir())))
    write_package(tree(place, files), info, place / "out", mtime=mtime, control=control, inputs=inputs)
    with (place / "out" / info.file_name).open("rb") as stream:
        segments = read_segments(stream, where="")
    assert json.loads(segments.files[".melpy.json"]) == {
        "form": "melpy-inputs-1",
        "content": find_content(segments),
    } | (inputs)
    return find_content(segments)


def test_the_form_is_what_it_was(tmp_path: Path) -> None:
    """Another digest needs another name of the form: packages that were made before say this one."""
    assert content(tmp_path) == "1c9e64b543f08f70abf4332705472718098dcc6ab400b00a03f011bc898e45f6"


def test_what_does_not_count(tmp_path: Path) -> None:
    found = content(tmp_path)
    assert content(tmp_path, mtime=8) == found
    assert content(tmp_path, info=replace(INFO, commit="b" * 40, build_date=8, description="x", url="x")) == found
    assert content(tmp_path, control=(ControlFile(".melange.yaml", b"package: {}"),), key="k") == found
    assert content(tmp_path, info=replace(INFO, depends=INFO.depends[::-1])) == found
    with_sbom = content(tmp_path, {**FILES, SBOM: "one"})
    assert content(tmp_path, {**FILES, SBOM: "two"}) == with_sbom


@pytest.mark.parametrize(
    "files",
    [
        {"usr/bin/hello": File("y", 0o755)},
        {"usr/bin/hello": File("x", 0o4755)},
        {"usr/bin/hi": Link("/usr/bin/hello")},
        {"etc": Directory(0o700)},
        {"usr/bin/hi": "x"},
        {"var/lib/db/sbom/other-1.0-r0.spdx.json": "x"},
        {"usr/bin/\udcff": "x"},
    ],
)
def test_what_counts_of_files(tmp_path: Path, files: Mapping[str, Content]) -> None:
    assert content(tmp_path, {**FILES, **files}) != content(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"depends": ("b",)},
        {"provides": ("cmd:hello",)},
        {"replaces": ("x",)},
        {"provider_priority": "5"},
        {"replaces_priority": "5"},
        {"triggers": ("/usr",)},
        {"install_if": ("x",)},
        {"version": "1.0-r1"},
        {"arch": "aarch64"},
    ],
)
def test_what_counts_of_the_facts(tmp_path: Path, change: Mapping[str, object]) -> None:
    assert content(tmp_path, info=replace(INFO, **change)) != content(tmp_path)  # type: ignore[arg-type]  # fields of its own


def test_scripts_count(tmp_path: Path) -> None:
    one, two = (ControlFile(".post-install", f"#!/bin/sh\n{text}".encode(), 0o755) for text in ("a", "b"))
    assert len({content(tmp_path), content(tmp_path, control=(one,)), content(tmp_path, control=(two,))}) == 3


def test_hard_links_count(tmp_path: Path) -> None:
    copied = {"a": "x", "b": "x"}
    one = content(tmp_path, copied)
    root = tmp_path / "linked"
    linked = tree(root, copied)
    (root / "b").unlink()
    (root / "b").hardlink_to(root / "a")
    write_package(load_tree(linked.package, root), INFO, tmp_path / "out", mtime=7, inputs={})
    with (tmp_path / "out" / INFO.file_name).open("rb") as stream:
        assert find_content(read_segments(stream, where="")) != one


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"form": "melpy-inputs-1", "content": "x"}',
        b'{"form": "x", "content": "' + b"a" * 64,
    ],
)
def test_what_is_no_such_file_says_nothing(tmp_path: Path, text: bytes) -> None:
    write_package(tree(tmp_path / "t", FILES), INFO, tmp_path, mtime=7, control=(ControlFile(".melpy.json", text),))
    with (tmp_path / INFO.file_name).open("rb") as stream:
        assert find_content(read_segments(stream, where="")) == ""
