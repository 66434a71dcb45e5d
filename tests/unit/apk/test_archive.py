"""APK files."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from typing import TYPE_CHECKING, Literal

import pytest

from melpy.apk.archive import Member, control_checksum, sign_package, write_data, write_flat
from melpy.apk.model import PackageInfo
from melpy.apk.pkginfo import render_pkginfo
from melpy.apk.segment import check_datahash, read_entry, read_segments
from melpy.apk.signature import Keyring
from melpy.errors import PackageFormatError, SignatureError
from tests.factories.package import open_data

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.apk.signature import Signer

BLOCK = 512


def regular(path: str, content: bytes = b"content\n", mode: int = 0o644) -> Member:
    return Member(path, tarfile.REGTYPE, mode, size=len(content), open=lambda: io.BytesIO(content))


MEMBERS = (
    Member("usr", tarfile.DIRTYPE, 0o755),
    regular("usr/hello", b"hello\n" * 100, 0o4755),
    Member("usr/hallo", tarfile.SYMTYPE, 0o777, link="hello"),
    regular("usr/leer", b""),
)


def package(signer: Signer | None = None, name: str = "hello") -> bytes:
    data = io.BytesIO()
    digest = write_data(MEMBERS, data, mtime=7)
    info = PackageInfo(name, "1.0-r0", "x86_64", installed_size=600, datahash=digest.sha256)
    control = write_flat([(".PKGINFO", render_pkginfo(info).encode(), 0o644)], mtime=7)
    return sign_package(control, signer, 7) + data.getvalue()


@pytest.fixture
def apk(tmp_path: Path, signer: Signer) -> Path:
    path = tmp_path / "hello-1.0-r0.apk"
    path.write_bytes(package(signer))
    return path


def gzip_members(data: bytes) -> list[bytes]:
    """Return the content of each gzip member."""
    found = []
    while data:
        inflate = zlib.decompressobj(31)
        found.append(inflate.decompress(data))
        data = inflate.unused_data
    return found


def test_three_gzip_members_make_one_tar(apk: Path) -> None:
    signature, control, data = gzip_members(apk.read_bytes())
    assert not signature.endswith(bytes(2 * BLOCK))
    assert len(control) % BLOCK == 0
    assert not control.endswith(bytes(2 * BLOCK))
    assert data.endswith(bytes(2 * BLOCK))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(apk.read_bytes())), mode="r:") as tar:
        assert tar.getnames() == [
            ".SIGN.RSA256.local.rsa.pub",
            ".PKGINFO",
            "usr",
            "usr/hello",
            "usr/hallo",
            "usr/leer",
        ]


def test_gzip_headers_hold_no_time_and_no_name(apk: Path) -> None:
    data = apk.read_bytes()
    assert data[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_the_same_input_gives_the_same_bytes(signer: Signer) -> None:
    assert package(signer) == package(signer)


def test_members_are_read_back_with_type_mode_and_content(apk: Path) -> None:
    found = {}
    with open_data(apk) as tar:
        for item in tar:
            content = tar.extractfile(item) if item.isreg() else None
            found[item.name] = (item.type, item.mode, item.mtime, item.linkname, content.read() if content else None)
            assert (item.uid, item.gid, item.uname, item.gname) == (0, 0, "root", "root")
    assert found == {
        "usr": (tarfile.DIRTYPE, 0o755, 7, "", None),
        "usr/hello": (tarfile.REGTYPE, 0o4755, 7, "", b"hello\n" * 100),
        "usr/hallo": (tarfile.SYMTYPE, 0o777, 7, "hello", None),
        "usr/leer": (tarfile.REGTYPE, 0o644, 7, "", b""),
    }


@pytest.mark.parametrize("path", ["a" * 99, "a" * 101, "d/" * 120 + "x", "ä/ö", "x\udcff", "a" * 300])
def test_long_and_odd_paths(path: str) -> None:
    stream = io.BytesIO()
    write_data([regular(path)], stream, mtime=0)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(stream.getvalue())), errors="surrogateescape") as tar:
        assert tar.getnames() == [path]


def test_a_file_that_shrinks_while_it_is_packed() -> None:
    member = Member("a", tarfile.REGTYPE, 0o644, size=10, open=lambda: io.BytesIO(b"short"))
    with pytest.raises(PackageFormatError) as caught:
        write_data([member], io.BytesIO(), mtime=0)
    assert str(caught.value) == "a: the file changed while it was packed"


def test_segments(apk: Path, signer: Signer) -> None:
    with apk.open("rb") as stream:
        found = read_segments(stream, where="x")
        assert found.signatures == ((signer.member_name, signer.sign(found.control)),)
        assert list(found.files) == [".PKGINFO"]
        stream.seek(found.data_offset)
        assert hashlib.sha256(stream.read()).hexdigest().encode() in found.files[".PKGINFO"]
        check_datahash(stream, found, where=str(apk))


@pytest.mark.parametrize("form", [1, 2], ids=["gnu", "pax"])
@pytest.mark.parametrize("name", [".short", "l" * 120, "\u00e4" * 60])
@pytest.mark.parametrize("blocks", [0, 2, 20])
def test_control_members_of_other_tools(form: Literal[1, 2], name: str, blocks: int) -> None:
    wanted = {".PKGINFO": b"x" * 512, name: b"y" * 513, ".empty": b""}
    body = b""
    for path, content in wanted.items():
        item = tarfile.TarInfo(path)
        item.size = len(content)
        body += item.tobuf(form) + content + bytes(-len(content) % 512)
    control = gzip.compress(body + bytes(512 * blocks))
    assert read_segments(io.BytesIO(control), where="").files == wanted


def test_an_entry_is_what_an_index_needs(apk: Path, keyring: Keyring) -> None:
    entry = read_entry(apk, keyring=keyring)
    assert (entry.info.name, entry.info.version, entry.size) == ("hello", "1.0-r0", apk.stat().st_size)
    with apk.open("rb") as stream:
        assert entry.checksum == control_checksum(read_segments(stream, where="x").control)
    assert entry.checksum.startswith("Q1")
    assert len(entry.checksum) == 30


def test_the_identity_of_a_package_does_not_depend_on_its_signature(tmp_path: Path, apk: Path) -> None:
    unsigned = tmp_path / "unsigned.apk"
    unsigned.write_bytes(package())
    assert read_entry(unsigned).checksum == read_entry(apk).checksum


def test_an_unsigned_package_is_not_trusted(tmp_path: Path, keyring: Keyring) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(package())
    assert read_entry(path).info.name == "hello"
    with pytest.raises(SignatureError, match="is not signed") as caught:
        read_entry(path, keyring=keyring)
    assert caught.value.where == str(path)


def test_a_package_by_an_unknown_key_is_not_trusted(apk: Path) -> None:
    with pytest.raises(SignatureError, match=r"signed with 'local.rsa.pub' \(RSA256\), which is not trusted"):
        read_entry(apk, keyring=Keyring(()))


def test_a_signature_of_another_package_does_not_fit(tmp_path: Path, signer: Signer, keyring: Keyring) -> None:
    signature = write_flat([(signer.member_name, signer.sign(b"another control member"), 0o644)], mtime=7)
    path = tmp_path / "a.apk"
    path.write_bytes(signature + package())
    with pytest.raises(SignatureError, match=r"the signature by local.rsa.pub does not fit"):
        read_entry(path, keyring=keyring)


def test_one_good_signature_is_enough(tmp_path: Path, signer: Signer, keyring: Keyring) -> None:
    other = write_flat([(".SIGN.RSA256.other.rsa.pub", b"whatever", 0o644)], mtime=7)
    path = tmp_path / "a.apk"
    path.write_bytes(other + package(signer))
    assert read_entry(path, keyring=keyring).info.name == "hello"


def test_changed_data_is_noticed(apk: Path) -> None:
    with apk.open("r+b") as stream:
        found = read_segments(stream, where="x")
        stream.seek(-1, io.SEEK_END)
        stream.write(b"\xff")
    message = r"its data member has SHA-256 [0-9a-f]{64}, its \.PKGINFO says [0-9a-f]{64}"
    with apk.open("rb") as stream, pytest.raises(PackageFormatError, match=f"is damaged: {message}"):
        check_datahash(stream, found, where=str(apk))
    apk.write_bytes(found.head + gzip.compress(b"other data", mtime=0))
    with apk.open("rb") as stream, pytest.raises(PackageFormatError, match=f"^[^:]*: {message}"):
        check_datahash(stream, found, where=str(apk))


def test_any_truncation_is_an_error_that_names_the_file(apk: Path) -> None:
    whole = apk.read_bytes()
    with apk.open("rb") as stream:
        offset = read_segments(stream, where="x").data_offset
        first = offset - len(read_segments(stream, where="x").control)
    for end in (0, 1, 9, 10, 100, first - 1, first, first + 1, offset // 2, offset - 1):
        apk.write_bytes(whole[:end])
        member = "first" if end < first else "control"
        with pytest.raises(PackageFormatError, match=f"ends in the middle of its {member} member") as caught:
            read_entry(apk)
        assert caught.value.where == str(apk)
    apk.write_bytes(whole[:-20])
    with apk.open("rb") as stream, pytest.raises(PackageFormatError, match="is cut short: its data member has SHA-256"):
        check_datahash(stream, read_segments(stream, where="x"), where=str(apk))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip at all", "is not a gzip file"),
        (gzip.compress(b"no tar" * 200, mtime=0), "holds a broken tar"),
        (gzip.compress(b"", mtime=0), "holds a broken tar: empty file"),
        (write_flat([("usr/bin/x", b"", 0o644)], mtime=0), r"has no control member with a \.PKGINFO"),
        (write_flat([(".SIGN.RSA256.x", b"", 0o644)], mtime=0), "ends in the middle of its control member"),
        (write_flat([(".PKGINFO", b"\xff", 0o644)], mtime=0), r"\.PKGINFO is not UTF-8"),
        (write_flat([(".PKGINFO", b"pkgname = a\n", 0o644)], mtime=0), r"\.PKGINFO: pkgver is missing"),
        (write_flat([(".PKGINFO", b"?\n", 0o644)], mtime=0), r"\.PKGINFO:1: malformed line"),
        (gzip.compress(bytes(17 << 20), mtime=0), "has a control member larger than 16 MiB"),
    ],
)
def test_what_is_no_package_is_an_error_that_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.apk"
    path.write_bytes(content)
    with pytest.raises(PackageFormatError, match=message) as caught:
        read_entry(path)
    assert caught.value.where == str(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PackageFormatError, match="cannot be read: no such file or directory"):
        read_entry(tmp_path / "none.apk")


def test_any_changed_byte_of_the_control_member_is_refused(apk: Path, keyring: Keyring) -> None:
    whole = apk.read_bytes()
    with apk.open("rb") as stream:
        found = read_segments(stream, where="x")
    start = found.data_offset - len(found.control)
    for position in range(start, found.data_offset, 7):
        changed = bytearray(whole)
        changed[position] ^= 0x10
        apk.write_bytes(changed)
        with pytest.raises((PackageFormatError, SignatureError)) as caught:
            read_entry(apk, keyring=keyring)
        assert caught.value.where == str(apk)
