from __future__ import annotations

import pytest

from melpy.bootstrap.suite import parse_relation, parse_stanza
from melpy.errors import SeedError
from tests.unit.bootstrap.packages import stanza, suite


def test_a_package_is_found_and_read() -> None:
    packages = suite(
        stanza("first"),
        stanza(
            "second",
            "2:1.3-4",
            source="origin (1.3-4)",
            pre_depends="libc6 (>= 2.38)",
            depends="a | b:any (>= 1), c [amd64]",
            description="second of two",
        ),
    )
    assert list(packages) == ["first", "second"]
    assert "third" not in packages
    deb = packages.load("second")
    assert (deb.version, deb.source, deb.description) == ("2:1.3-4", "origin", "second of two")
    assert deb.depends == (("libc6",), ("a", "b"), ("c",))


def test_providers_are_found_by_the_virtual_name() -> None:
    packages = suite(
        stanza("mawk", provides="awk"), stanza("gawk", provides="awk, gnu-awk (= 1)"), stanza("plain", depends="awk")
    )
    assert packages.find_providers("awk") == ("gawk", "mawk")
    assert packages.find_providers("gnu-awk") == ("gawk",)
    assert packages.find_providers("plain") == ()


def test_a_stanza_without_a_digest_is_an_error() -> None:
    with pytest.raises(SeedError, match="sha256"):
        parse_stanza(b"Package: x\nVersion: 1\nArchitecture: all\nFilename: x\nSize: 1")


def test_relations_lose_versions_and_qualifiers() -> None:
    assert parse_relation("python3:any (>= 3.13), foo (<< 2) | bar") == (("python3",), ("foo", "bar"))
    assert parse_relation("") == ()
