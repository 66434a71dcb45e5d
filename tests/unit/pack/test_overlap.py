"""Two packages of a recipe that have other files at the same path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import PackageInfo
from melpy.codec import replace
from melpy.pack.overlap import lint_overlap
from tests.factories.tree import Directory, File, Link, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.factories.tree import Content

INFO = PackageInfo("one", "1.0-r0", "x86_64", provides=("so:libx.so.1=1", "virtual"))


def found(
    directory: Path, one: Mapping[str, Content], two: Mapping[str, Content], **info: tuple[str, ...]
) -> list[str]:
    rival = replace(INFO, name="two", provides=("virtual",))
    changed = replace(rival, **info)
    packages = [
        (tree(directory / "one", one, "one"), INFO),
        (tree(directory / "two", two, "two"), changed),
        (tree(directory / "three", {"usr/other": ""}, "three"), replace(rival, name="three")),
    ]
    return [*lint_overlap(packages)]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (b"1", b"2"),
        (b"1", b"12"),
        (b"1", File(b"1", 0o755)),
        (b"1", Link("1")),
        (Link("1"), Link("2")),
    ],
)
def test_another_file_at_the_same_path(tmp_path: Path, one: Content, two: Content) -> None:
    assert found(tmp_path, {"usr/x": one, "usr/y": ""}, {"usr/x": two, "usr/y": ""}) == [
        "one and two differ in usr/x; where both are installed, those of the last one stay"
    ]


def test_many_are_shortened(tmp_path: Path) -> None:
    files = {f"usr/{n}\n": str(n) for n in range(6)}
    (text,) = found(tmp_path, files, dict.fromkeys(files, "x"))
    assert r"differ in usr/0\n, usr/1\n, usr/2\n, usr/3\n and 2 more" in text


@pytest.mark.parametrize(("one", "two"), [(b"1", b"1"), (Link("1"), Link("1")), (Directory(), Directory(0o700))])
def test_the_same_file_at_the_same_path(tmp_path: Path, one: Content, two: Content) -> None:
    assert found(tmp_path, {"usr/x": one}, {"usr/x": two}) == []


CLASH = "one and two differ in usr/x: a directory in one of them only; apk cannot install both"


@pytest.mark.parametrize(
    ("one", "two"), [(b"1", Directory()), (Directory(), b"1"), (Link("."), Directory()), (Directory(), Link("lib"))]
)
def test_a_directory_in_one_of_them(tmp_path: Path, one: Content, two: Content) -> None:
    files = {"usr/x": one, "usr/y": "1"}, {"usr/x": two, "usr/y": "2"}
    differ = "one and two differ in usr/y; where both are installed, those of the last one stay"
    assert found(tmp_path / "1", *files) == [CLASH, differ]
    assert found(tmp_path / "2", *files, replaces=("one",)) == [CLASH]
    assert found(tmp_path / "3", *files, depends=("!one",)) == []


def test_a_directory_where_a_link_is_there_before(tmp_path: Path) -> None:
    link, directory = {"usr/x": Link("lib")}, {"usr/x/y": ""}
    assert found(tmp_path / "1", link, directory, depends=("one=1.0-r0",)) == []
    assert found(tmp_path / "2", directory, link, depends=("one",)) == [CLASH]
    assert found(tmp_path / "3", {"usr/x": "1"}, directory, depends=("one",)) == [CLASH]


@pytest.mark.parametrize(
    "info",
    [
        {"replaces": ("one",)},
        {"replaces": ("one<2",)},
        {"depends": ("!one",)},
        {"provides": ("one=1.0-r0",)},
        {"provides": ("so:libx.so.1=1",)},
    ],
)
def test_what_is_settled(tmp_path: Path, info: dict[str, tuple[str, ...]]) -> None:
    assert found(tmp_path, {"usr/x": b"1"}, {"usr/x": b"2"}, **info) == []
