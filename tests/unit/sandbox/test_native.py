"""Programs of this machine take the places of foreign ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from melpy.arch import ARCHES
from melpy.elf.fast import read_elf_fast
from melpy.sandbox.native import (
    ToolPackage,
    find_kept,
    find_libraries,
    is_native_tool,
    make_layer,
    make_native,
    read_needed,
)
from melpy.sandbox.tooltable import Tool, find_tool_rule, load_tool_rules
from tests.factories.elf import elf
from tests.factories.tree import Content, Link, program, tree

HOST, FOREIGN = ARCHES["x86_64"], ARCHES["aarch64"]
LOADER = "/lib64/ld-linux-x86-64.so.2"


def native(*needed: str, runpath: str | None = None) -> bytes:
    return elf(machine=HOST.machine, interpreter=LOADER, needed=needed, runpath=runpath)


def foreign() -> bytes:
    return elf(machine=FOREIGN.machine, interpreter="/lib/ld-linux-aarch64.so.1", needed=["libc.so.6"])


def tool(name: str) -> Tool:
    found = find_tool_rule(name, FOREIGN)
    assert found is not None
    return found


def made(tmp_path: Path, name: str, foreign_files: dict[str, bytes], native_files: dict[str, bytes]) -> Path:
    """Make the layer of a package and return its directory."""
    for place, files in (("foreign", foreign_files), ("native", native_files)):
        tree(tmp_path / place, {path: program(content) for path, content in files.items()})
    directory = tmp_path / "made"
    directory.mkdir()
    make_layer(ToolPackage(tool(name), tmp_path / "foreign", tmp_path / "native"), FOREIGN, HOST, directory)
    return directory


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def interpreter(path: Path) -> str | None:
    facts = read_elf_fast(path)
    assert facts is not None
    return facts.interpreter


def test_what_both_have_is_replaced_and_asks_for_a_loader_of_its_own(tmp_path: Path) -> None:
    names = ("usr/bin/ls", "usr/bin/uname", "usr/bin/printf", "usr/bin/only-here")
    directory = made(
        tmp_path,
        "coreutils",
        {**dict.fromkeys(names[:3], foreign()), "usr/bin/script": b"#!/bin/sh\n"},
        {**dict.fromkeys(names, native("libc.so.6")), "usr/bin/script": b"#!/bin/sh\n"},
    )
    assert files(directory / "layer") == ["usr/bin/ls"]
    assert interpreter(directory / "layer/usr/bin/ls") == "/run/melpy/native/ld.so"
    assert read_needed(directory) == ("libc.so.6",)
    assert is_native_tool(directory / "layer/usr/bin/ls")
    assert not is_native_tool(tmp_path / "native/usr/bin/ls")


def test_what_finds_its_libraries_in_a_way_of_its_own_stays_foreign(tmp_path: Path) -> None:
    directory = made(tmp_path, "sed", {"usr/bin/sed": foreign()}, {"usr/bin/sed": native(runpath="/usr/lib/own")})
    assert files(directory / "layer") == []
    assert read_needed(directory) == ()


def test_a_cross_compiler_is_called_like_the_foreign_one(tmp_path: Path) -> None:
    name = "usr/bin/aarch64-linux-gnu-gcc-14"
    directory = made(
        tmp_path,
        "gcc-14-aarch64-linux-gnu",
        {name: foreign(), "usr/libexec/gcc/aarch64-linux-gnu/14/collect2": foreign()},
        {name: native("libc.so.6"), "usr/libexec/gcc-cross/aarch64-linux-gnu/14/collect2": native("libc.so.6")},
    )
    layer = directory / "layer"
    assert (layer / "usr/libexec/gcc-cross").readlink() == Path("gcc")
    assert interpreter(layer / "usr/libexec/gcc/aarch64-linux-gnu/14/collect2") == "/run/melpy/native/ld.so"
    script = (layer / name).read_text()
    assert script.startswith("#!/bin/sh\nGCC_EXEC_PREFIX=/usr/lib/gcc/\n")
    assert "if [ no = yes ]; then\n" in script
    assert script.endswith('exec -a "$0" /run/melpy/drivers/aarch64-linux-gnu-gcc-14 "$@"\n')
    assert is_native_tool(layer / name)
    assert interpreter(layer / "run/melpy/drivers/aarch64-linux-gnu-gcc-14") == "/run/melpy/native/ld.so"


def test_libraries_are_found_with_what_they_need_in_turn(tmp_path: Path) -> None:
    libc = {"usr/lib/libc.so.6": elf(machine=62, needed=["ld-linux-x86-64.so.2"]), f"usr{LOADER}": elf(machine=62)}
    tree(tmp_path / "libc", libc)
    links: dict[str, Content] = {
        "usr/lib/libz.so.1": Link("libz.so.1.3"),
        "usr/lib/libz.so.1.3": elf(machine=62, needed=["libc.so.6"]),
    }
    tree(tmp_path / "z", links)
    packages = (tmp_path / "libc", tmp_path / "z")
    found = find_libraries(["libz.so.1"], packages, HOST)
    assert found is not None
    assert sorted(found) == ["ld-linux-x86-64.so.2", "libc.so.6", "libz.so.1"]
    assert found["libz.so.1"].name == "libz.so.1.3"
    assert find_libraries(["libz.so.1", "libnone.so.1"], packages, HOST) is None
    # A library of the other architecture by that name is none.
    tree(tmp_path / "foreign", {"usr/lib/libnone.so.1": elf(machine=FOREIGN.machine)})
    assert find_libraries(["libnone.so.1"], (*packages, tmp_path / "foreign"), HOST) is None


def test_a_link_to_what_was_replaced_stays_foreign_where_it_must(tmp_path: Path) -> None:
    """As in a root of Wolfi's shape: one busybox, libraries of both architectures in /usr/lib."""
    tree(tmp_path / "links", {"usr/bin/uname": Link("/bin/busybox"), "usr/bin/ls": Link("/bin/busybox")})
    tree(tmp_path / "base", {"bin": Link("usr/bin")})
    directory = made(tmp_path, "busybox", {"usr/bin/busybox": foreign()}, {"usr/bin/busybox": native("libc.so.6")})
    layers = (tmp_path / "links", tmp_path / "base", tmp_path / "foreign")
    kept = find_kept([tool("busybox")], layers, [directory / "layer"])
    assert kept == {"usr/bin/uname": "usr/bin/busybox"}
    loader = b"/etc/ld.so.cache\0"
    tree(tmp_path / "libraries", {"libc.so.6": b"libc", "ld-linux-x86-64.so.2": loader})
    libraries = {path.name: path for path in (tmp_path / "libraries").iterdir()}
    place = tmp_path / "set"
    place.mkdir()
    make_native(libraries, [tool("busybox")], {"usr/bin/uname": tmp_path / "foreign/usr/bin/busybox"}, HOST, place)
    assert (place / "layer/usr/bin/uname").readlink() == Path("/run/melpy/native/foreign/uname")
    assert (place / "native/foreign/uname").read_bytes() == foreign()
    assert (place / "native/ld.so").read_bytes() == b"/run/melpy/cache\0"
    assert b"/run/melpy/native/lib/libc.so.6\0" in (place / "cache").read_bytes()


@pytest.mark.parametrize(
    ("name", "version", "native_version", "accepted"),
    [
        ("sed", "4.9-r0", "4.9-r0", True),
        ("sed", "4.9-r0", "4.9-r3", True),
        ("sed", "4.9-r0", "4.10-r0", False),
        ("sed", "4.9-r0", "4.9_p1-r0", False),
        ("gcc-14-aarch64-linux-gnu", "14.2.0_p19-r0", "14.2.0_p19-r323012000000000000", True),
        ("gcc-14-aarch64-linux-gnu", "14.2.0_p19-r0", "14.2.0_p20-r323012000000000000", False),
    ],
)
def test_only_the_same_version_stands_in(name: str, version: str, native_version: str, accepted: bool) -> None:
    assert tool(name).accepts(version, native_version) is accepted


def test_the_table_names_packages_of_the_architecture_only() -> None:
    assert find_tool_rule("binutils-aarch64-linux-gnu", FOREIGN) is not None
    assert find_tool_rule("binutils-s390x-linux-gnu", FOREIGN) is None
    assert find_tool_rule("perl", FOREIGN) is None
    assert all(rule.why for rule in load_tool_rules().values())
