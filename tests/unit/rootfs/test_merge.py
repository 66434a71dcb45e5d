"""Layers as plain files; tests/sandbox holds them against a real overlay."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from melpy.errors import OutputError
from melpy.rootfs.merge import merge_layers
from tests.factories.rootfs import look
from tests.factories.tree import Content, Directory, Fifo, File, Link, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def merged(directory: Path, *layers: Mapping[str, Content]) -> Path:
    for number, files in enumerate(layers):
        tree(directory / str(number), files)
    (directory / "merged").mkdir()
    merge_layers([directory / str(number) for number in range(len(layers))], directory / "merged")
    return directory / "merged"


def test_upper_layers_hide_lower_ones(tmp_path: Path) -> None:
    low = {"a": "low", "d/x": "low", "d/y": "low", "l/x": "low", "f": "low", "t/x": "low"}
    root = merged(tmp_path, low, {"a": "high", "d/x": "high", "l": Link("d"), "f/x": "high", "t": "high"}, {"d/z": ""})
    assert look(root) == {
        "a": "high",
        "d": "d",
        "d/x": "high",
        "d/y": "low",
        "d/z": "",
        "l": "-> d",
        "f": "d",
        "f/x": "high",
        "t": "high",
    }


def test_what_a_file_hides_does_not_come_back(tmp_path: Path) -> None:
    root = merged(tmp_path, {"d/low": "low"}, {"d": "file"}, {"d/high": "high"})
    assert look(root) == {"d": "d", "d/high": "high"}


def test_modes_times_and_names_are_kept(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "su": File("su", 0o4755),
        "d": Directory(0o1777),
        "r": File("r", 0o400),
        "p": Fifo(),
        "n/a": "a",
    }
    tree(tmp_path / "0", files)
    (tmp_path / "0/n/b").hardlink_to(tmp_path / "0/n/a")
    os.utime(tmp_path / "0/n/a", (5, 5))
    os.utime(tmp_path / "0/d", (6, 6))
    root = tmp_path / "merged"
    root.mkdir()
    merge_layers([tmp_path / "0"], root)
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in ("su", "d", "r")}
    assert modes == {"su": 0o4755, "d": 0o1777, "r": 0o400}
    assert (root / "n/a").stat().st_mtime == 5
    assert (root / "d").stat().st_mtime == 6
    assert (root / "p").is_fifo()
    assert (root / "n/a").stat().st_ino == (root / "n/b").stat().st_ino
    # The layers are not what is written to.
    (root / "n/a").write_text("changed")
    assert (tmp_path / "0/n/a").read_text() == "a"


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    root = merged(tmp_path, {"d/low": "low"}, {"d": Link(str(tmp_path / "outside"))}, {"e/x": ""})
    assert (root / "d").is_symlink()
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        merge_layers([tmp_path], tmp_path / "gone/root")
