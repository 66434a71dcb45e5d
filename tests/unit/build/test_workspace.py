"""The recipe's own files come into the workspace as they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy.build.workspace import fill_workspace
from tests.factories.tree import Directory, Fifo, File, Link, program, tree

if TYPE_CHECKING:
    from pathlib import Path


def test_links_and_empty_directories_are_copied(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("of the host")
    tree(
        tmp_path / "recipe",
        {
            "patches/one.patch": File("x", 0o600),
            "patches/latest.patch": Link("one.patch"),
            "empty/deeper": Directory(0o700),
            "tool": program(),
            "out": Link(str(secret)),
            "key": Link(f"{secret}/key"),
            "up": Link("../../.."),
            "dangling": Link("nowhere//./x"),
            "pipe": Fifo(),
        },
    )
    workspace = tmp_path / "workspace"
    mask = os.umask(0o077)
    try:
        fill_workspace(workspace, tmp_path / "recipe")
    finally:
        os.umask(mask)
    links = {path.name: os.readlink(path) for path in workspace.rglob("*") if path.is_symlink()}  # noqa: PTH115  # pathlib would tidy it up
    assert links == {
        "latest.patch": "one.patch",
        "out": str(secret),
        "key": f"{secret}/key",
        "up": "../../..",
        "dangling": "nowhere//./x",
    }
    others = {
        str(path.relative_to(workspace)): path.stat().st_mode & 0o7777
        for path in workspace.rglob("*")
        if not path.is_symlink()
    }
    assert others == {
        "patches": 0o755,
        "patches/one.patch": 0o644,
        "empty": 0o755,
        "empty/deeper": 0o755,
        "tool": 0o755,
    }
