"""Splits move what they name, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import look
from tests.factories.tree import Content, Directory, File, Link, program

if TYPE_CHECKING:
    from tests.factories.bench import Bench

MOVES = [
    "split/bin",
    "split/dev",
    "split/lib",
    "split/static",
    "split/manpages",
    "split/infodir",
    "split/locales",
    "split/alldocs",
    "split/debug",
]


@pytest.mark.parametrize("pipeline", MOVES)
def test_a_package_is_not_split_from_itself(bench: Bench, pipeline: str) -> None:
    bench.add({"usr/bin/hello": "x"}, "hello")
    result = bench.use(pipeline)
    assert result.status == 1
    name = "split/infodir" if pipeline == "split/alldocs" else pipeline
    assert result.lines == [f"{name}: a package cannot be split from itself; use it in a subpackage"]
    assert look(bench.out()) == {"usr/bin/hello": "x"}


@pytest.mark.parametrize("pipeline", [name for name in MOVES if name != "split/bin"])
@pytest.mark.parametrize("package", ["", "gone"])
def test_where_there_is_nothing_nothing_happens(bench: Bench, pipeline: str, package: str) -> None:
    bench.add({"var/empty": Directory(), "usr/share/kept": Directory()}, "hello")
    result = bench.use(pipeline, {"package": package}, within="hello-part")
    assert (result.status, result.lines) == (0, [])
    assert look(bench.out()) == {"var/empty": "empty", "usr/share/kept": "empty"}
    assert look(bench.out("hello-part")) == {}


def test_manual_pages_come_together(bench: Bench) -> None:
    bench.add(
        {
            "usr/share/man/man1/a b.1": "one",
            "usr/share/man/man1/.hidden": "dot",
            "usr/share/man/man1/link.1": Link("a b.1"),
            "usr/share/man/man1/twin.1": Link("../gone"),
            "usr/local/share/man/man1/local.1": "local",
            "usr/local/share/man/de": Directory(0o700),
            "usr/man/man8/old.8": File("old", 0o600),
            "usr/bin/hello": "x",
        },
        "hello",
    )
    bench.add({"usr/share/man/man1/mine.1": "mine"}, "hello-doc")
    assert bench.use("split/manpages", within="hello-doc").status == 0
    assert look(bench.out("hello-doc")) == {
        "usr/share/man/man1/a b.1": "one",
        "usr/share/man/man1/.hidden": "dot",
        "usr/share/man/man1/link.1": "-> a b.1",
        "usr/share/man/man1/twin.1": "-> ../gone",
        "usr/share/man/man1/local.1": "local",
        "usr/share/man/man1/mine.1": "mine",
        "usr/share/man/man8/old.8": "0600 old",
        "usr/share/man/de": "0700",
    }
    assert look(bench.out()) == {"usr/bin/hello": "x"}


def test_a_linked_directory_of_manual_pages_is_left(bench: Bench) -> None:
    bench.add({"usr/share/man/man1/a.1": "one", "usr/man": Link("share/man")}, "hello")
    assert bench.use("split/manpages", within="hello-doc").status == 0
    assert look(bench.out("hello-doc")) == {"usr/share/man/man1/a.1": "one"}
    assert look(bench.out()) == {"usr/man": "-> share/man"}


def test_hard_links_stay_together(bench: Bench) -> None:
    bench.add({"usr/share/man/man1/a.1": "one", "usr/share/man/man1/c.1": "three"}, "hello")
    bench.add({"usr/share/man/man1/own.1": "own"}, "hello-doc")
    first = bench.out() / "usr/share/man/man1/a.1"
    (bench.out() / "usr/share/man/man3").mkdir()
    (bench.out() / "usr/share/man/man3/b.3").hardlink_to(first)
    assert bench.use("split/manpages", within="hello-doc").status == 0
    moved = bench.out("hello-doc") / "usr/share/man"
    assert (moved / "man1/a.1").samefile(moved / "man3/b.3")
    assert (moved / "man1/a.1").stat().st_nlink == 2


def test_a_file_replaces_a_file_but_no_directory(bench: Bench) -> None:
    bench.add({"usr/share/locale/de/a.mo": "new"}, "hello")
    bench.add({"usr/share/locale/de/a.mo": "old"}, "hello-lang")
    assert bench.use("split/locales", within="hello-lang").status == 0
    assert look(bench.out("hello-lang")) == {"usr/share/locale/de/a.mo": "new"}

    bench.add({"usr/share/locale/de/b": "file"}, "hello")
    bench.add({"usr/share/locale/de/b/c.mo": "below"}, "hello-lang")
    result = bench.use("split/locales", within="hello-lang")
    assert (result.status, result.lines) == (
        1,
        ["split/locales: usr/share/locale/de/b is a directory in hello-lang already"],
    )
    assert look(bench.out()) == {"usr/share/locale/de/b": "file"}


def test_info_pages_without_their_directory(bench: Bench) -> None:
    bench.add({"usr/share/info/dir": "made", "usr/share/info/hello.info": "page", "usr/share/doc/x": "x"}, "hello")
    assert bench.use("split/infodir", within="hello-doc").status == 0
    assert look(bench.out("hello-doc")) == {"usr/share/info/hello.info": "page"}
    assert look(bench.out()) == {"usr/share/doc/x": "x"}


def test_all_documentation(bench: Bench) -> None:
    bench.add(
        {
            "usr/share/info/dir": "made",
            "usr/share/info/hello.info": "page",
            "usr/man/man1/hello.1": "manual",
            "usr/share/doc/hello/READ ME": "doc",
            "usr/local/share/doc/hello/more": "local",
            "usr/share/locale/de": Directory(),
        },
        "hello",
    )
    bench.add({"usr/share/doc/other": "other"}, "other")
    text = """
        subpackages:
        - name: other
          pipeline: [{uses: split/alldocs, with: {package: hello}}]
    """
    assert bench.run(text).status == 0
    assert look(bench.out("other")) == {
        "usr/share/info/hello.info": "page",
        "usr/share/man/man1/hello.1": "manual",
        "usr/share/doc/hello/READ ME": "doc",
        "usr/share/doc/hello/more": "local",
        "usr/share/doc/other": "other",
    }
    assert look(bench.out()) == {"usr/share/locale/de": "empty"}


def test_static_archives(bench: Bench) -> None:
    bench.add(
        {
            "usr/lib/libone.a": "one",
            "usr/lib/libtwo.a": Link("libone.a"),
            "usr/lib/dir.a/kept": "kept",
            "usr/lib/deep er/lib three.a": File("three", 0o600),
            "lib/libfour.a": "four",
            "opt/libfive.a": "five",
        },
        "hello",
    )
    assert bench.use("split/static", within="hello-static").status == 0
    assert look(bench.out("hello-static")) == {
        "usr/lib/libone.a": "one",
        "usr/lib/libtwo.a": "-> libone.a",
        "usr/lib/deep er/lib three.a": "0600 three",
        "lib/libfour.a": "four",
    }
    assert look(bench.out()) == {"usr/lib/dir.a/kept": "kept", "opt/libfive.a": "five"}


def test_translations_of_another_package(bench: Bench) -> None:
    bench.add({"usr/share/locale/de/LC_MESSAGES/a b.mo": "text"}, "hello-libs")
    bench.add({"usr/share/locale/fr/c.mo": "stays"}, "hello")
    assert bench.use("split/locales", {"package": "hello-libs"}, within="hello-lang").status == 0
    assert look(bench.out("hello-lang")) == {"usr/share/locale/de/LC_MESSAGES/a b.mo": "text"}
    assert look(bench.out("hello-libs")) == {}
    assert look(bench.out()) == {"usr/share/locale/fr/c.mo": "stays"}


def test_directories_go_once_the_split_has_emptied_them(bench: Bench) -> None:
    bench.add({"opt/deep/er/lib/pkgconfig/a.pc": "a", "usr/share/empty": Directory(), "usr/lib/a.a": "a"}, "hello")
    assert bench.use("split/static", within="hello-static").status == 0
    assert look(bench.out()) == {"opt/deep/er/lib/pkgconfig/a.pc": "a", "usr/share/empty": "empty"}
    assert bench.use("split/dev", {"prefix": "//opt/deep/er/"}, within="hello-dev").status == 0
    assert look(bench.out()) == {"usr/share/empty": "empty"}
    assert look(bench.out("hello-dev")) == {"opt/deep/er/lib/pkgconfig/a.pc": "a"}


def test_programs(bench: Bench) -> None:
    programs: dict[str, Content] = {"usr/bin/a b": program("x"), "usr/bin/.hidden": "dot", "usr/bin/link": Link("a b")}
    bench.add({**programs, "usr/bin/sub/c": "c", "usr/lib/l": "l"}, "hello")
    bench.add({"usr/bin/sub/d": "d"}, "hello-tools")
    assert bench.use("split/bin", within="hello-tools").status == 0
    assert look(bench.out("hello-tools")) == {
        "usr/bin/a b": "0755 x",
        "usr/bin/.hidden": "dot",
        "usr/bin/link": "-> a b",
        "usr/bin/sub/c": "c",
        "usr/bin/sub/d": "d",
    }
    assert look(bench.out()) == {"usr/lib/l": "l"}


PROGRAMS = {"hello": "main", "libhello": "sub", "libhello-bin-bin": "twice"}


@pytest.mark.parametrize(
    ("name", "given", "source"),
    [
        ("libhello-bin", "", "libhello"),
        ("libhello-bin", "hello", "hello"),
        ("libhello-bin-bin-bin", "", "libhello-bin-bin"),
        ("other-bin", "", "hello"),
        ("libhello-binary", "", "hello"),
    ],
)
def test_where_programs_come_from(bench: Bench, name: str, given: str, source: str) -> None:
    for package, text in PROGRAMS.items():
        bench.add({"usr/bin/program": text}, package)
    assert bench.use("split/bin", {"package": given}, within=name).status == 0
    assert look(bench.out(name)) == {"usr/bin/program": PROGRAMS[source]}
    assert look(bench.out(source)) == {}


@pytest.mark.parametrize("package", ["", "gone"])
def test_programs_must_be_there(bench: Bench, package: str) -> None:
    bench.add({"usr/lib/l": "l"}, "hello")
    result = bench.use("split/bin", {"package": package}, within="hello-tools")
    assert (result.status, result.lines) == (1, [f"split/bin: there is no directory usr/bin in {package or 'hello'}"])


LIBRARIES: dict[str, Content] = {
    "lib/libc.so.6": "c",
    "usr/lib/libssl.so.3": Link("libssl.so.3.1"),
    "usr/lib/libssl.so.3.1": program("ssl"),
    "usr/lib/libssl3.so.1": "ssl3",
    "usr/lib/libcrypto.so.3": "crypto",
    "usr/lib/lib odd+.so.1": "odd",
    "usr/lib/libssl.so": Link("libssl.so.3"),
    "usr/lib/plain.so.1": "plain",
    "usr/lib/dir.so.1/file": "dir",
    "usr/lib/sasl2/libssl.so.9": "sasl",
    "opt/a b/libssl.so.4": "opt",
}


def split_libraries(bench: Bench, **inputs: str) -> set[str]:
    bench.add(LIBRARIES, "hello")
    before = look(bench.out())
    assert bench.use("split/lib", inputs, within="hello-libs").status == 0
    moved = look(bench.out("hello-libs"))
    assert {**look(bench.out()), **moved} == before
    return set(moved)


def test_all_libraries(bench: Bench) -> None:
    assert split_libraries(bench) == {
        "lib/libc.so.6",
        "usr/lib/libssl.so.3",
        "usr/lib/libssl.so.3.1",
        "usr/lib/libssl3.so.1",
        "usr/lib/libcrypto.so.3",
        "usr/lib/lib odd+.so.1",
        "usr/lib/plain.so.1",
    }
    assert not (bench.out() / "lib").exists()


def test_libraries_by_name(bench: Bench) -> None:
    found = split_libraries(bench, patterns="  ssl\n\n*odd+ \n")
    assert found == {"usr/lib/libssl.so.3", "usr/lib/libssl.so.3.1", "usr/lib/lib odd+.so.1"}


def test_libraries_in_further_directories(bench: Bench) -> None:
    found = split_libraries(bench, patterns="ssl*", paths="  usr/lib/sasl2\n/opt/a b/\nnot/there\n")
    assert found == {
        "usr/lib/libssl.so.3",
        "usr/lib/libssl.so.3.1",
        "usr/lib/libssl3.so.1",
        "usr/lib/sasl2/libssl.so.9",
        "opt/a b/libssl.so.4",
    }
    assert not (bench.out() / "opt").exists()


def test_libraries_of_the_build_root_are_left_there(bench: Bench) -> None:
    bench.add(LIBRARIES, "hello")
    found = bench.use("split/lib", {"paths": "../../../usr/lib"}, within="hello-libs")
    assert found.status in {0, 1}
    assert not any(path.startswith("usr/lib/x86_64") or ".." in path for path in look(bench.out("hello-libs")))
