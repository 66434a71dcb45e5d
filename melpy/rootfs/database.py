"""The database of installed packages, as apk-tools reads and writes it: installed, scripts.tar, triggers.

Source: apk-tools 3, database.c, and apk-package(5).
"""

from __future__ import annotations

import base64
import tarfile
from typing import TYPE_CHECKING

from melpy.apk.model import join_licences
from melpy.apk.pkginfo import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.apk.model import IndexEntry

SCRIPT_NAMES = (
    ".pre-install",
    ".post-install",
    ".pre-deinstall",
    ".post-deinstall",
    ".pre-upgrade",
    ".post-upgrade",
    ".trigger",
)
"""The control member's files that are scripts, in apk-tools' order."""

END_OF_TAR = bytes(1024)


def render_installed(package: IndexEntry) -> str:
    """Return the lines that begin a package's part of the database, in apk-tools' order."""
    info = package.info
    lines = [
        f"C:{package.checksum}",
        f"P:{one_line(info.name)}",
        f"V:{one_line(info.version)}",
        f"A:{one_line(info.arch)}",
        f"S:{package.size}",
        f"I:{info.installed_size}",
        f"T:{one_line(info.description)}",
        f"U:{one_line(info.url)}",
        f"L:{one_line(join_licences(info.licenses))}",
    ]
    optional = (
        ("o", info.origin),
        ("m", info.maintainer),
        ("t", str(info.build_date or "")),
        ("c", info.commit),
        ("k", info.provider_priority.strip("0") and info.provider_priority),
        ("D", " ".join(info.depends)),
        ("p", " ".join(info.provides)),
        ("i", " ".join(info.install_if)),
        ("r", " ".join(info.replaces)),
        ("q", info.replaces_priority.strip("0") and info.replaces_priority),
    )
    lines += [f"{key}:{one_line(value)}" for key, value in optional if value]
    return "\n".join(lines)


def render_scripts(package: IndexEntry, control: Mapping[str, bytes]) -> bytes:
    """Return a package's piece of scripts.tar; empty when it has no scripts.

    Args:
        package: the package.
        control: files of its control member.
    """
    digest = base64.b64decode(package.checksum.removeprefix("Q1")).hex()
    pieces = []
    for script in SCRIPT_NAMES:
        content = control.get(script)
        if content is None:
            continue
        header = tarfile.TarInfo(f"{package.info.full_name}.X1{digest}{script}")
        header.size, header.mode, header.mtime = len(content), 0o755, package.info.build_date
        header.uname = header.gname = "root"
        pieces += [header.tobuf(tarfile.GNU_FORMAT), content, bytes(-len(content) % 512)]
    return b"".join(pieces)


def render_triggers(packages: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Return the triggers file, from packages' identities and the directories that they watch."""
    lines = [f"{checksum} {' '.join(triggers)}\n" for checksum, triggers in packages if triggers]
    return "".join(lines)
