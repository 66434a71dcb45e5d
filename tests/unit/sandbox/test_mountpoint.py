"""Mount points become real entries of the upper layer, whatever was there."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from melpy.errors import ExtractError
from melpy.sandbox.model import Mount, Root, SandboxSpec
from melpy.sandbox.mountpoint import settle_mount_points


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    for name in ("upper", "state", "source"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("mounted")
    return SandboxSpec(
        root=Root((), tmp_path / "upper", tmp_path / "work", tmp_path / "root"),
        command=(),
        workdir=PurePosixPath("/"),
        environment=(),
        state=tmp_path / "state",
        mounts=(Mount(tmp_path / "source", PurePosixPath("/a/b")), Mount(tmp_path / "file", PurePosixPath("/a/c"))),
    )


def kinds(upper: Path) -> dict[str, str]:
    return {
        str(path.relative_to(upper)): "directory" if stat.S_ISDIR(path.lstat().st_mode) else path.read_text()
        for path in upper.rglob("*")
    }


WANTED = {"a": "directory", "a/b": "directory", "a/c": "", "dev": "directory", "proc": "directory"}


def test_in_an_empty_layer(spec: SandboxSpec) -> None:
    settle_mount_points(spec)
    assert kinds(spec.root.upper) == WANTED
    assert stat.S_IMODE((spec.root.upper / "a").stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["a", "a/b", "a/c", "dev", "proc"])
@pytest.mark.parametrize("kind", ["file", "symlink", "directory", "pipe"])
def test_in_place_of_what_a_step_left(spec: SandboxSpec, tmp_path: Path, name: str, kind: str) -> None:
    place = spec.root.upper / name
    place.parent.mkdir(exist_ok=True)
    if kind == "file":
        place.write_text("planted")
    elif kind == "symlink":
        place.symlink_to(tmp_path / "source")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        (place / "below").mkdir(parents=True)
    settle_mount_points(spec)
    found = kinds(spec.root.upper)
    # A directory that is one already stays; a file keeps its content, which the mount hides.
    if kind == "directory" and name != "a/c":
        found.pop(f"{name}/below")
    if kind == "file" and name == "a/c":
        found["a/c"] = ""
    assert found == WANTED
    assert list((tmp_path / "source").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_layer_that_a_step_closed(spec: SandboxSpec) -> None:
    (spec.root.upper / "a").mkdir(mode=0o500)
    with pytest.raises(ExtractError, match="cannot be a mount point: permission denied"):
        settle_mount_points(spec)
