"""Why a package is part of a solution."""

from __future__ import annotations

from melpy.solve.explanation import explain_package
from melpy.solve.resolver import solve
from melpy.solve.universe import make_universe
from tests.factories.repository import make_index
from tests.unit.solve.test_resolver import entry

PACKAGES = [
    entry("curl=8.1-r0", depends="so:libcurl.so.4 zlib"),
    entry("libcurl=8.1-r0", provides="so:libcurl.so.4=4.8", depends="zlib musl>1"),
    entry("zlib=1.3-r2", depends="musl"),
    entry("musl=1.2-r0"),
    entry("curl-doc=8.1-r0", install_if="curl zlib", depends="man"),
    entry("man=2-r0"),
]


def explain(name: str) -> list[str]:
    solution = solve(["curl"], make_universe([("r", "", make_index(PACKAGES))]))
    return [str(reason) for reason in explain_package(name, ["curl"], solution)]


def test_chains_are_short_and_name_what_is_asked_for() -> None:
    assert explain("curl") == ["the request needs curl"]
    assert explain("libcurl") == [
        "the request needs curl",
        "curl-8.1-r0 needs so:libcurl.so.4, which is libcurl-8.1-r0",
    ]
    assert explain("musl") == [
        "the request needs curl",
        "curl-8.1-r0 needs so:libcurl.so.4, which is libcurl-8.1-r0",
        "libcurl-8.1-r0 needs musl>1, which is musl-1.2-r0",
    ]


def test_what_comes_with_others() -> None:
    assert explain("man") == ["the presence of curl zlib needs curl-doc", "curl-doc-8.1-r0 needs man"]


def test_what_is_no_part_of_it() -> None:
    assert explain("nothing") == []
