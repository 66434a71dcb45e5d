"""APKINDEX.tar.gz."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from melpy.apk.archive import write_flat
from melpy.apk.index import parse_index, read_entries, read_index, render_index, write_index
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.apk.signature import Keyring
from melpy.apk.stanza import find_identity, find_items, is_understood, parse_stanza, render_stanza
from melpy.errors import PackageFormatError, SignatureError
from melpy.repo.repository import load_index, merge_entries, sort_entries, write_repository_index
from tests.factories.clock import cpu_seconds

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.apk.signature import Signer

HELLO = IndexEntry(
    PackageInfo(
        name="hello",
        version="2.10-r0",
        arch="x86_64",
        installed_size=1234,
        origin="hello",
        description="the friendly greeter",
        url="https://example.org",
        commit="0" * 40,
        maintainer="melpy",
        build_date=1700000000,
        licenses=("GPL-3.0-or-later",),
        depends=("so:libc.so.6", "hello-data>=2"),
        provides=("cmd:hello=2.10-r0",),
        install_if=("greetings", "docs"),
        provider_priority="10",
    ),
    "Q1" + "A" * 27 + "=",
    999,
)


def entry(name: str, version: str = "1-r0") -> IndexEntry:
    return IndexEntry(PackageInfo(name, version, "x86_64"), "Q1" + "B" * 27 + "=", 1)


def test_text_in_apks_order() -> None:
    assert render_index([render_stanza(HELLO)]).splitlines() == [
        "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "P:hello",
        "V:2.10-r0",
        "A:x86_64",
        "S:999",
        "I:1234",
        "T:the friendly greeter",
        "U:https://example.org",
        "L:GPL-3.0-or-later",
        "o:hello",
        "m:melpy",
        "t:1700000000",
        f"c:{'0' * 40}",
        "k:10",
        "D:so:libc.so.6 hello-data>=2",
        "p:cmd:hello=2.10-r0",
        "i:greetings docs",
        "",
    ]


def test_round_trip(signer: Signer, keyring: Keyring) -> None:
    for data in (write_index([HELLO, entry("b")]), write_index([HELLO, entry("b")], signer=signer)):
        found = read_index(data, keyring=None, where="x")
        assert read_entries(found) == (HELLO, entry("b"))
    assert read_entries(read_index(data, keyring=keyring, where="x")) == (HELLO, entry("b"))


def test_an_empty_index(signer: Signer, keyring: Keyring) -> None:
    found = read_index(write_index([], signer=signer, description="none yet"), keyring=keyring, where="x")
    assert (found.stanzas, found.description) == ((), "none yet")


def test_the_same_entries_give_the_same_bytes(signer: Signer) -> None:
    assert write_index([HELLO], signer=signer) == write_index([HELLO], signer=signer)


def test_a_signed_index_is_one_tar_with_the_signature_first(signer: Signer) -> None:
    data = gzip.decompress(write_index([HELLO], signer=signer))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        assert tar.getnames() == [".SIGN.RSA256.local.rsa.pub", "APKINDEX", "DESCRIPTION"]
        assert {item.mtime for item in tar} == {0}


def test_a_line_break_in_a_description_starts_no_line() -> None:
    entry = IndexEntry(PackageInfo("a", "1", "x", description="one\nP:evil\u2028x"), "Q1", 1)
    text = render_index([render_stanza(entry)])
    assert "T:one P:evil x\n" in text
    assert read_entries(parse_index(text, where="x"))[0].info.name == "a"


def test_an_unsigned_index_is_not_trusted(keyring: Keyring) -> None:
    with pytest.raises(SignatureError) as caught:
        read_index(write_index([HELLO]), keyring=keyring, where="repo/APKINDEX.tar.gz")
    assert str(caught.value) == "repo/APKINDEX.tar.gz: is not signed"


def test_an_index_by_an_unknown_key_is_not_trusted(signer: Signer) -> None:
    with pytest.raises(SignatureError, match="which is not trusted"):
        read_index(write_index([HELLO], signer=signer), keyring=Keyring(()), where="x")


def test_a_tampered_index_is_refused(signer: Signer, keyring: Keyring) -> None:
    signed = write_index([HELLO], signer=signer)
    signature = signed[: len(signed) - len(write_index([HELLO]))]
    with pytest.raises(SignatureError, match="does not fit"):
        read_index(signature + write_index([entry("evil")]), keyring=keyring, where="x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is a broken index"),
        (b"<html>not found</html>", "is not an index: it is not gzip"),
        (gzip.compress(b"no tar" * 200, mtime=0), "is a broken index"),
        (write_flat([("OTHER", b"", 0o644)], mtime=0, end=True), "is not an index: it holds no APKINDEX"),
        (write_flat([("APKINDEX", b"\xff", 0o644)], mtime=0, end=True), "the index is not UTF-8"),
        (write_flat([("APKINDEX", b"nonsense\n", 0o644)], mtime=0, end=True), "malformed line 'nonsense'"),
        (write_flat([("APKINDEX", b"P:a\nV:1\n", 0o644)], mtime=0, end=True), "lacks or garbles 'C'"),
        (write_flat([("APKINDEX", b"C:Q1\nP:a\nV:1\nS:x\n", 0o644)], mtime=0, end=True), "lacks or garbles"),
        (write_index([HELLO])[:-10], "it ends too early"),
        (write_index([HELLO])[:5], "is a broken index"),
    ],
)
def test_what_is_no_index(data: bytes, message: str) -> None:
    with pytest.raises(PackageFormatError, match=message) as caught:
        read_entries(read_index(data, keyring=None, where="repo/APKINDEX.tar.gz"))
    assert caught.value.where == "repo/APKINDEX.tar.gz"


def test_unknown_lines_and_windows_newlines_are_fine() -> None:
    text = "C:Q1\r\nP:a\r\nV:1\r\nX:new\r\n\r\nC:Q2\r\nP:b\r\nV:2\r\n"
    found = read_entries(parse_index(text, where="x"))
    assert [entry.info.full_name for entry in found] == ["a-1", "b-2"]


def test_several_empty_lines_stand_for_one() -> None:
    assert len(parse_index("\n\nC:Q1\nP:a\nV:1\n\n\n\nC:Q1\nP:b\nV:1\n\n", where="x").stanzas) == 2


def test_what_identifies_a_package_stands_once() -> None:
    with pytest.raises(PackageFormatError, match="two lines P: 'b'"):
        read_entries(parse_index("C:Q1\nP:a\nP:b\nV:1\n", where="x"))


@pytest.mark.parametrize(
    ("stanza", "identity"),
    [
        ("C:Q1=\nP:a\nV:1\nA:x86_64\nD:b\n", ["Q1=", "a", "1", "x86_64"]),
        ("P:a\nA:noarch\nT:P:b\nV:1\nC:Q1=", ["Q1=", "a", "1", "noarch"]),
        ("P:a\nV:1", ["", "a", "1", ""]),
    ],
)
def test_a_package_is_identified_whatever_the_order_of_its_lines(stanza: str, identity: list[str]) -> None:
    assert list(find_identity(stanza)) == identity


@pytest.mark.parametrize(
    ("stanza", "items"),
    [
        ("P:a\np:one two=1\n", ["one", "two=1"]),
        ("p:one\nP:a\nT:p:no\np:two\np:three", ["one", "two", "three"]),
        ("P:a\nT:a map:\n", []),
    ],
)
def test_a_list_goes_on_where_it_is_repeated(stanza: str, items: list[str]) -> None:
    assert find_items(stanza, "p") == items


@pytest.mark.parametrize(
    ("stanza", "understood"),
    [
        ("P:a\nV:1\nD:b>1 !c\nz:x", True),
        ("P:a\nV:1\nX:new", False),
        ("P:a\nV:1\nD:b>>1", False),
        ("P:a\nV:1\n1:x", False),
        ("P:../a\nV:1", False),
        ("P:a\nV:../1", False),
        ("P:a\nV:1\nA:..", False),
    ],
)
def test_what_needs_a_newer_reader_is_told_apart(stanza: str, *, understood: bool) -> None:
    assert is_understood(stanza) is understood


def test_entries_are_sorted_by_name_and_version() -> None:
    mixed = [entry("b"), entry("a", "1.10-r0"), entry("a", "1.9-r0"), entry("a-b"), entry("B")]
    assert [found.info.full_name for found in sort_entries(mixed)] == [
        "B-1-r0",
        "a-1.9-r0",
        "a-1.10-r0",
        "a-b-1-r0",
        "b-1-r0",
    ]


def test_a_new_entry_takes_the_place_of_the_same_version() -> None:
    new = IndexEntry(entry("a").info, "Q1new", 2)
    assert merge_entries([entry("a"), entry("a", "0.9-r0")], [new, entry("b")]) == (
        entry("a", "0.9-r0"),
        new,
        entry("b"),
    )


def test_a_repository_keeps_its_index_sorted_and_signed(tmp_path: Path, signer: Signer, keyring: Keyring) -> None:
    path = write_repository_index(tmp_path, "x86_64", [entry("b"), entry("a")], signer=signer)
    assert path == tmp_path / "x86_64" / "APKINDEX.tar.gz"
    assert [found.info.name for found in read_entries(load_index(tmp_path, "x86_64", keyring=keyring))] == ["a", "b"]
    assert load_index(tmp_path, "aarch64", keyring=keyring).stanzas == ()


def test_lists_go_on_where_they_are_repeated() -> None:
    (found,) = read_entries(parse_index("C:Q1x\nP:a\nV:1\nD:b c\np:d\nD:e\np:f=1\n", where="x"))
    assert (found.info.depends, found.info.provides) == (("b", "c", "e"), ("d", "f=1"))


def test_a_list_that_is_repeated_costs_no_more_than_its_length() -> None:
    start = cpu_seconds()
    stanza = "C:Q1x\nP:a\nV:1\n" + "D:b\n" * 300_000
    assert len(parse_stanza(stanza.rstrip("\n"), where="x").info.depends) == 300_000
    assert cpu_seconds() - start < 5
