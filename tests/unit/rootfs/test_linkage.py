"""The dynamic loader's cache, for this and for foreign architectures; tests/sandbox holds it against ldconfig."""

from __future__ import annotations

from pathlib import Path

import pytest

from melpy.elf.loader_cache import CacheEntry, render_cache, sort_key
from melpy.rootfs.library import find_library, is_library_name
from tests.factories.elf import elf
from tests.factories.loader_cache import Found, read_cache
from tests.factories.rootfs import Parcel, build_environment
from tests.factories.tree import Content, Link

CONF = {"etc/ld.so.conf": "include ld.so.conf.d/*.conf\n/opt/lib # mine\nhwcap 1 x\n"}


def cache_of(root: Path) -> list[Found]:
    return read_cache((root / "etc/ld.so.cache").read_bytes())


@pytest.mark.parametrize("big_endian", [False, True])
def test_what_is_written_is_what_the_loader_reads(big_endian: bool) -> None:
    entries = [
        CacheEntry("liba.so.2", "/lib/liba.so.2", 0x303),
        CacheEntry("liba.so.10", "/lib/liba.so.10", 0x303),
        CacheEntry("liba.so.10", "/usr/lib/liba.so.10", 0x303),
        CacheEntry("liba.so.2", "/lib/glibc-hwcaps/x86-64-v3/liba.so.2", 0x303, "x86-64-v3"),
        CacheEntry("liba.so.2", "/lib/glibc-hwcaps/x86-64-v2/liba.so.2", 0x303, "x86-64-v2"),
    ]
    found = read_cache(render_cache(entries, big_endian=big_endian))
    assert [(one.soname, one.path, one.hwcaps) for one in found] == [
        ("liba.so.10", "/lib/liba.so.10", ""),
        ("liba.so.10", "/usr/lib/liba.so.10", ""),
        ("liba.so.2", "/lib/glibc-hwcaps/x86-64-v2/liba.so.2", "x86-64-v2"),
        ("liba.so.2", "/lib/glibc-hwcaps/x86-64-v3/liba.so.2", "x86-64-v3"),
        ("liba.so.2", "/lib/liba.so.2", ""),
    ]


def test_numbers_in_names_count_by_value_and_after_letters() -> None:
    names = ["liba.so", "liba.so.2", "liba.so.10", "liba.so.10.1", "liba.sox", "lib9"]
    assert sorted(names, key=sort_key) == ["liba.so", "liba.so.2", "liba.so.10", "liba.so.10.1", "liba.sox", "lib9"]


@pytest.mark.parametrize(
    ("machine", "bits", "big_endian", "flags"),
    [
        (62, 64, False, 0x303),
        (62, 32, False, 0x803),
        (3, 32, False, 0x3),
        (183, 64, False, 0xA03),
        (22, 64, True, 0x403),
        (21, 64, False, 0x503),
        (40, 32, False, 0x903),
        (243, 64, False, 0xF03),
    ],
)
def test_kinds_of_libraries(tmp_path: Path, machine: int, bits: int, big_endian: bool, flags: int) -> None:
    data = elf(machine=machine, bits=bits, big_endian=big_endian, soname="liba.so.1")
    (tmp_path / "liba.so.1.2").write_bytes(data)
    assert find_library(tmp_path, "liba.so.1.2") == ("liba.so.1.2", "liba.so.1", flags)


def test_what_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("INPUT(-lfoo)")
    (tmp_path / "program.so").write_bytes(elf(type_=2, soname="x"))
    (tmp_path / "cut.so").write_bytes(elf(soname="x")[:70])
    (tmp_path / "strange.so").write_bytes(elf(machine=9999, soname="x"))
    (tmp_path / "link.so").symlink_to("/bin/sh")
    for name in ("text.so", "program.so", "cut.so", "strange.so", "link.so", "gone.so"):
        assert find_library(tmp_path, name) is None
    names = ["liba.so", "ld-linux.so.2", "ld64.so.1", "ld.so.1", "liba.a", "a.so", "lib.so.conf"]
    assert [is_library_name(name) for name in names] == [True, True, True, True, False, False, True]


def test_libraries_of_all_packages(tmp_path: Path) -> None:
    one = Parcel(
        "one",
        {
            **CONF,
            "etc/ld.so.conf.d/b.conf": "/usr/lib/b\n",
            "etc/ld.so.conf.d/a.conf": "/usr/lib/a=libc6\n/usr/lib/gone\n/usr/lib/b\n",
            "etc/ld.so.conf.d/no": "/usr/lib/no\n",
            "lib": Link("usr/lib"),
            "usr/lib/a/libone.so.1.2": elf(soname="libone.so.1"),
            "usr/lib/a/libone.so.1": Link("libone.so.1.2"),
            "usr/lib/b/libone.so.1": elf(soname="libone.so.1"),
            "usr/lib/no/libno.so": elf(soname="libno.so"),
        },
    )
    two = Parcel(
        "two",
        {
            "usr/lib/a/libone.so": Link("libone.so.1"),
            "lib/libtwo.so.3": elf(soname="libtwo.so.3"),
            "lib/libnameless.so": elf(needed=["libc.so.6"]),
            "lib/libbroken.so": Link("gone"),
            "opt/lib/libodd.so.9": elf(soname="libreal.so.1"),
            "usr/lib/a/glibc-hwcaps/x86-64-v3/libone.so.1": elf(soname="libone.so.1"),
        },
    )
    root = build_environment(tmp_path, one, two).merge()
    assert [(found.soname, found.path) for found in cache_of(root)] == [
        ("libtwo.so.3", "/lib/libtwo.so.3"),
        ("libreal.so.1", "/opt/lib/libodd.so.9"),
        ("libone.so.1", "/usr/lib/a/glibc-hwcaps/x86-64-v3/libone.so.1"),
        ("libone.so.1", "/usr/lib/a/libone.so.1"),
        ("libone.so.1", "/usr/lib/b/libone.so.1"),
        ("libone.so", "/usr/lib/a/libone.so"),
        ("libnameless.so", "/lib/libnameless.so"),
    ]


def test_a_configuration_that_includes_itself_ends(tmp_path: Path) -> None:
    conf: dict[str, Content] = {
        "etc/ld.so.conf": "include /etc/ld.so.conf\n/opt\n",
        "opt/liba.so": elf(soname="liba.so"),
    }
    root = build_environment(tmp_path, Parcel("one", conf), big_endian=True).merge()
    assert [found.path for found in cache_of(root)] == ["/opt/liba.so"]
