"""Packages and indexes for measuring: as many as a distribution has, made in seconds."""

from __future__ import annotations

import io
import os
import random
import tarfile
from typing import TYPE_CHECKING

from melpy.apk.archive import Member, write_data, write_flat
from melpy.apk.index import write_index
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.apk.pkginfo import render_pkginfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from melpy.apk.signature import Signer

CORE = 150
NAMES, VERSIONS = 20_000, 3


def write_packages(directory: Path, count: int, size: int) -> None:
    """Write packages with the same data and with random signatures: indexes look at neither."""
    directory.mkdir(parents=True)
    content, stream = os.urandom(size), io.BytesIO()
    file = Member("data", tarfile.REGTYPE, 0o644, size=size, open=lambda: io.BytesIO(content))
    digest = write_data([file], stream, mtime=0, level=1)
    for number in range(count):
        name = f"package-{number}"
        info = PackageInfo(
            name,
            "1.0-r0",
            "x86_64",
            installed_size=size,
            origin=name,
            description="one of many packages that are measured",
            url="https://example.org/package",
            commit="0" * 40,
            licenses=("Apache-2.0",),
            depends=("so:libc.so.6", "busybox"),
            provides=(f"cmd:{name}=1.0-r0",),
            datahash=digest.sha256,
        )
        signature = write_flat([(".SIGN.RSA256.bench.rsa.pub", os.urandom(256), 0o644)], mtime=0)
        control = write_flat([(".PKGINFO", render_pkginfo(info).encode(), 0o644)], mtime=0)
        (directory / info.file_name).write_bytes(signature + control + stream.getvalue())


def write_large_index(signer: Signer) -> bytes:
    """Return an index of 20,000 packages in three versions each, of which an environment takes 150."""
    return write_index(_entries(random.Random(1)), signer=signer)


def _entries(rng: random.Random) -> Iterator[IndexEntry]:
    for number in range(NAMES):
        name = f"package-{number}"
        below = range(max(0, number - 8), number) if number < CORE else range(CORE)
        needed = sorted(rng.sample(below, min(3, len(below))))
        for version in range(1, VERSIONS + 1):
            info = PackageInfo(
                name,
                f"{version}.{number % 7}-r0",
                "x86_64",
                installed_size=number * 1000 + 1,
                origin=name,
                description="one of many packages that an index has",
                url="https://example.org/package",
                commit=rng.randbytes(20).hex(),
                licenses=("Apache-2.0",),
                depends=tuple(f"so:libpackage-{other}.so.{VERSIONS}" for other in needed),
                provides=(f"so:libpackage-{number}.so.{version}={version}", f"cmd:{name}={version}.0-r0"),
                install_if=(f"{name}=9-r0", "docs") if number % 10 == 0 else (),
            )
            yield IndexEntry(info, f"Q1{number:020d}{version:06d}A=", 1000)
