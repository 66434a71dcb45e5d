"""Readers, each with good input to begin from. Any error but melpy's own is a finding."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from melpy.apk.archive import control_checksum, write_flat
from melpy.apk.index import read_entries, read_index, write_index
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.apk.pkginfo import parse_pkginfo, render_pkginfo
from melpy.apk.segment import check_datahash, make_entry, read_segments
from melpy.apk.tar import CHECKSUM
from melpy.arch import parse_arch
from melpy.bootstrap.deb import Filter, read_scripts, unpack_deb
from melpy.config.load import load_settings
from melpy.elf.fast import read_elf_fast
from melpy.elf.patch import set_interpreter
from melpy.elf.reader import read_elf
from melpy.errors import MelpyError
from melpy.events import Null
from melpy.plan.envfile import load_env_files, load_vars_file
from melpy.plan.library import Library
from melpy.plan.planner import plan_recipe
from melpy.plan.query import answer_query
from melpy.recipe.load import load_recipe
from melpy.rootfs.model import StoredPackage
from melpy.rootfs.store import ensure_layers
from melpy.scan.kernel_image import find_kernel_version, find_module_version
from melpy.scan.module import parse_module
from melpy.shebang import parse_shebang
from melpy.solve.lockfile import load_lock
from melpy.solve.universe import make_universe
from melpy.unpack import Limit, unpack_archive
from tests.factories.adb import AdbBlock, adb_file

ROOT = Path(__file__).parent.parent.parent
ARCH = parse_arch("x86_64")
LIMIT = Limit(20 << 20, 20_000)
INFO = PackageInfo(
    "one", "1-r0", "x86_64", installed_size=1000, depends=("so:libc.so.6", "b>=1"), provides=("cmd:a=1",)
)


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: what it reads.
        seeds: good input.
        read: reads bytes, with a directory of its own.
    """

    name: str
    seeds: Sequence[bytes]
    read: Callable[[bytes, Path], object]


def _write(directory: Path, name: str, data: bytes) -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


def _recipe(data: bytes, directory: Path) -> None:
    plan_recipe(load_recipe(_write(directory, "one.yaml", data)), ARCH, Library(()))


def _archive(data: bytes, directory: Path) -> None:
    (directory / "out").mkdir()
    unpack_archive(_write(directory, "x", data), directory / "out", limit=LIMIT, strip=len(data) % 3)


def _packed(data: bytes, directory: Path) -> None:
    _archive(gzip.compress(data, 1), directory)


def _package(data: bytes, directory: Path) -> None:
    path = _write(directory, "one.apk", data)
    stream = io.BytesIO(data)
    segments = read_segments(stream, where="x")
    make_entry(segments, len(data), where="x")
    with suppress(MelpyError):
        check_datahash(stream, segments, where="x")
    ensure_layers(directory / "store", [StoredPackage(path, control_checksum(segments.control))], Null())


def _data(data: bytes, directory: Path) -> None:
    """Read bytes as the data of a package that is what its control member says."""
    packed = gzip.compress(data, 1)
    info = PackageInfo("one", "1-r0", "x86_64", installed_size=1000, datahash=hashlib.sha256(packed).hexdigest())
    _package(write_flat([(".PKGINFO", render_pkginfo(info).encode(), 0o644)], mtime=0) + packed, directory)


def _control(data: bytes, directory: Path) -> None:
    _package(gzip.compress(data, 1), directory)


def _pkginfo(data: bytes, directory: Path) -> None:
    del directory
    with suppress(UnicodeDecodeError):
        parse_pkginfo(data.decode())


def _index(data: bytes, directory: Path) -> None:
    del directory
    index = read_index(data, keyring=None, where="x")
    with suppress(MelpyError):
        read_entries(index)
    universe = make_universe([("r", "", index)])
    for name in list(universe.names)[:1000]:
        universe.providers(name)


def _index_text(data: bytes, directory: Path) -> None:
    _index(write_flat([("APKINDEX", data, 0o644)], mtime=0, end=True), directory)


def _elf(data: bytes, directory: Path) -> None:
    path = _write(directory, "x", data)
    for read in (read_elf, read_elf_fast):
        with suppress(MelpyError):
            read(path)
    with suppress(MelpyError):
        set_interpreter(data, "/x")


def _lock(data: bytes, directory: Path) -> None:
    load_lock(_write(directory, "x.lock", data))


def _settings(data: bytes, directory: Path) -> None:
    load_settings({}, {}, directory, file=_write(directory, "melpy.toml", data))


def _env_file(data: bytes, directory: Path) -> None:
    load_env_files([_write(directory, "x.env", data)])


def _vars_file(data: bytes, directory: Path) -> None:
    load_vars_file(_write(directory, "x.yaml", data))


def _query(data: bytes, directory: Path) -> None:
    del directory
    answer_query(data.decode(errors="replace"), {"package": {"name": "a", "full-version": "1"}, "list": ["a"]})


def _deb(data: bytes, directory: Path) -> None:
    path = _write(directory, "x.deb", data)
    (directory / "out").mkdir()
    with suppress(MelpyError):
        read_scripts(path)
    unpack_deb(path, directory / "out", Filter())


def _scan(data: bytes, directory: Path) -> None:
    """Read what scanners look into; what is malformed is a ValueError, which they turn into a doubt."""
    del directory
    with suppress(ValueError):
        parse_module(data[: 128 << 10].decode(errors="surrogateescape"))
    with suppress(ValueError):
        parse_shebang(data[:256])
    find_kernel_version(data)
    find_module_version(data)


def _tar(form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, kind, content, link in (
            ("usr", tarfile.DIRTYPE, b"", ""),
            ("usr/bin/a", tarfile.REGTYPE, b"#!/usr/bin/env bash\n", ""),
            ("usr/lib/" + "long/" * 30 + "b", tarfile.REGTYPE, b"b" * 700, ""),
            ("usr/bin/c", tarfile.SYMTYPE, b"", "a"),
            ("usr/bin/d", tarfile.LNKTYPE, b"", "usr/bin/a"),
        ):
            item = tarfile.TarInfo(name)
            item.type, item.size, item.linkname, item.mtime, item.uid = kind, len(content), link, 1700000000.5, 1000
            if form == tarfile.PAX_FORMAT and content:
                item.pax_headers = {CHECKSUM: hashlib.sha1(content).hexdigest()}
            tar.addfile(item, io.BytesIO(content))
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as found:
        found.writestr("a/b.txt", "hello" * 100)
        found.writestr("c", "")
    return stream.getvalue()


def _ar() -> bytes:
    members = (
        (b"debian-binary", b"2.0\n"),
        (b"control.tar.gz", gzip.compress(write_ustar(("./postinst", b"#!/bin/sh\n")), mtime=0)),
        (b"data.tar.gz", gzip.compress(_tar(tarfile.GNU_FORMAT), mtime=0)),
    )
    pieces = [b"!<arch>\n"]
    for name, data in members:
        pieces.append(
            b"%-16s%-12d%-6d%-6d%-8s%-10d`\n%s%s" % (name, 0, 0, 0, b"100644", len(data), data, b"\n" * (len(data) % 2))
        )
    return b"".join(pieces)


def write_ustar(*files: tuple[str, bytes]) -> bytes:
    """Return a tar of plain files."""
    return gzip.decompress(write_flat([(name, content, 0o755) for name, content in files], mtime=0))


def _adb() -> bytes:
    block = AdbBlock()
    words = [block.text("a"), block.text("1-r0"), block.text(bytes(20)), 0, block.text("x86_64")]
    package = block.fields([*words, *[0] * 9, block.array([block.dependency("b", "2", 4)])])
    return adb_file(block.finished(block.fields([0, block.array([package])])), mark=b"ADB.")


def _recipes() -> list[bytes]:
    files = [*sorted((ROOT / "packages").glob("*.yaml")), *sorted((ROOT / "tests/golden/messages").glob("*.yaml"))]
    return [path.read_bytes() for path in files]


LOCK = b"""{"format": "melpy-lock-1", "arch": "x86_64", "repositories": {"./repo": {"key": "k", "pem": "p"}},
 "recipes": {"one": {"world": ["a"], "packages":
 [{"name": "a", "version": "1-r0", "checksum": "Q1abc=", "repository": "./repo"}], "tests": {}}}}"""
SETTINGS = b"""arch = ["x86_64"]\nout-dir = "out"\nkeyring = ["~/k.pub"]\nrewrites = ["https://a.org/=../x"]
unpack-limit = "5GB"\nsigning-key = "env:KEY"\nmirrors = ["/srv", "https://b.org"]\nmemory = "8Gi"\ntimeout = "1h30m"
cpu = 1.5\nprocesses = 20\nranges = ["py=3,4"]\nrepositories = ["@edge /srv"]\nrecipe-license = "MIT AND GPL-2.0"\n"""


def make_targets() -> list[Target]:
    """Return all readers."""
    elf = [
        Path(name).read_bytes()[: 1 << 20]
        for name in ("/bin/true", "/lib/x86_64-linux-gnu/libm.so.6")
        if Path(name).exists()
    ]
    index = write_index([IndexEntry(INFO, "Q1abc=", 9)], description="x")
    stanzas = b"C:Q1abc=\nP:a\nV:1-r0\nA:x86_64\nS:9\nI:5\nT:t\nt:7\nk:3\nD:b !c\np:d=1\ni:e f\n\nC:Q1x=\nP:b\nV:2-r0\n"
    signed = write_flat([(".SIGN.RSA256.k", b"s" * 64, 0o644)], mtime=0)
    control = write_ustar((".PKGINFO", render_pkginfo(INFO).encode()), (".post-install", b"#!/bin/sh\n"))
    templates = [b"{{.Package.Name}}", b"{{ package.full-version }} {% for a in list %}{{a}}{% endfor %}",
                 b"{{range $i, $v := .List}}{{if eq $v \"a\"}}{{printf \"%s\" $v}}{{end}}{{end}}"]  # fmt: skip
    return [
        Target("recipe", _recipes(), _recipe),
        Target("archive", [_tar(), _zip(), gzip.compress(_tar(tarfile.GNU_FORMAT))], _archive),
        Target("archive, packed", [_tar(), _tar(tarfile.GNU_FORMAT), _tar(tarfile.USTAR_FORMAT)[:2000]], _packed),
        Target("package", [signed + gzip.compress(control) + gzip.compress(_tar())], _package),
        Target("package, control", [control], _control),
        Target("package, data", [_tar(), _tar(tarfile.GNU_FORMAT)], _data),
        Target("pkginfo", [render_pkginfo(INFO).encode()], _pkginfo),
        Target("index", [index, signed + index, _adb()], _index),
        Target("index, text", [stanzas], _index_text),
        Target("elf", elf or [b"\x7fELF"], _elf),
        Target("lock file", [LOCK], _lock),
        Target("settings", [SETTINGS], _settings),
        Target("env-file", [b"A=1\nexport B='x y'\n# c\nC=\"${A}\\n\"\n"], _env_file),
        Target("vars-file", [b"a: 1\nb: 'x'\nc: ${{vars.a}}\n"], _vars_file),
        Target("query", templates, _query),
        Target("deb", [_ar()], _deb),
        Target(
            "scan",
            [b"prefix=/usr\na=${prefix}\nRequires: b >= 1\n", b"#!/usr/bin/env -S a b\n", b"MZ" + bytes(600)],
            _scan,
        ),
    ]
