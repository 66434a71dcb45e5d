"""Autotools, CMake and Meson, with programs that write down how they were called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import look
from tests.factories.tree import Content, Link, program

if TYPE_CHECKING:
    from tests.factories.bench import Bench

OUT = "/home/build/melange-out/hello"
CONFIGURE = "#!/bin/sh\nprintf '%s\\n' \"$@\" > seen\n"
TRIPLET = "x86_64-pc-linux-gnu"
DIRECTORIES = (
    "--prefix=/usr --sysconfdir=/etc --libdir=/usr/lib --mandir=/usr/share/man --infodir=/usr/share/info "
    "--localstatedir=/var"
).split()


def test_configure(bench: Bench) -> None:
    bench.tool("autoreconf")
    bench.add({"configure": program(CONFIGURE), "configure.ac": ""})
    assert bench.use("autoconf/configure").status == 0
    seen = (bench.workspace / "seen").read_text().splitlines()
    assert seen == [f"--host={TRIPLET}", f"--build={TRIPLET}", *DIRECTORIES]
    assert bench.calls == []


def test_all_inputs_of_configure(bench: Bench) -> None:
    bench.add({"a b/configure": program(CONFIGURE)})
    options = "--prefix=/opt \\\n--with-x='a b' CFLAGS=\"$FLAGS\" # why\n"
    bench.variables = {"FLAGS": "-O2 -g"}
    inputs = {"dir": "a b", "host": "one", "build": "two", "opts": options}
    assert bench.use("autoconf/configure", inputs).status == 0
    seen = (bench.workspace / "a b/seen").read_text().splitlines()
    assert seen == ["--host=one", "--build=two", *DIRECTORIES, "--prefix=/opt", "--with-x=a b", "CFLAGS=-O2 -g"]


def test_configure_is_made_where_it_is_not(bench: Bench) -> None:
    bench.tool("autoreconf", "cp made configure")
    bench.add({"configure.ac": "", "made": program(CONFIGURE)})
    assert bench.use("autoconf/configure").status == 0
    assert bench.argvs == [("autoreconf", "-vfi")]
    assert "--prefix=/usr" in (bench.workspace / "seen").read_text()


def test_there_is_nothing_to_configure(bench: Bench) -> None:
    bench.tool("autoreconf")
    assert bench.use("autoconf/configure").status != 0
    assert bench.calls == []


def test_make(bench: Bench) -> None:
    bench.tool("make")
    assert bench.use("autoconf/make").status == 0
    inputs = {"dir": "a b", "opts": "CC='cc -g' V=0", "targets": "one two"}
    assert bench.use("autoconf/make", inputs).status == 0
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    assert bench.argvs == [
        ("make", "-C", ".", jobs, "V=1"),
        ("make", "-C", "a b", jobs, "V=1", "CC=cc -g", "V=0", "one", "two"),
    ]


def test_make_install(bench: Bench) -> None:
    bench.tool("make")
    kept: dict[str, Content] = {"usr/lib/a.lax": "kept", "usr/lib/a b.so": "kept"}
    gone: dict[str, Content] = {"usr/lib/a b.la": "", "lib/link.la": Link("x")}
    bench.add({**kept, **gone}, "hello")
    bench.add(gone, "other")
    assert bench.use("autoconf/make-install").status == 0
    inputs = {"dir": "a b", "opts": "PREFIX='/o p' # why\n", "targets": "one two"}
    assert bench.use("autoconf/make-install", inputs).status == 0
    assert bench.argvs == [
        ("make", "-C", ".", "install", f"DESTDIR={OUT}", "V=1"),
        ("make", "-C", "a b", "one", "two", f"DESTDIR={OUT}", "V=1", "PREFIX=/o p"),
    ]
    assert look(bench.out()) == {**kept, "lib": "empty"}
    assert set(look(bench.out("other"))) == set(gone)


def test_cmake(bench: Bench) -> None:
    bench.tool("cmake")
    options = (
        *("-G", "Ninja", "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_INSTALL_LIBDIR=lib"),
        *("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_VERBOSE_MAKEFILE=ON"),
    )
    for given, directory in ((), "output"), ((("output-dir", "a b"),), "a b"):
        inputs = dict(given)
        assert bench.use("cmake/configure", {**inputs, "opts": "-DA='b c' \\\n-DD=e \\\n"}).status == 0
        assert bench.use("cmake/build", {**inputs, "opts": "--target 'a test'"}).status == 0
        assert bench.use("cmake/install", inputs).status == 0
        assert bench.argvs[-3:] == [
            ("cmake", "-B", directory, *options, "-DA=b c", "-DD=e"),
            ("cmake", "--build", directory, "--target", "a test"),
            ("cmake", "--install", directory),
        ]
    assert bench.calls[1].environment["VERBOSE"] == "1"
    assert bench.calls[2].environment["DESTDIR"] == OUT


def test_meson(bench: Bench) -> None:
    bench.tool("meson")
    jobs = str(len(os.sched_getaffinity(0)))
    for given, directory in ((), "output"), ((("output-dir", "a b"),), "a b"):
        inputs = dict(given)
        assert bench.use("meson/configure", {**inputs, "opts": "-Da='b c' \\\n-Dd=e \\\n"}).status == 0
        assert bench.use("meson/compile", inputs).status == 0
        assert bench.use("meson/install", inputs).status == 0
        assert bench.argvs[-3:] == [
            (
                *("meson", "setup", ".", directory, "--prefix=/usr", "--wrap-mode=nodownload"),
                *("--libdir=lib", "-Da=b c", "-Dd=e"),
            ),
            ("meson", "compile", "-j", jobs, "-C", directory),
            ("meson", "install", "-C", directory),
        ]
    assert bench.calls[2].environment["DESTDIR"] == OUT


@pytest.mark.parametrize("option", ["-Dlibdir=lib64", "--libdir=lib64", "--libdir lib64"])
def test_meson_is_told_one_directory_of_libraries(bench: Bench, option: str) -> None:
    bench.tool("meson")
    assert bench.use("meson/configure", {"opts": option}).status == 0
    assert bench.argvs[0][6:] == tuple(option.split())


@pytest.mark.parametrize(
    ("pipeline", "tool"),
    [(f"cmake/{name}", "cmake") for name in ("configure", "build", "install")]
    + [(f"meson/{name}", "meson") for name in ("configure", "compile", "install")]
    + [("autoconf/make", "make"), ("autoconf/make-install", "make")],
)
def test_what_fails_fails_the_step(bench: Bench, pipeline: str, tool: str) -> None:
    bench.tool(tool, "exit 9")
    bench.add({"usr/lib/a.la": ""}, "hello")
    assert bench.use(pipeline).status == 9
    assert look(bench.out()) == {"usr/lib/a.la": ""}
