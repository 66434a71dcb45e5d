from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.scan.shared_object import library_version
from tests.factories.elf import elf
from tests.factories.tree import File, Link, program

if TYPE_CHECKING:
    from tests.factories.tree import Content
    from tests.unit.scan.conftest import Scan


@pytest.mark.parametrize(
    ("soname", "version"),
    [
        ("libfoo.so.1", "1"),
        ("libfoo.so.1.2.3", "1.2.3"),
        ("libfoo.so", "0"),
        ("libx.so.0unstable", "0"),
        ("libfoo-1.2.so", "0"),
        ("libfoo.so.1.so.2", "1"),
        ("libfoo.so.", "0"),
        ("libfoo.so..", "0"),
        ("libfoo.so.1.", "0"),
    ],
)
def test_library_version(soname: str, version: str) -> None:
    assert library_version(soname) == version


def test_a_program_needs_its_loader_and_libraries(scan: Scan) -> None:
    binary = elf(interpreter="/lib64/ld-linux-x86-64.so.2", needed=["libc.so.6", "plugin.so", "libcuda.so.1"])
    found = scan({"opt/hello": program(binary)})
    assert found.depends == ("so:ld-linux-x86-64.so.2", "so:libc.so.6")
    assert found.provides == ()


def test_the_loader_of_musl_is_its_library(scan: Scan) -> None:
    found = scan({"opt/hello": elf(interpreter="/lib/ld-musl-x86_64.so.1")})
    assert found.depends == ("so:libc.musl-x86_64.so.1",)


def test_a_library_in_the_usual_place_is_provided(scan: Scan) -> None:
    found = scan({"usr/lib/libfoo.so.1.2": elf(soname="libfoo.so.1")})
    assert found.provides == ("so-ver:libfoo.so.1=1.0-r0", "so:libfoo.so.1=1")
    assert found.vendored == ()


def test_a_library_elsewhere_is_vendored(scan: Scan) -> None:
    found = scan(
        {"opt/lib/libfoo.so.1": elf(soname="libfoo.so.1"), "opt/run": elf(needed=["libfoo.so.1", "libc.so.6"])}
    )
    assert found.vendored == ("so-ver:libfoo.so.1=1.0-r0", "so:libfoo.so.1=1")
    assert found.depends == ("so:libc.so.6",)
    assert found.provides == ()


def test_a_dependency_on_itself_is_dropped(scan: Scan) -> None:
    files = {"usr/lib/libfoo.so.1": elf(soname="libfoo.so.1"), "opt/run": elf(needed=["libfoo.so.1"])}
    assert scan(files).depends == ()


@pytest.mark.parametrize(("name", "is_provided"), [("hello", False), ("libc.so.6", True), ("libc.so", True)])
def test_with_an_interpreter_only_a_name_like_a_library_provides(scan: Scan, name: str, *, is_provided: bool) -> None:
    found = scan({f"lib/{name}": elf(interpreter="/lib/ld.so.1", soname="libc.so.6")})
    assert ("so:libc.so.6=6" in found.provides) is is_provided


def test_host_libraries_are_neither_provided_nor_vendored(scan: Scan) -> None:
    library = elf(soname="libcuda.so.1")
    found = scan({"usr/lib/libcuda.so.1": library, "opt/libcuda.so.1": library})
    assert (found.depends, found.provides, found.vendored) == ((), (), ())


def test_a_development_link_needs_the_library_of_a_sibling(scan: Scan) -> None:
    found = scan(
        {"usr/lib/libfoo.so": Link("libfoo.so.1.2")},
        package="foo-dev",
        relatives={"foo": {"usr/lib/libfoo.so.1.2": elf(soname="libfoo.so.1")}},
    )
    assert found.depends == ("so:libfoo.so.1",)


def test_a_link_finds_a_library_in_a_configured_directory(scan: Scan) -> None:
    found = scan(
        {"usr/lib/libfoo.so": Link("../../opt/foo/libfoo.so.1")},
        package="foo-dev",
        relatives={
            "foo": {"opt/foo/libfoo.so.1": elf(soname="libfoo.so.1")},
            "foo-config": {"etc/ld.so.conf.d/sub/foo.conf": "# foo\n/opt/foo\nrelative\n"},
        },
    )
    assert found.depends == ("so:libfoo.so.1",)


def test_configured_directories_provide(scan: Scan) -> None:
    found = scan(
        {"opt/foo/libfoo.so.1": elf(soname="libfoo.so.1"), "etc/ld.so.conf.d/foo.conf": "/opt/foo/\n"},
    )
    assert found.provides == ("so-ver:libfoo.so.1=1.0-r0", "so:libfoo.so.1=1")


def test_a_link_is_looked_at_under_its_own_name(scan: Scan) -> None:
    found = scan({"opt/libfoo.so.1": elf(soname="libfoo.so.1"), "usr/lib/libfoo.so": Link("/opt/libfoo.so.1")})
    assert "so:libfoo.so.1=1" in found.provides
    assert "so:libfoo.so.1=1" in found.vendored


def test_a_debug_file_says_nothing(scan: Scan) -> None:
    debug = elf(interpreter="/lib/ld.so.1", needed=["libc.so.6"], soname="libfoo.so.1", debug=True)
    found = scan({"usr/lib/debug/usr/lib/libfoo.so.1.debug": debug, "usr/lib/libfoo.so.1": debug})
    assert (found.depends, found.provides, found.vendored) == ((), (), ())


def test_section_headers_are_not_needed(scan: Scan) -> None:
    assert scan({"opt/x": elf(needed=["libc.so.6"], section_headers=False)}).depends == ("so:libc.so.6",)


def test_a_malformed_file_is_a_warning(scan: Scan) -> None:
    found = scan({"usr/bin/hello": program(elf(needed=["libc.so.6"])[:100])})
    assert found.warnings == (
        "usr/bin/hello: malformed ELF file: 112 bytes at offset 64 do not fit a file of 100 bytes",
    )
    assert found.provides == ("cmd:hello=1.0-r0",)


@pytest.mark.parametrize(
    ("arch", "machine", "bits", "order"),
    [
        ("x86_64", 183, 64, "little"),
        ("x86_64", 3, 32, "little"),
        ("x86_64", 62, 32, "little"),
        ("aarch64", 62, 64, "little"),
        ("ppc64le", 21, 64, "big"),
    ],
)
def test_a_file_for_another_architecture_says_nothing(
    scan: Scan, arch: str, machine: int, bits: int, order: str
) -> None:
    binary = elf(
        bits=bits,
        big_endian=order == "big",
        machine=machine,
        interpreter="/lib/ld-foreign.so.1",
        needed=["libc.so.6", "/x"],
        soname="libx.so.1",
        go={"CGO_ENABLED": "1", "GOEXPERIMENT": "boringcrypto"},
    )
    files: dict[str, Content] = {
        "usr/bin/x": program(binary),
        "usr/lib/libx.so": Link("libx.so.1"),
        "usr/lib/libx.so.1": program(binary),
    }
    found = scan(files, arch=arch)
    assert (found.depends, found.provides, found.vendored) == ((), (), ())
    (warning,) = found.warnings
    assert warning == (
        f"usr/bin/x: not for {arch} (ELF machine {machine}, {bits} bits, {order} endian),"
        " so it depends on nothing and provides nothing (the same holds for 1 more)"
    )


@pytest.mark.parametrize(
    ("arch", "machine", "bits"),
    [("aarch64", 183, 64), ("x86", 3, 32), ("armv7", 40, 32), ("noarch", 40, 32), ("", 3, 32)],
)
def test_a_file_for_the_architecture_of_the_package(scan: Scan, arch: str, machine: int, bits: int) -> None:
    found = scan({"usr/bin/x": program(elf(needed=["libc.so.6"], machine=machine, bits=bits))}, arch=arch)
    assert (found.depends, found.provides, found.warnings) == (("so:libc.so.6",), ("cmd:x=1.0-r0",), ())


def test_a_foreign_file_that_needs_nothing_is_no_warning(scan: Scan) -> None:
    assert scan({"usr/lib/firmware/x": elf(machine=247, type_=1)}, arch="x86_64").warnings == ()


@pytest.mark.parametrize("needed", ["/opt/lib/libx.so.1", "$ORIGIN/../lib/libx.so.1", "${ORIGIN}/libx.so.1"])
def test_a_library_needed_by_its_path(scan: Scan, needed: str) -> None:
    files: dict[str, Content] = {"opt/bin/x": elf(needed=[needed]), "opt/bin/libx.so.1": Link("../lib/libx.so.1")}
    library: dict[str, Content] = {"opt/lib/libx.so.1": elf(soname="libx.so.1")}
    own = scan({**files, **library})
    assert (own.depends, own.warnings) == ((), ())
    sibling = scan(files, relatives={"hello-libs": library})
    assert (sibling.depends, sibling.warnings) == (("hello-libs=1.0-r0",), ())
    nowhere = scan(files)
    assert nowhere.depends == ()
    assert nowhere.warnings == (
        f"opt/bin/x: needs the library {needed} by its path, which no package of the build has",
    )


def test_a_library_needed_by_a_relative_path_is_a_warning(scan: Scan) -> None:
    found = scan({"usr/lib/libx.so.1": elf(soname="libx.so.1"), "usr/bin/x": elf(needed=["../lib/libx.so.1"])})
    assert found.depends == ()
    assert "needs the library ../lib/libx.so.1 by its path" in found.warnings[0]


@pytest.mark.parametrize(
    ("settings", "is_openssl"),
    [
        ({"CGO_ENABLED": "1", "GOEXPERIMENT": "boringcrypto"}, True),
        ({"CGO_ENABLED": "1", "GOEXPERIMENT": "systemcrypto"}, True),
        ({"CGO_ENABLED": "1", "GOEXPERIMENT": "opensslcrypto"}, True),
        ({"CGO_ENABLED": "1", "microsoft_systemcrypto": "1"}, True),
        ({"CGO_ENABLED": "0", "GOEXPERIMENT": "boringcrypto"}, False),
        ({"CGO_ENABLED": "1", "GOEXPERIMENT": "boringcrypto,arenas"}, False),
        ({"CGO_ENABLED": "1"}, False),
    ],
)
def test_go_with_system_cryptography(scan: Scan, settings: dict[str, str], *, is_openssl: bool) -> None:
    found = scan({"opt/hello": File(elf(go=settings))})
    assert found.depends == (("openssl-config-fipshardened", "so:libcrypto.so.3") if is_openssl else ())
