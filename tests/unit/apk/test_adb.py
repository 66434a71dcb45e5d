"""Indexes of apk-tools 3."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from melpy.apk.index import read_entries, read_index
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.apk.signature import Keyring, Signer
from melpy.errors import PackageFormatError, SignatureError
from tests.factories.adb import AdbBlock, adb_file

if TYPE_CHECKING:
    from collections.abc import Sequence

IDENTITY = bytes(range(20))


def block(*, names: str = "", packages: int = 1) -> bytes:
    made = AdbBlock()
    depends = [
        made.dependency("a"),
        made.dependency("b", "1-r0"),
        made.dependency("c", "2", 5),
        made.dependency("d", "3", 9),
        made.dependency("e", "4", 2 | 16),
        made.dependency("f", "", 16),
    ]
    words = [
        made.text("hello"),
        made.text("2.10-r0"),
        made.text(IDENTITY),
        made.text("the friendly greeter " * 30),
        made.text("x86_64"),
        made.text("MIT"),
        made.text("hello"),
        made.text("me"),
        made.text("https://example.org"),
        made.text(bytes.fromhex("ab" * 20)),
        made.number(1_700_000_000),
        made.number(5_000_000_000),
        made.number(999),
        made.number(10),
        made.array(depends),
        made.array([made.dependency("cmd:hello", "2.10-r0")]),
        0,
        made.array([made.dependency("docs"), made.dependency("hello-data", "2")]),
    ]
    return made.finished(
        made.fields([made.text("mine"), made.array([made.fields(words)] * packages), made.text(names)])
    )


HELLO = IndexEntry(
    PackageInfo(
        name="hello",
        version="2.10-r0",
        arch="x86_64",
        installed_size=5_000_000_000,
        origin="hello",
        description="the friendly greeter " * 30,
        url="https://example.org",
        commit="ab" * 20,
        maintainer="me",
        build_date=1_700_000_000,
        licenses=("MIT",),
        depends=("a", "b=1-r0", "c>=2", "d~3", "!e<4", "!f"),
        provides=("cmd:hello=2.10-r0",),
        install_if=("docs", "hello-data=2"),
        provider_priority="10",
    ),
    f"Q1{base64.b64encode(IDENTITY).decode()}",
    999,
)


@pytest.mark.parametrize("mark", [b"ADB.", b"ADBd", b"ADBc\x01\x09", b"ADBc\0\0"])
def test_every_field_is_read(mark: bytes) -> None:
    found = read_index(adb_file(block(), mark=mark), keyring=None, where="x")
    assert (read_entries(found), found.description) == ((HELLO,), "mine")


def test_an_index_without_packages() -> None:
    assert read_index(adb_file(block(packages=0)), keyring=None, where="x").stanzas == ()


def test_signatures(signer: Signer, keyring: Keyring) -> None:
    assert read_index(adb_file(block(), [signer]), keyring=keyring, where="x").signed_by == "local.rsa.pub"
    with pytest.raises(SignatureError, match="x: is not signed"):
        read_index(adb_file(block()), keyring=keyring, where="x")
    with pytest.raises(SignatureError, match="which is not trusted"):
        read_index(adb_file(block(), [signer]), keyring=Keyring(()), where="x")
    data = adb_file(block(), [signer], mark=b"ADB.")
    with pytest.raises(SignatureError, match=r"the signature by local\.rsa\.pub does not fit"):
        read_index(data.replace(b"friendly", b"fiendish", 1), keyring=keyring, where="x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ADBc\x02\x03zstd", "is compressed in a way that is not read"),
        (b"ADBd\xff\xff", "is a broken index of apk-tools 3"),
        (adb_file(block())[:-20], "ends too early|broken"),
        (b"ADB.", "is a broken index of apk-tools 3"),
        (adb_file(block(), mark=b"ADB.")[:200], "is a broken index of apk-tools 3"),
        (adb_file(block(), schema=0x676B6370), "another file of apk-tools 3"),
        (adb_file(block(names="pool/${name}.apk")), r"names its packages 'pool/\$\{name\}\.apk'"),
        (adb_file(b"\x01" + block()[1:]), "is a broken index of apk-tools 3"),
    ],
)
def test_what_is_no_index(data: bytes, message: str) -> None:
    with pytest.raises(PackageFormatError, match=message):
        read_index(data, keyring=None, where="x")


def every_cut(data: bytes) -> Sequence[bytes]:
    return [data[:end] for end in range(0, len(data), 3)]


def test_damage_is_told_wherever_it_is() -> None:
    data = adb_file(block(), mark=b"ADB.")
    damaged = [bytes([*data[:at], data[at] ^ bit, *data[at + 1 :]]) for at in range(len(data)) for bit in (1, 0x80)]
    told = 0
    for one in [*every_cut(data), *damaged]:
        try:
            read_entries(read_index(one, keyring=None, where="x"))
        except PackageFormatError:
            told += 1
    assert told > len(data) // 3
