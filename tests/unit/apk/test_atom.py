"""Requirements and provides."""

from __future__ import annotations

import pytest

from melpy.apk.atom import Atom, parse_atom, parse_provide
from melpy.errors import PackageFormatError


@pytest.mark.parametrize(
    ("text", "atom"),
    [
        ("hello", Atom("hello")),
        (" hello ", Atom("hello")),
        ("hello=1.2-r0", Atom("hello", "=", "1.2-r0")),
        ("hello==1.2", Atom("hello", "=", "1.2")),
        ("hello>=1.2", Atom("hello", ">=", "1.2")),
        ("hello<2", Atom("hello", "<", "2")),
        ("hello~1.2", Atom("hello", "~", "1.2")),
        ("hello=~1.2", Atom("hello", "~", "1.2")),
        ("hello~=1.2", Atom("hello", "~", "1.2")),
        ("hello>~1.2", Atom("hello", ">~", "1.2")),
        ("hello><Q1abc=", Atom("hello", "><", "Q1abc=")),
        ("!hello", Atom("hello", conflict=True)),
        ("!hello<2", Atom("hello", "<", "2", conflict=True)),
        ("hello@edge", Atom("hello", tag="edge")),
        ("hello>1@local-repo", Atom("hello", ">", "1", tag="local-repo")),
        ("so:libc.so.6", Atom("so:libc.so.6")),
        ("so:libstdc++.so.6=6.0.33", Atom("so:libstdc++.so.6", "=", "6.0.33")),
        ("cmd:[", Atom("cmd:[")),
        ("pc:gtk+-3.0>=3.24", Atom("pc:gtk+-3.0", ">=", "3.24")),
        ("so-ver:libz.so.1>=1.3.1-r0", Atom("so-ver:libz.so.1", ">=", "1.3.1-r0")),
    ],
)
def test_parsing(text: str, atom: Atom) -> None:
    assert parse_atom(text) == atom


@pytest.mark.parametrize(
    "text",
    ["", " ", "!", "=1", "a b", "a=", "a>", "a=>1", "a<<1", "a~~1", "a=1 b", "a@", "a@b c", "!!a", "a@b@c", "@b"],
)
def test_what_is_no_requirement(text: str) -> None:
    with pytest.raises(PackageFormatError, match="invalid dependency") as caught:
        parse_atom(text)
    assert caught.value.hint == "a dependency looks like name, name=1.2-r0, name>=1.2, name~1.2 or !name"


def test_a_requirement_with_a_bad_version() -> None:
    with pytest.raises(PackageFormatError, match=r"invalid version 'v1' in dependency 'a>=v1'"):
        parse_atom("a>=v1")


@pytest.mark.parametrize(
    ("atom", "met", "unmet"),
    [
        ("a", ["1", ""], []),
        ("a=1.2", ["1.2"], ["1.2-r0", "1.2.0", "1.1", "", "1.3"]),
        ("a<1.2", ["1.1", "1.2_rc1", "0"], ["1.2", "1.2-r0", "2"]),
        ("a>1.2", ["1.2-r0", "1.3", "1.2.0"], ["1.2", "1.2_rc1", "1.1"]),
        ("a<=1.2", ["1.2", "1.1"], ["1.2-r0"]),
        ("a>=1.2", ["1.2", "1.2-r0", "2"], ["1.2_alpha", "1"]),
        ("a~1.2", ["1.2", "1.2-r0", "1.2.9"], ["1.20", "1", "1.3"]),
        ("a>~1.2", ["1.2", "1.2.5", "1.3"], ["1.1", "1"]),
        ("a<~1.2", ["1.2", "1.2.5", "1.1", "1"], ["1.3"]),
        ("a>=1", ["1"], ["nonsense"]),
    ],
)
def test_who_meets_it(atom: str, met: list[str], unmet: list[str]) -> None:
    requirement = parse_atom(atom)
    assert [version for version in met + unmet if requirement.is_met_by(version)] == met


@pytest.mark.parametrize(
    ("text", "provide"),
    [("cmd:hello=2.10-r0", ("cmd:hello", "2.10-r0")), ("greeter", ("greeter", "")), (" so:x=1 ", ("so:x", "1"))],
)
def test_provides(text: str, provide: tuple[str, str]) -> None:
    assert parse_provide(text) == provide
