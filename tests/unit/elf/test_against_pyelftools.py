"""What the quick reader says is what pyelftools says, on made files and on programs of this machine."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment
from hypothesis import given
from hypothesis import strategies as st

from melpy.elf.fast import read_elf_fast
from tests.factories.elf import elf

NAMES = st.text("abcxyz-_.+0123456789", min_size=1, max_size=20)


def said_by_pyelftools(data: bytes) -> dict[str, Any]:
    file = ELFFile(io.BytesIO(data))
    said: dict[str, Any] = {
        "elf_class": file.elfclass,
        "big_endian": not file.little_endian,
        "interpreter": None,
        "sections": tuple(section.name for section in file.iter_sections()),
    }
    found: dict[str, list[str]] = {"needed": [], "soname": [], "rpath": [], "runpath": []}
    for segment in file.iter_segments():
        if isinstance(segment, InterpSegment):
            said["interpreter"] = segment.get_interp_name()
        if isinstance(segment, DynamicSegment):
            for tag in segment.iter_tags():
                name = tag.entry.d_tag.removeprefix("DT_").lower() if isinstance(tag.entry.d_tag, str) else ""
                if name in found:
                    found[name].append(getattr(tag, name))
    names = {"needed": "needed", "soname": "sonames", "rpath": "rpath", "runpath": "runpath"}
    return said | {names[name]: tuple(values) for name, values in found.items()}


def check(data: bytes) -> None:
    facts = read_elf_fast(io.BytesIO(data))
    said = said_by_pyelftools(data)
    assert {name: getattr(facts, name) for name in said} == said


@given(
    bits=st.sampled_from([32, 64]),
    big_endian=st.booleans(),
    interpreter=st.none() | NAMES,
    needed=st.lists(NAMES, max_size=5),
    soname=st.lists(NAMES, max_size=2),
    runpath=st.none() | NAMES,
    section_headers=st.booleans(),
)
def test_made_files(**facts: Any) -> None:
    check(elf(**facts))


@pytest.mark.parametrize("path", [sys.executable, "/bin/sh", "/bin/ls"])
def test_programs_of_this_machine(path: str) -> None:
    if not Path(path).is_file():
        pytest.skip(f"{path} is not here")
    check(Path(path).read_bytes())
