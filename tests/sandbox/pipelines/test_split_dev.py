"""What split/dev takes for development files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import look
from tests.factories.tree import Content, Directory, Link, program

if TYPE_CHECKING:
    from tests.factories.bench import Bench

MOVED: dict[str, Content] = {
    "include/hello.h": "header",
    "include/sub/.hidden": "hidden",
    "include/lib": Link("../lib"),
    "lib/pkgconfig/a.pc": "a",
    "share/pkgconfig/b.pc": "b",
    "share/aclocal/a.m4": "a",
    "share/gettext/a": "a",
    "bin/hello-config": program("x"),
    "bin/hello_config": Link("hello-config"),
    "share/vala/vapi/a.vapi": "a",
    "share/gir-1.0/a.gir": "a",
    "share/qt5/mkspecs/a": "a",
    "lib/qt6/mkspecs/a": "a",
    "lib/cmake/hello/a b.cmake": "a",
    "share/cmake/a": "a",
    "lib/glade/modules/a": "a",
    "share/glade/catalogs/a": "a",
    "lib/perl5/CORE/include/inner": "inner",
    "lib/deep er/lib a.a": "a",
    "lib/linked.a": Link("deep er/lib a.a"),
    "lib/crt1.o": "o",
    "share/hello/source.c": "c",
    "share/hello/plain.h": "h",
    "lib/a.prl": "prl",
    "lib/libhello.so": Link("libhello.so.1"),
}
LEFT: dict[str, Content] = {
    "lib/libhello.so.1": Link("libhello.so.1.2"),
    "lib/libhello.so.1.2": program("library"),
    "lib/plugin.so": program("no link"),
    "lib/deep er/link.so": Link("../libhello.so.1"),
    "lib/objects.o/kept": "kept",
    "bin/hello": program("x"),
    "bin/config": program("x"),
    "share/gir-x/a": "a",
    "share/empty": Directory(),
    "share/doc/includes/a.cc": "a",
}


def under(prefix: str, files: dict[str, Content]) -> dict[str, Content]:
    return {f"{prefix}{name}": content for name, content in files.items()}


@pytest.mark.parametrize(
    ("prefix", "given"), [("usr/", ""), ("usr/", "usr"), ("opt/hello/", "/opt/hello"), ("usr/alt/", "//usr/alt/")]
)
def test_development_files_below_the_prefix(bench: Bench, prefix: str, given: str) -> None:
    bench.add(under(prefix, {**MOVED, **LEFT}), "hello")
    whole = look(bench.out())
    assert bench.use("split/dev", {"prefix": given} if given else {}, within="hello-dev").status == 0
    moved, left = look(bench.out("hello-dev")), look(bench.out())
    assert set(moved) == set(under(prefix, MOVED))
    assert set(left) == set(under(prefix, LEFT))
    assert {**moved, **left} == whole


OUTSIDE: dict[str, Content] = {
    "lib/libx.so": Link("libx.so.1"),
    "lib/libx.a": "a",
    "lib/x.h": "h",
    "lib/sub/include/x": "x",
    "opt/include/x": "x",
    "opt/x.h": "h",
    "opt/lib/liby.so": Link("liby.so.1"),
}


@pytest.mark.parametrize(
    ("prefix", "moved"),
    [
        ("/usr", {"lib/libx.so", "lib/libx.a", "lib/x.h", "lib/sub/include/x", "opt/include/x"}),
        ("/usr/alt", {"lib/libx.a", "lib/x.h", "lib/sub/include/x", "opt/include/x"}),
        ("/opt", {"lib/sub/include/x", "opt/include/x", "opt/x.h", "opt/lib/liby.so"}),
        ("/opt/usr", {"lib/sub/include/x", "opt/include/x", "opt/lib/liby.so"}),
        ("/usrx", {"lib/sub/include/x", "opt/include/x"}),
        ("/", {"lib/libx.so", "lib/libx.a", "lib/x.h", "lib/sub/include/x", "opt/include/x", "opt/x.h"}),
    ],
)
def test_development_files_outside_of_the_prefix(bench: Bench, prefix: str, moved: set[str]) -> None:
    bench.add(OUTSIDE, "hello")
    assert bench.use("split/dev", {"prefix": prefix}, within="hello-dev").status == 0
    assert set(look(bench.out("hello-dev"))) == moved
    assert set(look(bench.out())) == set(OUTSIDE) - moved


def test_an_include_directory_that_is_a_link_moves_as_one(bench: Bench) -> None:
    bench.add({"usr/include": Link("../opt/headers"), "opt/headers/a": "a", "opt/kept": "kept"}, "hello")
    assert bench.use("split/dev", within="hello-dev").status == 0
    assert look(bench.out("hello-dev")) == {"usr/include": "-> ../opt/headers"}
    assert look(bench.out()) == {"opt/headers/a": "a", "opt/kept": "kept"}


def test_headers_join_those_that_are_there(bench: Bench) -> None:
    bench.add({"usr/include/hello/a.h": "a", "usr/include/hello/b.h": "new"}, "hello-libs")
    bench.add({"usr/include/hello/b.h": "old", "usr/include/hello/c.h": "c"}, "hello-dev")
    assert bench.use("split/dev", {"package": "hello-libs"}, within="hello-dev").status == 0
    assert look(bench.out("hello-dev")) == {
        "usr/include/hello/a.h": "a",
        "usr/include/hello/b.h": "new",
        "usr/include/hello/c.h": "c",
    }
    assert look(bench.out("hello-libs")) == {}
