"""The reader of tars: what is well formed is read, and whatever is not ends with an error, and soon."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from melpy.apk.inflate import GzipReader, TooMuchError
from melpy.apk.segment import read_entry
from melpy.apk.tar import TarError, TarReader, parse_records, read_files
from melpy.errors import PackageFormatError
from tests.factories.clock import cpu_seconds

if TYPE_CHECKING:
    from pathlib import Path


def header(name: bytes = b"a", kind: bytes = b"0", **fields: bytes) -> bytearray:
    block = bytearray(512)
    at = {"mode": 100, "uid": 108, "gid": 116, "size": 124, "mtime": 136, "link": 157}
    block[: len(name)] = name
    block[257:265] = b"ustar\x0000"
    block[156:157] = kind
    for key, value in {"size": b"0" * 11, **fields}.items():
        block[at[key] : at[key] + len(value)] = value
    return block


def record(text: bytes) -> bytes:
    return bytes(header(kind=b"x", size=b"%011o" % len(text))) + text + bytes(-len(text) % 512)


def only(data: bytes) -> tarfile.TarInfo:
    (member,) = TarReader(io.BytesIO(data).read).members()
    return member  # type: ignore[return-value]  # the same fields


def test_a_package_whose_record_has_no_length_ends_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.apk"
    path.write_bytes(gzip.compress(record(b"0 a=b") + bytes(header(b".PKGINFO")), mtime=0))
    assert path.stat().st_size < 281
    start = cpu_seconds()
    with pytest.raises(PackageFormatError, match="broken PAX record"):
        read_entry(path)
    assert cpu_seconds() - start < 1


@pytest.mark.parametrize(
    "data",
    [
        b"0 a=b",
        b"00000 a=b\n",
        b"-5 a=b\n",
        b"7 a=b\n",
        b"3 a\n",
        b"99999999999999999999 a=b\n",
        b"1",
        b" ",
        b"a=b\n",
        b"6 =ab\n",
        b"6 a=b\n0 c=d\n",
        b"6 a=bc",
        b"\xff\xff",
        b"9" * 5000 + b" a=b\n",
    ],
)
def test_records_that_are_broken(data: bytes) -> None:
    with pytest.raises(TarError, match="broken PAX record"):
        parse_records(data)


def test_records() -> None:
    assert parse_records(b"6 a=b\n10 path=x\n5 c=\n8 d=\0\0\0\n") == {"a": "b", "path": "x", "c": "", "d": "\0\0\0"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(size=b"-0000000001"), "is not a number"),
        (header(size=b"zzz"), "is not a number"),
        (header(size=b"\x80" + b"\xff" * 11), "out of bounds"),
        (header(size=b"\xff" * 12), "out of bounds"),
        (header(size=b"\x80" + bytes(7) + b"\x01" + bytes(3)), "ends in the middle"),
        (header(uid=b"\x80" + b"\xff" * 7), "out of bounds"),
        (header(size=b"00000001000"), "ends in the middle"),
        (header(b""), "without a name"),
        (record(b"11 size=-1\n") + header(), "not a number from 0"),
        (record(b"12 mtime=nan\n") + header(), "broken PAX record"),
        (record(b"13 mtime=inf\n") + header(), "broken PAX record"),
        (record(b"15 mtime=1e300\n") + header(), "not a time"),
        (record(b"5009 uid=" + b"9" * 4999 + b"\n") + header(), "not a number"),
        (record(b"14 uid=-00001\n") + header(), "not a number from 0"),
        (record(b"22 GNU.sparse.major=1\n") + header(), "sparse"),
        (record(b"6 a=b\n") * 17 + header(), "more than 16 records"),
        (header(kind=b"x", size=b"77777777777"), "bytes of attributes for one file"),
        (header(kind=b"L", size=b"\x80" + bytes(3) + b"\xff" * 8), "out of bounds|bytes of attributes"),
        (record(b"4106 path=" + b"a" * 4095 + b"\n") + header(), None),
        (record(b"5011 path=" + b"a" * 5000 + b"\n") + header(), "path of more than 4095 bytes"),
        (b"\1" * 512, "is no tar"),
    ],
)
def test_headers(data: bytes | bytearray, message: str | None) -> None:
    if message is None:
        assert len(next(iter(read_files(bytes(data))))) == 4095
        return
    with pytest.raises(TarError, match=message):
        read_files(bytes(data))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7, 253402300799),
        (b"\xff" * 12, -1),
        (b"\x80" + bytes(10) + b"\x05", 5),
        (b"00000000007\0", 7),
        (b"", 0),
    ],
)
def test_times_of_headers_are_times_that_files_can_have(field: bytes, expected: int) -> None:
    assert only(bytes(header(mtime=field))).mtime == expected


def test_a_time_beyond_all_dates_is_the_last_one() -> None:
    assert only(record(b"29 mtime=9223372036854775807\n") + bytes(header())).mtime == 253402300799


def test_headers_without_end_are_a_limit_that_is_reached() -> None:
    bomb = io.BytesIO(gzip.compress(bytes(header()) * 200_000, 1))
    reader = TarReader(GzipReader(bomb, 10 << 20).read)
    with pytest.raises(TooMuchError):
        for _ in reader.members():
            pass
    with pytest.raises(TarError, match="more than 16 records"):
        read_files(record(b"6 a=b\n") * 1000)


def test_many_gzip_streams_cost_no_more_than_their_bytes() -> None:
    start = cpu_seconds()
    with pytest.raises(TarError, match="more than 1000 gzip streams"):
        GzipReader(io.BytesIO(gzip.compress(b"", mtime=0) * 200_000), 1 << 20).read(1)
    assert cpu_seconds() - start < 1
