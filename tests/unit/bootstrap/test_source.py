from __future__ import annotations

from melpy.bootstrap.model import WantedSource
from melpy.bootstrap.source import Archive, match_archives, parse_sources

HELLO = "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b"
SOURCES = f"""\
Package: hello
Version: 2.10-5
Files:
 6cd0ffea3884a4e79330338dcc2987d6 725946 hello_2.10.orig.tar.gz
Checksums-Sha256:
 {"1" * 64} 1736 hello_2.10-5.dsc
 {HELLO} 725946 hello_2.10.orig.tar.gz
 {"2" * 64} 819 hello_2.10.orig.tar.gz.asc
 {"3" * 64} 13112 hello_2.10-5.debian.tar.xz

Package: libjson-xs-perl
Version: 4.030-2
Checksums-Sha256:
 {"4" * 64} 10 libjson-xs-perl_4.030.orig.tar.gz

Package: native
Version: 1
Checksums-Sha256:
 {"5" * 64} 10 native_1.tar.xz
"""
ARCHIVES = tuple(parse_sources(SOURCES.encode()))


def match(algorithm: str, digest: str, uri: str = "https://example.org/x.tar.gz") -> tuple[str, ...]:
    ((_, found),) = match_archives([WantedSource(algorithm, digest, uri)], ARCHIVES)
    return tuple(archive.file_name for archive in found)


def test_archives_are_read_and_no_other_files() -> None:
    assert ARCHIVES[0] == Archive("hello", "2.10-5", "hello_2.10.orig.tar.gz", HELLO)
    assert [archive.package for archive in ARCHIVES] == ["hello", "hello", "libjson-xs-perl", "native"]


def test_sha256_decides_alone() -> None:
    assert match("sha256", HELLO.upper()) == ("hello_2.10.orig.tar.gz",)
    assert match("sha256", "9" * 64, "https://ftp.gnu.org/gnu/hello/hello-2.10.tar.gz") == ()


def test_sha512_is_looked_for_by_name_and_version() -> None:
    assert match("sha512", "0", "https://ftp.gnu.org/gnu/hello/hello-2.10.tar.gz") == ("hello_2.10.orig.tar.gz",)
    assert match("sha512", "0", "https://cpan.org/JSON-XS-4.030.tar.gz?x=1") == ("libjson-xs-perl_4.030.orig.tar.gz",)
    assert match("sha512", "0", "https://ftp.gnu.org/gnu/hello/hello-2.1.tar.gz") == ()
    assert match("sha512", "0", "https://deb.debian.org/pool/n/native_1.tar.xz") == ("native_1.tar.xz",)
    assert match("sha512", "0", "https://deb.debian.org/hello_2.10-5.debian.tar.xz") == ("hello_2.10-5.debian.tar.xz",)
    assert match("sha512", "0", "https://example.org/") == ()
