"""Libraries that packages of one build keep for one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.scan.model import Subject, Switches
from melpy.scan.scanner import scan_package
from melpy.scan.sibling import resolve_siblings
from tests.factories.elf import elf
from tests.factories.tree import program, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.factories.tree import Content

LIBRARY = elf(soname="libvend.so.1")
TOOL = program(elf(needed=["libvend.so.1", "libc.so.6"], runpath="/usr/lib/hello"))


def depends(
    directory: Path,
    main: Mapping[str, Content],
    sub: Mapping[str, Content],
    *,
    offered: tuple[str, ...] = ("so:libc.so.6",),
    runtime: tuple[str, ...] = (),
    switches: Switches | None = None,
) -> list[tuple[str, ...]]:
    trees = (tree(directory / "hello", main, "hello"), tree(directory / "hello-tools", sub, "hello-tools"))
    subjects = [
        Subject(trees[0], "1.0-r0", trees, switches=switches or Switches()),
        Subject(trees[1], "1.0-r0", trees, runtime=runtime),
    ]
    found = resolve_siblings(subjects, [scan_package(subject) for subject in subjects], offered)
    return [findings.depends for findings in found]


def test_a_library_in_a_directory_of_its_own(tmp_path: Path) -> None:
    files = {"usr/lib/hello/libvend.so.1": LIBRARY}
    assert depends(tmp_path, files, {"usr/bin/tool": TOOL}) == [(), ("hello=1.0-r0", "so:libc.so.6")]


def test_a_library_that_is_not_provided_by_wish(tmp_path: Path) -> None:
    found = depends(
        tmp_path, {"usr/lib/libvend.so.1": LIBRARY}, {"usr/bin/tool": TOOL}, switches=Switches(no_provides=True)
    )
    assert found == [(), ("hello=1.0-r0", "so:libc.so.6")]


def test_packages_that_need_each_other(tmp_path: Path) -> None:
    main: dict[str, Content] = {
        "usr/lib/hello/libvend.so.1": LIBRARY,
        "usr/bin/a": program(elf(needed=["libother.so.2"])),
    }
    sub: dict[str, Content] = {"usr/lib/other/libother.so.2": elf(soname="libother.so.2"), "usr/bin/b": TOOL}
    assert depends(tmp_path, main, sub) == [("hello-tools=1.0-r0",), ("hello=1.0-r0", "so:libc.so.6")]


@pytest.mark.parametrize(
    ("main", "offered", "expected"),
    [
        ({"usr/lib/libvend.so.1": LIBRARY, "usr/lib/hello/libvend.so.1": LIBRARY}, (), "so:libvend.so.1"),
        ({"usr/lib/hello/libvend.so.1": LIBRARY}, ("so:libvend.so.1",), "so:libvend.so.1"),
        ({}, (), "so:libvend.so.1"),
    ],
    ids=["provided too", "of another package", "nowhere"],
)
def test_what_somebody_else_may_provide_stays(
    tmp_path: Path, main: Mapping[str, Content], offered: tuple[str, ...], expected: str
) -> None:
    assert depends(tmp_path, main, {"usr/bin/tool": TOOL}, offered=offered)[1] == ("so:libc.so.6", expected)


def test_what_the_recipe_states_stays(tmp_path: Path) -> None:
    files = {"usr/lib/hello/libvend.so.1": LIBRARY}
    found = depends(tmp_path, files, {"usr/bin/tool": TOOL}, runtime=("so:libvend.so.1",))
    assert found[1] == ("so:libc.so.6", "so:libvend.so.1")


@pytest.mark.parametrize("directory", ["usr/lib", "usr/lib/hello"])
def test_a_library_without_a_soname_is_found_by_its_file(tmp_path: Path, directory: str) -> None:
    library: dict[str, Content] = {f"{directory}/libvend.so.1": elf(needed=["libc.so.6"])}
    assert depends(tmp_path / "sibling", library, {"usr/bin/tool": TOOL})[1] == ("hello=1.0-r0", "so:libc.so.6")
    # A package that has the file needs nobody for it.
    assert depends(tmp_path / "own", {}, {"usr/bin/tool": TOOL, **library})[1] == ("so:libc.so.6",)


def test_what_a_package_does_not_provide_by_wish_it_may_have_of_others(tmp_path: Path) -> None:
    files: dict[str, Content] = {"usr/lib/libvend.so.1": LIBRARY, "usr/bin/tool": TOOL}
    found = depends(tmp_path, files, {}, switches=Switches(no_provides=True))
    assert found[0] == ("so:libc.so.6", "so:libvend.so.1")


GALLIUM = elf(soname="libgallium-24.2.3.so")
USES = program(elf(needed=["libgallium-24.2.3.so", "plugin.so", "libc.so.6"]))


def test_a_library_without_an_interface_version_is_needed_where_it_is_provided(tmp_path: Path) -> None:
    both = ("so:libc.so.6", "so:libgallium-24.2.3.so")
    sibling = depends(tmp_path / "1", {"usr/lib/libgallium-24.2.3.so": GALLIUM}, {"usr/bin/tool": USES})
    assert sibling == [(), both]
    environment = depends(
        tmp_path / "2", {}, {"usr/bin/tool": USES}, offered=("so:libc.so.6", "so:libgallium-24.2.3.so")
    )
    assert environment == [(), both]
    assert depends(tmp_path / "3", {}, {"usr/bin/tool": USES}) == [(), ("so:libc.so.6",)]


@pytest.mark.parametrize("directory", ["usr/lib", "usr/lib/own"])
@pytest.mark.parametrize("library", [GALLIUM, elf(needed=["libc.so.6"])])
def test_a_library_of_the_package_itself_is_not_needed_of_others(
    tmp_path: Path, directory: str, library: bytes
) -> None:
    files: dict[str, Content] = {f"{directory}/libgallium-24.2.3.so": library, "usr/bin/tool": USES}
    offered = ("so:libc.so.6", "so:libgallium-24.2.3.so")
    assert depends(tmp_path, files, {}, offered=offered)[0] == ("so:libc.so.6",)


def test_a_library_without_an_interface_version_is_not_needed_with_no_depends(tmp_path: Path) -> None:
    files = {"usr/bin/tool": USES}
    found = depends(tmp_path, files, {}, offered=("so:plugin.so",), switches=Switches(no_depends=True))
    assert found[0] == ()


@pytest.mark.parametrize("switches", [Switches(no_commands=True), Switches(no_provides=True)])
def test_a_command_that_is_not_provided_by_wish(tmp_path: Path, switches: Switches) -> None:
    main = {"usr/bin/duo": program()}
    sub = {"usr/bin/x": "#!/usr/bin/duo\n", "usr/bin/y": "#!/usr/bin/env duo\n"}
    assert depends(tmp_path / "1", main, sub, switches=switches)[1] == ("hello=1.0-r0",)
    assert depends(tmp_path / "2", main, sub, switches=switches, offered=("cmd:duo",))[1] == ("cmd:duo",)
    assert depends(tmp_path / "3", main, sub)[1] == ("cmd:duo",)
