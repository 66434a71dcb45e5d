"""Control groups: which one sandboxes get theirs in. The kernel's files are stood for by plain ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy.sandbox.cgroup import find_parent

if TYPE_CHECKING:
    from pathlib import Path


def make_group(directory: Path, enabled: str = "") -> None:
    directory.mkdir(exist_ok=True)
    (directory / "cgroup.controllers").write_text("cpu memory pids\n")
    (directory / "cgroup.subtree_control").write_text(f"{enabled}\n")


def test_every_sandbox_has_its_group_in_the_same_one(tmp_path: Path) -> None:
    own, group = tmp_path / "own", tmp_path / "user"
    own.write_text("1:name=systemd:/\n0::/user\n")
    make_group(group)
    assert find_parent(own, tmp_path) == group
    (leaf,) = group.glob(f"melpy-{os.getpid()}-*")
    assert (leaf / "cgroup.procs").read_text() == "0"
    # As the kernel shows it from then on.
    own.write_text(f"0::/user/{leaf.name}\n")
    make_group(group, "memory pids")
    make_group(leaf)
    assert find_parent(own, tmp_path) == group
    assert not (leaf / leaf.name).exists()


def test_a_group_that_is_not_delegated(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    assert find_parent(own, tmp_path) is None
    assert find_parent(tmp_path / "none", tmp_path) is None
    (tmp_path / "cgroup.controllers").write_text("cpu\n")
    assert find_parent(own, tmp_path) is None
