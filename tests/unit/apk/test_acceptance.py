"""What apk takes as it is meant. The limits were found with apk 3.0.6, one byte to either side."""

from __future__ import annotations

import pytest

from melpy.apk.acceptance import (
    find_info_doubts,
    find_info_problems,
    find_line_problem,
    find_owner_problem,
    find_path_problem,
    find_script_problem,
    find_target_problem,
    find_trigger_problem,
    is_writable,
)
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.codec import replace

INFO = PackageInfo("hello", "1.0-r0", "x86_64")


@pytest.mark.parametrize("path", ["usr/a b", "usr/ü", "usr/\udcff", "usr/.x", "d/" * 2042 + "f", "usr/uvol/a"])
def test_paths_that_apk_installs(path: str) -> None:
    assert find_path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("usr/a\nb", "control character"),
        ("usr/a\x1b[31m", "control character"),
        ("usr/\x7f", "control character"),
        ("d/" * 2043, "more than 4085 bytes"),
        ("ü" * 2043, "more than 4085 bytes"),
        ("uvol", "volume"),
        ("uvol/a", "volume"),
    ],
)
def test_paths_that_apk_refuses(path: str, problem: str) -> None:
    assert problem in (find_path_problem(path) or "")


def test_targets_of_links() -> None:
    assert find_target_problem("x" * 4085) is None
    assert "4085" in (find_target_problem("x" * 4086) or "")


@pytest.mark.parametrize("ids", [(0, 0), (65534, 65534), (2097151, 2097151)])
def test_owners_that_apk_reads(ids: tuple[int, int]) -> None:
    assert find_owner_problem(*ids, "u" * 32, "") is None


@pytest.mark.parametrize(
    "owner", [(2097152, 0, "", ""), (0, 2097152, "", ""), (1, 1, "u" * 33, ""), (1, 1, "", "ü"), (-1, 0, "", "")]
)
def test_owners_that_apk_takes_for_others(owner: tuple[int, int, str, str]) -> None:
    assert find_owner_problem(*owner)


@pytest.mark.parametrize("script", ["#!/bin/sh", "#!/bin/sh\n", "#! /bin/sh -e\ntrue\n", "#!/usr/bin/env lua\nx\r\n"])
def test_scripts_that_run(script: str) -> None:
    assert find_script_problem(script) is None


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("", "does not begin with #!"),
        ("echo\n", "does not begin with #!"),
        ("\n#!/bin/sh\n", "does not begin with #!"),
        ("\ufeff#!/bin/sh\n", "does not begin with #!"),
        ("#!\n", "does not begin with #!"),
        ("#! \t\n", "does not begin with #!"),
        ("#!/usr/bin/env sh -e\n", "multiple arguments without -S"),
        ("#!/usr/bin/env\n", "without a program"),
        ("#!sh\n", "'sh' without a path"),
        ("#!/bin/sh\r\n", "carriage return"),
        ("#!/bin/sh\r", "carriage return"),
        ("#!/bin/sh " + "x" * 246 + "\n", "does not read whole"),
        ("#!/bin/sh\0\n", "does not read whole"),
        ("#!/bin/sh\n" + "#" * 262135, "passes over scripts of more than 262144"),
    ],
)
def test_scripts_that_do_not(script: str, problem: str) -> None:
    assert problem in (find_script_problem(script) or "")


@pytest.mark.parametrize("path", ["/", "/usr/share/fonts", "/usr/share/*", "+/etc/[a-c]?", "/usr/…", "/.x"])
def test_trigger_paths_that_apk_watches(path: str) -> None:
    assert find_trigger_problem(path) is None


@pytest.mark.parametrize(
    "path", ["", "/a b", "/a\tb", "/a\n/b", "usr", "./usr", "+usr", "+", "++/usr", "/usr/", "//usr", "/a//b", "/a/./b"]
)
def test_trigger_paths_that_it_does_not(path: str) -> None:
    assert find_trigger_problem(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"depends": ("a", "a>=1.0-r0", "!b", "so:libc.so.6", "cmd:[", "x" * 255)},
        {"provides": ("a=1", "b", "cmd:a=1.0-r0", "hello-flavour=sweet", "/bin/sh")},
        {"replaces": ("a<2", "b")},
        {"provider_priority": "65535", "replaces_priority": "0"},
        {"version": "1.0~abc-r0"},
    ],
)
def test_info_that_apk_reads(changes: dict[str, object]) -> None:
    assert [*find_info_problems(replace(INFO, **changes), has_scripts=True)] == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"depends": ("a >= 1",)}, "it depends on 'a >= 1', which apk cannot read"),
        ({"depends": ("a b",)}, "it depends on 'a b', which apk cannot read"),
        ({"depends": ("a@edge",)}, "it depends on 'a@edge', which apk cannot read"),
        ({"depends": ("a\nprovides = b",)}, "it depends on 'a\\nprovides = b', which apk cannot read"),
        ({"depends": ("",)}, "it depends on '', which apk cannot read"),
        ({"provides": ("a =1",)}, "it provides 'a =1', which apk cannot read"),
        ({"provides": ("a=1 b",)}, "it provides 'a=1 b', which apk cannot read"),
        ({"replaces": ("a b",)}, "it replaces 'a b', which apk cannot read"),
        ({"replaces": tuple(f"package-{n:03}" for n in range(400))}, "it replaces more packages than apk"),
        ({"name": "a=b"}, "apk does not take the name 'a=b'"),
        ({"name": "a/b"}, "apk does not take the name 'a/b'"),
        ({"name": "!a"}, "apk does not take the name '!a'"),
        ({"version": "v1-r0"}, "apk does not install the version 'v1-r0'"),
        ({"provides": ("a=1", "a=2")}, "it has the name 'a' twice"),
        ({"provides": ("a=1", "a")}, "it has the name 'a' twice"),
        ({"provides": ("hello",)}, "it has the name 'hello' twice"),
        ({"provides": ("hello=1.0-r0",)}, "it has the name 'hello' twice"),
        ({"triggers": ("/a b",)}, "the trigger path '/a b' has a blank"),
        ({"name": "x" * 200}, "apk cannot keep the scripts of a package"),
    ],
)
def test_info_that_it_misreads(changes: dict[str, object], problem: str) -> None:
    (found,) = find_info_problems(replace(INFO, **changes), has_scripts=True)
    assert found.startswith(problem)


@pytest.mark.parametrize("value", ["-1", "65536", "9" * 5000])
def test_priorities_that_it_reads_otherwise(value: str) -> None:
    info = replace(INFO, provider_priority=value, replaces_priority="65535")
    assert [*find_info_doubts(info)] == [f"apk reads a provider priority from 0 to 65535, not {value!r}"]


def test_a_long_item_is_more_than_apk_can_keep() -> None:
    assert is_writable("cmd:" + "x" * 251)
    assert not is_writable("cmd:" + "x" * 252)
    info = replace(INFO, depends=("cmd:" + "x" * 252,))
    assert "longer than the 255 bytes" in next(find_info_problems(info, has_scripts=False))


@pytest.mark.parametrize(
    ("item", "is_dependency", "is_provide"),
    [
        ("cmd:a", True, True),
        ("cmd:a=1-r0", True, True),
        ("perl~5", True, False),
        ("cmd:a~=1-r0", True, False),
        ("cmd:a~1=1-r0", False, False),
        ("cmd:a>1", True, False),
        ("cmd:", False, False),
        ("cmd:=1", False, False),
        ("!a", True, False),
        ("cmd:a b", False, False),
        ("cmd:a@b", False, False),
    ],
)
def test_what_can_be_written(item: str, *, is_dependency: bool, is_provide: bool) -> None:
    assert is_writable(item) is is_dependency
    assert is_writable(item, provided=True) is is_provide
    if is_provide:
        info = replace(INFO, provides=(item,))
        assert [*find_info_problems(info, has_scripts=False)] == []


def test_an_index_line_that_apk_cannot_read() -> None:
    provides = tuple(f"linux:{n:09}" for n in range(8192))  # 16 bytes each with the blank after it
    assert find_line_problem(IndexEntry(_providing(provides[:8190]), "Q1", 1)) is None
    assert "line p: of its index entry" in str(find_line_problem(IndexEntry(_providing(provides), "Q1", 1)))


def _providing(provides: tuple[str, ...]) -> PackageInfo:
    return replace(INFO, provides=provides)
