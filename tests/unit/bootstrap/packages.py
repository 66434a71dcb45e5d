"""Small suites and Debian packages, for tests."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy.bootstrap.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def stanza(name: str, version: str = "1.0-1", **fields: str) -> str:
    values = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        **{key.replace("_", "-").capitalize(): value for key, value in fields.items()},
        "Filename": f"pool/{name}.deb",
        "Size": "100",
        "SHA256": "0" * 64,
    }
    return "".join(f"{key}: {value}\n" for key, value in values.items())


def suite(*stanzas: str) -> Suite:
    return Suite(["\n".join(stanzas).encode()])


@dataclass(frozen=True)
class Item:
    """A member of a Debian package's data: a file with content, or a link (`->` symbolic, `=` hard), or a directory."""

    path: str
    content: bytes = b""
    link: str = ""
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644


def directory(path: str, mode: int = 0o755) -> Item:
    return Item(path, type=tarfile.DIRTYPE, mode=mode)


def symlink(path: str, target: str) -> Item:
    return Item(path, link=target, type=tarfile.SYMTYPE, mode=0o777)


def hard_link(path: str, target: str) -> Item:
    return Item(path, link=target, type=tarfile.LNKTYPE)


def write_deb(place: Path, *items: Item, **scripts: str) -> Path:
    """Write a Debian package (ar, control.tar.xz, data.tar.xz) and return its path."""
    control = _tar([Item(f"./{name}", text.encode(), mode=0o755) for name, text in scripts.items()])
    members = (("debian-binary", b"2.0\n"), ("control.tar.xz", control), ("data.tar.xz", _tar(items)))
    with place.open("wb") as stream:
        stream.write(b"!<arch>\n")
        for name, content in members:
            stream.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
            stream.write(content + b"\n" * (len(content) % 2))
    return place


def _tar(items: Iterable[Item]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz", format=tarfile.GNU_FORMAT) as tar:
        for item in items:
            info = tarfile.TarInfo(item.path)
            info.type, info.mode, info.linkname, info.size = item.type, item.mode, item.link, len(item.content)
            tar.addfile(info, io.BytesIO(item.content))
    return data.getvalue()
