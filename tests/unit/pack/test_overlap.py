"""Two packages of a recipe that have other files at the same path."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import PackageInfo
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
    rival = dataclasses.replace(INFO, name="two", provides=("virtual",))
    changed = dataclasses.replace(rival, **info)  # type: ignore[arg-type]  # fields of the dataclass
    packages = [
        (tree(directory / "one", one, "one"), INFO),
        (tree(directory / "two", two, "two"), changed),
        (tree(directory / "three", {"usr/other": ""}, "three"), dataclasses.replace(rival, name="three")),
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
        (b"1", Directory()),
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


@pytest.mark.parametrize(
    ("one", "two"), [(b"1", b"1"), (Link("1"), Link("1")), (Directory(), Directory(0o700)), (Link("."), Directory())]
)
def test_the_same_file_at_the_same_path(tmp_path: Path, one: Content, two: Content) -> None:
    assert found(tmp_path, {"usr/x": one}, {"usr/x": two}) == []


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
