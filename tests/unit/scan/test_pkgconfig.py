from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melpy.scan.module import parse_module, parse_requires
from tests.factories.clock import cpu_seconds
from tests.factories.tree import Link

if TYPE_CHECKING:
    from tests.factories.tree import Content
    from tests.unit.scan.conftest import Scan

FOO = """\
prefix=/usr
api = 2.0
includedir=${prefix}/include   # where

Name: foo
Description: a library: with a colon = and more
Version: 3.1
Requires: glib-${api} >= 2.40, zlib
Requires.private: libbar>=1 \\
  libbaz != 2, libqux
Requires.internal: inner
Libs: -L${nowhere} -lfoo
"""


HEAD = "Name: x\nDescription: x\nVersion: 1\n"


def test_requires_of_a_module() -> None:
    assert parse_module(FOO) == ("glib-2.0", "zlib", "libbar", "libbaz", "libqux", "inner")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        (" , ,", ()),
        ("a b", ("a", "b")),
        ("a,b", ("a", "b")),
        ("a = 1, b < 2", ("a", "b")),
        ("a>=1.0 b<=2", ("a", "b")),
        ("gtk+-3.0 >= 3", ("gtk+-3.0",)),
    ],
)
def test_parse_requires(text: str, names: tuple[str, ...]) -> None:
    assert parse_requires(text) == names


@pytest.mark.parametrize("text", [">= 1", "a >=", "a >= 1 = "])
def test_parse_requires_that_is_malformed(text: str) -> None:
    with pytest.raises(ValueError, match="without a"):
        parse_requires(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Requires: ${extra} zlib\n", ("zlib",)),
        ("Requires.private: ${extra}\n", ()),
        ("Requires.internal: foo${extra}, bar >= 1${extra}\n", ("foo", "bar")),
        ("x=${extra}\nRequires: ${x} foo\n", ("foo",)),
        ("a=${a}\nRequires: ${a} foo\n", ("foo",)),
        ("a=foo\na=${a}bar\nRequires: ${a}\n", ("bar",)),
    ],
)
def test_an_undefined_variable_is_empty(text: str, names: tuple[str, ...]) -> None:
    assert parse_module(HEAD + text) == names


@given(st.text("ab${}:=#\\\n\t <>,R", max_size=200))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(parse_module(f"{HEAD}Requires: {text}"))


@pytest.mark.parametrize(
    "text",
    [
        "a=x" + "".join(f"\na{'b' * n}=${{a{'b' * (n - 1)}}}${{a{'b' * (n - 1)}}}" for n in range(1, 100)),
        "Requires: " + "${" * 60_000,
        "Requires: a" + " " * 120_000 + "b",
        "a" * 120_000,
        "a:" + "\\ " * 60_000,
        "Requires:" + "<" * 60_000,
        "a=" + "x" * 4000 + "\nRequires: " + "${a}" * 30_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    start = cpu_seconds()
    with contextlib.suppress(ValueError):
        parse_module(text)
    assert cpu_seconds() - start < 2


@pytest.mark.parametrize("directory", ["usr/lib", "usr/lib64", "usr/share", "usr/local/lib", "usr/local/share"])
def test_a_module_is_provided_with_the_version_of_the_package(scan: Scan, directory: str) -> None:
    found = scan({f"{directory}/pkgconfig/foo.pc": HEAD + "Requires: bar >= 2\n"})
    assert found.provides == ("pc:foo=1.0-r0",)
    assert found.depends == ("pc:bar",)


def test_a_module_elsewhere_is_vendored(scan: Scan) -> None:
    found = scan({"opt/lib/pkgconfig/foo.pc": HEAD + "Requires: bar\n"})
    assert (found.provides, found.depends, found.vendored) == ((), (), ("pc:foo=1.0-r0",))


def test_modules_of_one_package_do_not_need_each_other(scan: Scan) -> None:
    found = scan({"usr/lib/pkgconfig/foo.pc": HEAD + "Requires: bar\n", "usr/lib/pkgconfig/bar.pc": HEAD})
    assert found.depends == ()


def test_a_module_that_names_files_of_the_build_is_a_warning(scan: Scan) -> None:
    found = scan({"usr/lib/pkgconfig/foo.pc": HEAD + "Libs: -L/home/build/melange-out/foo/usr/lib -lfoo\n"})
    assert found.provides == ("pc:foo=1.0-r0",)
    assert found.warnings == (
        "usr/lib/pkgconfig/foo.pc: names files below /home/build, which are nowhere but in the build",
    )


@pytest.mark.parametrize("target", ["bar", "foo.pc", "/usr/share/doc", "../../../opt/none.pc"])
def test_a_link_that_leads_to_no_file_of_the_package_is_not_a_module(scan: Scan, target: str) -> None:
    found = scan({"usr/lib/pkgconfig/foo.pc": Link(target), "usr/share/doc/x": ""})
    assert (found.provides, found.warnings) == ((), ())


def test_a_link_to_a_module_is_provided_too(scan: Scan) -> None:
    files: dict[str, Content] = {"usr/lib/pkgconfig/tinfow.pc": HEAD, "usr/lib/pkgconfig/tinfo.pc": Link("tinfow.pc")}
    users: dict[str, Content] = {"usr/lib/pkgconfig/readline.pc": HEAD + "Requires.private: tinfo\n"}
    found = scan({**files, **users})
    # With a version: apk selects no package for a name that it provides without one, and nobody names ncurses-dev.
    assert found.provides == ("pc:readline=1.0-r0", "pc:tinfo=1.0-r0", "pc:tinfow=1.0-r0")
    assert found.depends == ()


def test_a_link_makes_a_module_elsewhere_one_that_is_offered(scan: Scan) -> None:
    files: dict[str, Content] = {
        "opt/foo.pc": HEAD + "Requires: zlib\n",
        "usr/share/pkgconfig/foo-1.pc": Link("/opt/foo.pc"),
    }
    found = scan(files)
    assert (found.provides, found.depends) == (("pc:foo-1=1.0-r0",), ("pc:zlib",))
    assert found.vendored == ("pc:foo=1.0-r0",)


def test_a_link_elsewhere_is_not_a_module(scan: Scan) -> None:
    found = scan({"usr/lib/pkgconfig/foo.pc": HEAD, "opt/bar.pc": Link("/usr/lib/pkgconfig/foo.pc")})
    assert (found.provides, found.vendored) == (("pc:foo=1.0-r0",), ())


def test_a_malformed_module_is_a_warning(scan: Scan) -> None:
    found = scan({"usr/lib/pkgconfig/foo.pc": HEAD + "Requires: bar >=\n"})
    assert found.provides == ()
    assert found.warnings == (
        "usr/lib/pkgconfig/foo.pc: malformed pkg-config file: 'bar' without a version after '>=' in 'bar >='",
    )


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("broken\n", "Name and no Description and no Version"),
        ("", "Name and no Description and no Version"),
        ("<html>\n<body>404</body>\n</html>\n", "Name and no Description and no Version"),
        ("Name=x\nDescription=x\nVersion=1\n", "Name and no Description and no Version"),
        ("\ufeffName: x\nDescription: x\nVersion: 1\n", "Name"),
        ("Name: x\nVersion: 1\n", "Description"),
        ("Name: x\nDescription: x\n# Version: 1\n", "Version"),
    ],
)
def test_what_pkgconf_rejects_is_no_module(scan: Scan, text: str, missing: str) -> None:
    for directory in ("usr/lib/pkgconfig", "opt"):
        found = scan({f"{directory}/foo.pc": text})
        assert (found.provides, found.depends, found.vendored) == ((), (), ())
        assert found.warnings == (f"{directory}/foo.pc: malformed pkg-config file: there is no {missing}",)


@pytest.mark.parametrize(
    "text",
    [
        "Name:\nDescription:\nVersion:\nRequires: y\n",
        "name: x\nDESCRIPTION: x\nversion: ${nothing}\nrequires: y",
        "  Name : x\r\n\tDescription\t: x\r\nVersion:1\r\nRequires: y >= 2\r\n",
        "v=1\nName: x\nDescription: x \\\n  y\nVersion: ${v}.${pc_top_builddir}\nthis is no field\nRequires: y # z\n",
        "prefix=${pcfiledir}/../..\nName: x\nDescription: x\nVersion: 1 2\nRequires: y\n",
    ],
)
def test_what_pkgconf_accepts_is_a_module(text: str) -> None:
    assert parse_module(text) == ("y",)
