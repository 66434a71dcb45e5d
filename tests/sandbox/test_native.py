"""A program of this machine runs in a root that has nothing of this machine's but what native tools bring."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from melpy.arch import ARCHES, host_arch
from melpy.sandbox.model import NativeTools, Root, SandboxSpec
from melpy.sandbox.native import ToolPackage, find_libraries, make_layer, make_native, read_needed
from melpy.sandbox.runner import run_sandbox
from melpy.sandbox.tooltable import find_tool_rule
from tests.factories.elf import elf
from tests.factories.tree import program, tree

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = r"""
#include <math.h>
#include <stdio.h>
int main(int argc, char **argv) { printf("%s %d %.3f\n", argv[0], argc, sqrt(argc)); return 0; }
"""


def host_libraries(binary: Path) -> list[Path]:
    """Return what the host's own loader finds for a program, itself included."""
    lines = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(word) for line in lines for word in line.split() if word.startswith("/")]


@pytest.fixture
def tools(tmp_path: Path, require: Callable[..., None]) -> NativeTools:
    require("cc", "ldd", "bwrap")
    host = host_arch()
    foreign = ARCHES["aarch64" if host.apk != "aarch64" else "x86_64"]
    binary = tmp_path / "sed"
    subprocess.run(["cc", "-x", "c", "-", "-o", binary, "-lm"], input=SOURCE, text=True, check=True)
    # As Wolfi has it: libraries of every architecture lie in /usr/lib.
    tree(tmp_path / "native", {"usr/bin/sed": program(binary.read_bytes())})
    for library in host_libraries(binary):
        (tmp_path / "native/usr/lib").mkdir(exist_ok=True)
        shutil.copy(library.resolve(), tmp_path / "native/usr/lib" / library.name)
    other = elf(machine=foreign.machine, interpreter="/lib/ld-foreign.so.1", needed=["libc.so.6"])
    wrong = elf(machine=foreign.machine, soname="libc.so.6")
    tree(tmp_path / "foreign", {"usr/bin/sed": program(other), "usr/lib/libc.so.6": wrong, "usr/lib/libm.so.6": wrong})
    tool = find_tool_rule("sed", foreign)
    assert tool is not None
    for name in ("layer", "set"):
        (tmp_path / name).mkdir()
    make_layer(ToolPackage(tool, tmp_path / "foreign", tmp_path / "native"), foreign, host, tmp_path / "layer")
    libraries = find_libraries(read_needed(tmp_path / "layer"), [tmp_path / "native"], host)
    assert libraries is not None
    make_native(libraries, [tool], {}, host, tmp_path / "set")
    layers = (tmp_path / "layer/layer", tmp_path / "set/layer")
    return NativeTools(layers, tmp_path / "set/native", tmp_path / "set/cache", ("sed=1",))


def run(tools: NativeTools, directory: Path, *environment: tuple[str, str]) -> tuple[int, list[str]]:
    lines: list[str] = []
    spec = SandboxSpec(
        root=Root((*tools.layers, directory / "foreign"), directory / "upper", directory / "work", directory / "root"),
        command=("/usr/bin/sed", "one", "two"),
        workdir=PurePosixPath("/"),
        environment=environment,
        state=directory / "state",
        mounts=tools.mounts,
    )
    return run_sandbox(spec, lines.append).status, lines


def test_it_finds_its_own_loader_and_libraries(tools: NativeTools, tmp_path: Path) -> None:
    assert run(tools, tmp_path) == (0, ["/usr/bin/sed 3 1.732"])


def test_foreign_libraries_that_a_build_puts_first_do_not_disturb_it(tools: NativeTools, tmp_path: Path) -> None:
    assert run(tools, tmp_path, ("LD_LIBRARY_PATH", "/usr/lib")) == (0, ["/usr/bin/sed 3 1.732"])
