"""Trees that want to break a scan or to look at the machine that scans."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from melpy.scan.model import Subject
from melpy.scan.scanner import scan_package
from tests.factories.elf import elf
from tests.factories.tree import Fifo, Link, program, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.scan.conftest import Scan


def test_links_never_lead_to_this_machine(scan: Scan, tmp_path: Path) -> None:
    library = tmp_path / "libhost.so.1"
    library.write_bytes(elf(soname="libhost.so.1", needed=["libsecret.so.1"]))
    found = scan(
        {
            "usr/lib/libhost.so": Link(str(library)),
            "usr/lib/libup.so": Link("../../../../libhost.so.1"),
            "usr/lib/circle.so": Link("circle.so"),
            "lib": Link("/"),
            "opt": Link(str(tmp_path)),
            "etc/ld.so.conf.d": Link(str(tmp_path)),
        }
    )
    assert (found.depends, found.provides, found.vendored, found.warnings) == ((), (), (), ())


def test_special_files_are_not_opened(scan: Scan) -> None:
    found = scan({"usr/bin/pipe": Fifo(), "usr/lib/x.pc": Fifo(), "boot/x": Fifo(), "etc/ld.so.conf.d/x.conf": Fifo()})
    assert found.warnings == ()


def test_files_that_cannot_be_read_are_warnings(tmp_path: Path) -> None:
    names = ("usr/bin/x", "usr/lib/pkgconfig/x.pc", "boot/x", "etc/ld.so.conf.d/x.conf")
    package = tree(tmp_path / "root", dict.fromkeys(names, program("x" * 100)))
    for name in names:
        (package.root / name).unlink()
    found = scan_package(Subject(package, "1.0-r0"))
    assert found.warnings == tuple(sorted(f"{name}: cannot be read: no such file or directory" for name in names))
    assert found.provides == ("cmd:x=1.0-r0",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("mode", [0o000, 0o111])
def test_files_that_may_not_be_read_are_warnings(tmp_path: Path, mode: int) -> None:
    package = tree(tmp_path / "root", {"usr/bin/x": elf(needed=["libc.so.6"])})
    (package.root / "usr/bin/x").chmod(mode)  # load_tree makes what it can readable, so it is done afterwards
    found = scan_package(Subject(package, "1.0-r0"))
    assert found.warnings == ("usr/bin/x: cannot be read: permission denied",)


@pytest.mark.parametrize("name", ["libx.so.1\nprovides = evil", "lib x.so.1", "libx.so.1\x1b[0m", "lib\udcff.so.1", ""])
def test_a_name_that_would_break_pkginfo_is_a_warning(scan: Scan, name: str) -> None:
    found = scan({"usr/lib/x": elf(needed=[name], soname=name or "\t")})
    assert (found.depends, found.provides) == ((), ())
    assert found.warnings
    assert all(warning.isprintable() for warning in found.warnings)


def test_file_names_with_line_breaks(scan: Scan) -> None:
    found = scan({"usr/bin/x\ny": program("#!/bin/dash\n")})
    assert found.provides == ()
    assert [finding.evidence for finding in found.evidence] == ["usr/bin/x\\ny"]
    assert found.warnings == ("usr/bin/x\\ny: cannot be written as a dependency or provide: cmd:x\\ny=1.0-r0",)


def test_an_empty_package(tmp_path: Path) -> None:
    found = scan_package(Subject(tree(tmp_path / "root", {}), "1.0-r0", runtime=("zlib",)))
    assert found.depends == ("zlib",)


@pytest.mark.parametrize("name", ["a~1", "a=1", "a>1", "a<=1", "a@b", "!a"])
def test_a_name_that_would_be_read_as_a_version_is_a_warning(scan: Scan, name: str) -> None:
    found = scan({"usr/bin/x": f"#!/opt/{name}\n", f"usr/bin/{name}": program()})
    assert (found.depends, found.provides) == ((), ())
    assert len(found.warnings) == 2
