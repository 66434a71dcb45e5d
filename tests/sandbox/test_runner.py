"""The sandbox itself: real namespaces, real overlays."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from melpy.errors import SandboxError
from melpy.sandbox.model import Mount, Root, SandboxSpec
from melpy.sandbox.runner import run_sandbox
from tests.factories.repository import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def layer(tmp_path: Path, require: Callable[..., None]) -> Path:
    require(str(BUSYBOX), "bwrap")
    (tmp_path / "busybox/bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, tmp_path / "busybox/bin/busybox")
    return tmp_path / "busybox"


def spec(tmp_path: Path, layers: tuple[Path, ...], script: str, *mounts: Mount) -> SandboxSpec:
    return SandboxSpec(
        root=Root(layers, tmp_path / "upper", tmp_path / "work", tmp_path / "root"),
        command=("/bin/busybox", "sh", "-c", script),
        workdir=PurePosixPath("/"),
        environment=(("PATH", "/bin"),),
        state=tmp_path / "state",
        mounts=mounts,
    )


def run(sandbox: SandboxSpec) -> tuple[int, list[str]]:
    lines: list[str] = []
    return run_sandbox(sandbox, lines.append).status, lines


def test_the_status_and_every_line_come_back(tmp_path: Path, layer: Path) -> None:
    status, lines = run(spec(tmp_path, (layer,), "echo out; echo err >&2; exit 7"))
    assert (status, lines) == (7, ["out", "err"])


def test_upper_layers_hide_lower_ones_and_changes_go_to_the_top(tmp_path: Path, layer: Path) -> None:
    for name, text in (("low", "low"), ("high", "high")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
    layers = (tmp_path / "high", tmp_path / "low", layer)
    status, lines = run(spec(tmp_path, layers, "busybox cat /file; echo new > /file; busybox rm /bin/busybox"))
    assert (status, lines) == (0, ["high"])
    assert (tmp_path / "upper/file").read_text() == "new\n"
    assert (tmp_path / "high/file").read_text() == "high"
    assert (layer / "bin/busybox").exists()


@pytest.mark.parametrize("count", [300, 500, 501, 1100])
def test_any_number_of_layers_mounts(tmp_path: Path, layer: Path, count: int) -> None:
    """Each layer has a file of its own and hides that of the next one. The kernel takes 500 layers in one overlay."""
    layers = []
    for number in range(count - 1):
        directory = tmp_path / f"layers/{number}"
        directory.mkdir(parents=True)
        (directory / f"file{number}").write_text("own\n")
        (directory / f"file{number + 1}").write_text("above\n")
        layers.append(directory)
    last = f"/file{count - 2}"
    script = (
        "busybox ls / | busybox grep -c file; busybox cat /file* | busybox sort | busybox uniq -c;"
        f"echo new > {last}; busybox cat {last}; busybox rm /file9; busybox test ! -e /file9"
    )
    status, lines = run(spec(tmp_path, (*layers, layer), script))
    assert status == 0, lines
    assert [line.split() for line in lines] == [[str(count)], [str(count - 1), "above"], ["1", "own"], ["new"]]
    assert (layers[-1] / last[1:]).read_text() == "own\n"


def test_changes_last_from_one_run_to_the_next(tmp_path: Path, layer: Path) -> None:
    assert run(spec(tmp_path, (layer,), "echo one > /state"))[0] == 0
    assert run(spec(tmp_path, (layer,), "busybox cat /state")) == (0, ["one"])


def test_a_read_only_mount_cannot_be_written(tmp_path: Path, layer: Path) -> None:
    (tmp_path / "shared").mkdir()
    mount = Mount(tmp_path / "shared", PurePosixPath("/shared"))
    status, _ = run(spec(tmp_path, (layer,), "echo x > /shared/file", mount))
    assert status != 0
    assert list((tmp_path / "shared").iterdir()) == []


def test_programs_left_behind_end_with_the_step(tmp_path: Path, layer: Path) -> None:
    mount = Mount(tmp_path, PurePosixPath("/out"), writable=True)
    script = "(busybox sleep 1; echo late > /out/late) > /dev/null 2>&1 &"
    status, _ = run(spec(tmp_path, (layer,), script, mount))
    assert status == 0
    import time

    time.sleep(1.5)
    assert not (tmp_path / "late").exists()


def test_no_further_privilege_is_to_be_had(tmp_path: Path, layer: Path) -> None:
    script = "busybox mount -t tmpfs none /bin; busybox chroot / /bin/busybox true; busybox hostname evil"
    status, lines = run(spec(tmp_path, (layer,), script))
    assert status != 0
    assert len(lines) == 3, lines


def test_a_root_that_cannot_be_mounted_is_explained(tmp_path: Path, layer: Path) -> None:
    broken = spec(tmp_path, (tmp_path / "is not there", layer), "true")
    with pytest.raises(SandboxError, match="overlay"):
        run(broken)
