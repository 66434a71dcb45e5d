"""Moving a tree to where others may have left anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from melpy.errors import ExtractError
from melpy.inside import move_tree
from tests.factories.tree import Directory, File, Link, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.factories.tree import Content

NEW: Mapping[str, Content] = {"a/b/new": "new", "file": File("new", 0o755), "link": Link("file")}


def move(directory: Path, there: Mapping[str, Content], *parts: str) -> Path:
    tree(directory / "source", NEW)
    tree(directory / "root", there)
    move_tree(directory / "source", directory / "root", parts)
    return directory / "root"


def found(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def test_what_is_there_stays_and_what_is_moved_wins(tmp_path: Path) -> None:
    root = move(tmp_path, {"a/b/old": "old", "a/c": "old", "file": "old", "link": Link("/etc")})
    assert found(root) == ["a/b/new", "a/b/old", "a/c", "file", "link"]
    assert (root / "file").read_text() == "new"
    assert (root / "file").stat().st_mode & 0o777 == 0o755
    assert (root / "link").readlink().name == "file"


def test_directories_that_become_one_have_the_time_of_the_new(tmp_path: Path) -> None:
    tree(tmp_path / "source", NEW)
    os.utime(tmp_path / "source/a", (1, 1))
    tree(tmp_path / "root", {"a/c": "old"})
    move_tree(tmp_path / "source", tmp_path / "root", ())
    assert (tmp_path / "root/a").stat().st_mtime == 1


def test_the_directory_is_made(tmp_path: Path) -> None:
    assert found(move(tmp_path, {"own": ""}, "x", "y")) == ["own", "x/y/a/b/new", "x/y/file", "x/y/link"]


@pytest.mark.parametrize(
    "there",
    [
        {"a": Link("../host")},
        {"a/b": Link("../../host"), "a/c": "old"},
        {"a": "a file"},
        {"file": Directory()},
        {"file/full": ""},
        {"link/full": ""},
    ],
)
def test_what_is_in_the_way_is_not_followed(tmp_path: Path, there: Mapping[str, Content]) -> None:
    (tmp_path / "host").mkdir()
    with pytest.raises(ExtractError):
        move(tmp_path, there)
    assert list((tmp_path / "host").iterdir()) == []


@pytest.mark.parametrize("parts", [("x",), ("x", "y")])
def test_the_way_to_the_directory_is_not_followed(tmp_path: Path, parts: tuple[str, ...]) -> None:
    (tmp_path / "host").mkdir()
    with pytest.raises(ExtractError):
        move(tmp_path, {"x": Link("../host")}, *parts)
    assert list((tmp_path / "host").iterdir()) == []
