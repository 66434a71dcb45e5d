"""Whatever stands in a file: a package or index is read, or refused with an error of melpy's own."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from melpy.apk.archive import write_flat
from melpy.apk.index import parse_index, read_entries, read_index
from melpy.apk.segment import _read_plain_tar, check_datahash, make_entry, read_segments
from melpy.apk.signature import Keyring
from melpy.apk.stanza import find_identity, find_items, parse_stanza, render_stanza
from melpy.errors import MelpyError, PackageFormatError
from melpy.solve.universe import make_universe
from tests.factories.adb import AdbBlock, adb_file

PKGINFO = "pkgname = a\npkgver = 1-r0\narch = x86_64\ndepend = b>1\nprovides = cmd:a=1\nbuilddate = 7\n"
CONTROL = gzip.decompress(
    write_flat([(".PKGINFO", PKGINFO.encode(), 0o644), (".post-install", b"#!/bin/sh", 0o755)], mtime=7)
)
STANZAS = "C:Q1abc=\nP:a\nV:1-r0\nA:x86_64\nS:9\nD:b !c\np:d=1\ni:e f\n\nC:Q1xyz=\nP:b\nV:2-r0\n"


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Return data with some bytes changed, cut out or put in."""
    found = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(found)))
        found[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(found)


def read_package(data: bytes) -> None:
    stream = io.BytesIO(data)
    with suppress(PackageFormatError):
        segments = read_segments(stream, where="x")
        make_entry(segments, len(data), where="x")
        check_datahash(stream, segments, where="x")


@given(st.binary(max_size=200))
@example(b"")
def test_any_bytes_are_a_package_or_refused(data: bytes) -> None:
    read_package(data)
    read_package(gzip.compress(data))


@given(damaged(CONTROL))
def test_damaged_tars_are_read_or_refused(plain: bytes) -> None:
    read_package(gzip.compress(plain, 1))


@given(damaged(PKGINFO.encode()))
def test_damaged_pkginfo_is_read_or_refused(text: bytes) -> None:
    data = write_flat([(".PKGINFO", text, 0o644)], mtime=0)
    with suppress(PackageFormatError):
        entry = make_entry(read_segments(io.BytesIO(data), where="x"), len(data), where="x")
        _, name, version, _ = find_identity(render_stanza(entry))
        assert (name, version) == (entry.info.name, entry.info.version)


@given(damaged(CONTROL))
def test_the_quick_reader_of_tars_reads_what_tarfile_reads(plain: bytes) -> None:
    quick = _read_plain_tar(plain)
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            items = tar.getmembers()
            read = {item.name: (found.read() if (found := tar.extractfile(item)) else b"") for item in items}
    except (tarfile.TarError, ValueError):
        return
    # tarfile stops at a header whose sum is wrong, which the quick reader does not look at.
    if quick is not None and len(quick) == len(items):
        assert quick == read


@given(damaged(STANZAS.encode()))
def test_damaged_indexes_are_read_or_refused(text: bytes) -> None:
    data = write_flat([("APKINDEX", text, 0o644)], mtime=0, end=True)
    with suppress(MelpyError):
        index = read_index(data, keyring=None, where="x")
        with suppress(PackageFormatError):
            read_entries(index)
        universe = make_universe([("r", "", index)])
        for name in universe.names:
            universe.providers(name)


@given(damaged(STANZAS.encode()))
def test_what_is_found_in_a_stanza_is_what_is_parsed(text: bytes) -> None:
    for stanza in parse_index(text.decode(errors="replace"), where="x").stanzas:
        with suppress(PackageFormatError):
            entry = parse_stanza(stanza, where="x")
            checksum, name, version, arch = find_identity(stanza)
            assert (checksum, name, version) == (entry.checksum, entry.info.name, entry.info.version)
            if stanza.count("\nA:") == 1:
                assert arch == entry.info.arch
            assert tuple(find_items(stanza, "p")) == entry.info.provides
            assert tuple(find_items(stanza, "D")) == entry.info.depends


@given(
    st.binary(max_size=60),
    damaged(gzip.decompress(write_flat([("APKINDEX", STANZAS.encode(), 0o644)], mtime=0, end=True))),
)
def test_any_bytes_are_an_index_or_refused(data: bytes, plain: bytes) -> None:
    for one in (data, b"ADB." + data, b"ADBd" + data, gzip.compress(plain, 1)):
        for keyring in (None, Keyring(())):
            with suppress(MelpyError):
                read_entries(read_index(one, keyring=keyring, where="x"))


def _adb() -> bytes:
    block = AdbBlock()
    words = [block.text("a"), block.text("1-r0"), block.text(bytes(20)), 0, block.text("x86_64")]
    depends = block.array([block.dependency("b", "2", 4)])
    package = block.fields([*words, *[0] * 9, depends])
    return adb_file(block.finished(block.fields([0, block.array([package])])), mark=b"ADB.")


@given(damaged(_adb()))
def test_damaged_indexes_of_apk_tools_3_are_read_or_refused(data: bytes) -> None:
    with suppress(MelpyError):
        read_entries(read_index(data, keyring=None, where="x"))
