"""Files that belong to an architecture, in packages that are to be for every one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.scan.model import Subject
from melpy.scan.portable import find_bound_files
from tests.factories.elf import elf
from tests.factories.tree import program, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.factories.tree import Content


def find(directory: Path, files: Mapping[str, Content]) -> list[tuple[str, str]]:
    found = tree(directory / "words", files, "words")
    return list(find_bound_files(Subject(found, "1-r0", arch="x86_64")))


@pytest.mark.parametrize(
    ("content", "arch"),
    [
        (elf(machine=62), "x86_64"),  # whatever it is, a compiler of the environment made it
        (elf(machine=62, type_=1), "x86_64"),
        (elf(machine=183, soname="libx.so.1"), "aarch64"),
        (elf(machine=40, bits=32, needed=["libc.so.6"]), "armv7"),
        (program(elf(machine=183)), "aarch64"),
    ],
)
def test_a_file_of_an_architecture(tmp_path: Path, content: Content, arch: str) -> None:
    (found,) = find(tmp_path, {"usr/lib/x": content, "usr/share/words": "a text"})
    assert found[0] == "usr/lib/x"
    assert found[1] in {arch, "armhf"}  # ELF files of both 32-bit ARM ones look the same


@pytest.mark.parametrize("content", ["#!/bin/sh\n", elf(machine=183), elf(machine=247, type_=1), b"\x7fELF"])
def test_data(tmp_path: Path, content: Content) -> None:
    assert find(tmp_path, {"usr/lib/firmware/x": content}) == []
