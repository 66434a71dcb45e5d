"""read_elf on files that a linker could have made."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from melpy.elf.model import ElfError, ElfFacts
from melpy.elf.reader import read_elf
from tests.factories.elf import elf

if TYPE_CHECKING:
    from pathlib import Path


def read(data: bytes) -> ElfFacts:
    facts = read_elf(io.BytesIO(data))
    assert facts is not None
    return facts


@pytest.mark.parametrize("section_headers", [True, False])
@pytest.mark.parametrize("big_endian", [True, False])
@pytest.mark.parametrize("bits", [32, 64])
def test_all_facts_in_every_layout(*, bits: int, big_endian: bool, section_headers: bool) -> None:
    facts = read(
        elf(
            bits=bits,
            big_endian=big_endian,
            machine=183,
            type_=2,
            interpreter="/lib/ld.so.1",
            needed=["libb.so.2", "liba.so.1"],
            soname="libself.so.3",
            rpath="/opt/lib",
            runpath="$ORIGIN/../lib",
            section_headers=section_headers,
        )
    )
    assert facts == ElfFacts(
        elf_class=bits,
        big_endian=big_endian,
        machine=183,
        type=2,
        interpreter="/lib/ld.so.1",
        needed=("libb.so.2", "liba.so.1"),
        sonames=("libself.so.3",),
        rpath=("/opt/lib",),
        runpath=("$ORIGIN/../lib",),
        is_dynamic=True,
        sections=("", ".interp", ".dynstr", ".dynamic", ".shstrtab") if section_headers else (),
    )


def test_a_static_program_needs_nothing() -> None:
    facts = read(elf(type_=2))
    assert (facts.interpreter, facts.needed, facts.sonames, facts.is_dynamic) == (None, (), (), False)


def test_several_sonames_are_kept() -> None:
    assert read(elf(soname=["liba.so.1", "libb.so.1"])).sonames == ("liba.so.1", "libb.so.1")


@pytest.mark.parametrize("bits", [32, 64])
def test_a_separated_debug_file_needs_nothing(bits: int) -> None:
    facts = read(elf(bits=bits, interpreter="/lib/ld.so.1", needed=["libc.so.6"], soname="liba.so.1", debug=True))
    assert (facts.interpreter, facts.needed, facts.sonames) == (None, (), ())


def test_names_that_are_not_utf8_survive() -> None:
    assert read(elf(needed=["lib\udcff.so.1"])).needed == ("lib\udcff.so.1",)


@pytest.mark.parametrize("data", [b"", b"\x7fEL", b"#!/bin/sh\n", b"\0" * 100])
def test_what_is_not_elf_has_no_facts(data: bytes) -> None:
    assert read_elf(io.BytesIO(data)) is None


def test_only_four_bytes_of_other_files_are_read() -> None:
    stream = io.BytesIO(b"PK\3\4" + bytes(1000))
    read_elf(stream)
    assert stream.tell() == 4


def test_a_path_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "liba.so"
    file.write_bytes(elf(soname="liba.so.1"))
    assert read_elf(file) == read_elf(str(file)) == read(file.read_bytes())


def test_go_settings_are_read() -> None:
    facts = read(elf(go={"CGO_ENABLED": "1", "GOEXPERIMENT": "boringcrypto", "-ldflags": '"-X a=\\"b\\""'}))
    assert facts.is_go
    assert facts.go_version == "go1.24.1"
    assert facts.go_build_settings == {"CGO_ENABLED": "1", "GOEXPERIMENT": "boringcrypto", "-ldflags": '-X a="b"'}


def test_go_settings_are_found_without_section_headers() -> None:
    assert read(elf(go={"CGO_ENABLED": "0"}, section_headers=False)).go_build_settings == {"CGO_ENABLED": "0"}


def test_other_programs_are_not_go() -> None:
    facts = read(elf(needed=["libc.so.6"]))
    assert not facts.is_go
    assert facts.go_build_settings == {}


def patched(data: bytes, offset: int, value: int, size: int) -> bytes:
    return data[:offset] + value.to_bytes(size, "little") + data[offset + size :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x7fELF", "16 bytes at offset 0 do not fit a file of 4 bytes"),
        (patched(elf(), 4, 9, 1), "unknown ELF class or byte order"),
        (elf()[:40], "48 bytes at offset 16 do not fit a file of 40 bytes"),
        (patched(elf(), 32, 2**63, 8), "56 bytes at offset 9223372036854775808 do not fit"),
        (patched(elf(), 56, 0xFFFF, 2), "65535 program headers of 56 bytes"),
        (patched(elf(needed=["a.so.1"]), 64 + 56 + 32, 2 << 20, 8), "a dynamic table of 2097152 bytes"),
        (patched(elf(interpreter="/l"), 64 + 56 + 32, 5000, 8), "an interpreter of 5000 bytes"),
        (patched(elf(needed=["a.so.1"]), 64 + 16, 0x10, 8), "is not in the file"),
    ],
)
def test_a_malformed_file_is_an_error_of_its_own(data: bytes, message: str) -> None:
    with pytest.raises(ElfError) as caught:
        read_elf(io.BytesIO(data))
    assert message in caught.value.message


def test_broken_section_headers_do_not_matter() -> None:
    data = patched(elf(needed=["libc.so.6"]), 40, 2**62, 8)
    assert read(data).needed == ("libc.so.6",)
    assert not read(data).has_section_headers
