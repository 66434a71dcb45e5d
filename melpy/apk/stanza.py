"""One package of an index as it is written there: `letter:value` lines.

A large index is read in a fraction of the time when only what is looked at is parsed, so a stanza is text until
then. Source: apk-tools 3, apk-package(5) and its index writer.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.apk.model import IndexEntry, PackageInfo, join_licences
from melpy.apk.pkginfo import one_line
from melpy.bound import parse_number, shorten
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LISTS = frozenset("Dpi")
"""Fields that go on where they are repeated."""
_KNOWN = frozenset("CPVASITULD" + "FMRZ")
"""Fields in upper case, those of the database of installed packages included. What has another is not for us."""

_HEAD = re.compile(r"C:(.*)\nP:(.*)\nV:(.*)\nA:(.*)\n")
"""How apk, melange and melpy begin a stanza; matched at once, it takes a quarter of the time."""

LONGEST_STANZA = 4 << 20
"""Bytes of one package in an index; the longest real ones have some 100,000."""
_LARGEST_INDEX = 128 << 20  # bytes of memory for the texts of all packages; 60,000 take 60 million

_FILE_PART = re.compile(r"[^\s/\x00-\x1f.][^\s/\x00-\x1f]*")


def render_stanza(entry: IndexEntry) -> str:
    """Return the lines of a package, without a line end after the last."""
    info = entry.info
    lines = [
        f"C:{entry.checksum}\nP:{info.name}\nV:{info.version}\nA:{info.arch}",
        f"S:{entry.size}\nI:{info.installed_size}\nT:{one_line(info.description)}",
    ]
    optional = (
        ("U", info.url),
        ("L", join_licences(info.licenses)),
        ("o", info.origin),
        ("m", info.maintainer),
        ("t", str(info.build_date or "")),
        ("c", info.commit),
        ("k", "" if info.provider_priority == "0" else info.provider_priority),
        ("D", " ".join(info.depends)),
        ("p", " ".join(info.provides)),
        ("i", " ".join(info.install_if)),
    )
    lines += [f"{key}:{one_line(value)}" for key, value in optional if value]
    return "\n".join(lines)


def hold_stanzas(stanzas: Iterable[str], *, where: str) -> tuple[str, ...]:
    """Return all packages of an index, unless they take more memory than those of any honest one.

    Raises:
        PackageFormatError: they do.
    """
    held: list[str] = []
    size = 0
    for stanza in stanzas:
        size += sys.getsizeof(stanza)
        if size > _LARGEST_INDEX:
            raise PackageFormatError("is an index that unpacks to far more than an honest one", where=where)
        held.append(stanza)
    return tuple(held)


def find_field(stanza: str, letter: str) -> str:
    """Return the first value of a field, empty where there is none."""
    if stanza.startswith(f"{letter}:"):
        return stanza.partition("\n")[0][2:]
    start = stanza.find(f"\n{letter}:")
    if start < 0:
        return ""
    end = stanza.find("\n", start + 3)
    return stanza[start + 3 : end if end >= 0 else None]


def find_identity(stanza: str) -> Sequence[str]:
    """Return checksum, name, version and architecture, each empty where it is missing."""
    head = _HEAD.match(stanza)
    return head.groups() if head else [find_field(stanza, letter) for letter in "CPVA"]


def find_items(stanza: str, letter: str) -> list[str]:
    """Return the values of a field that holds a list, which goes on where it is repeated."""
    mark = f"\n{letter}:"
    # The first line has nothing before it.
    items = stanza.partition("\n")[0][2:].split() if stanza.startswith(mark[1:]) else []
    start = stanza.find(mark)
    while start >= 0:
        end = stanza.find("\n", start + 3)
        items += stanza[start + 3 : end if end >= 0 else None].split()
        start = stanza.find(mark, start + 3)
    return items


def parse_stanza(stanza: str, *, where: str) -> IndexEntry:
    """Read the lines of a package; unknown ones in lower case are ignored.

    Raises:
        PackageFormatError: a line is malformed, or name, version or checksum is missing or not stated once.
    """
    fields: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for line in stanza.split("\n"):
        if line[1:2] != ":":
            raise PackageFormatError(f"malformed line {shorten(line)} in the index", where=where)
        key, value = line[0], line[2:]
        if key in fields and key in "CPVA":
            raise PackageFormatError(f"a package of the index has two lines {key}: {shorten(value)}", where=where)
        fields[key] = value
        if key in _LISTS:
            lists.setdefault(key, []).extend(value.split())
    get = fields.get
    try:
        info = PackageInfo(
            name=fields["P"],
            version=fields["V"],
            arch=get("A", ""),
            installed_size=parse_number(get("I") or "0"),
            origin=get("o", ""),
            description=get("T", ""),
            url=get("U", ""),
            commit=get("c", ""),
            maintainer=get("m", ""),
            build_date=parse_number(get("t") or "0"),
            licenses=(get("L", ""),) if get("L") else (),
            depends=tuple(lists.get("D", ())),
            provides=tuple(lists.get("p", ())),
            install_if=tuple(lists.get("i", ())),
            provider_priority=get("k", ""),
        )
        return IndexEntry(info, fields["C"], parse_number(get("S") or "0"))
    except (KeyError, ValueError) as error:
        raise PackageFormatError(f"a package of the index lacks or garbles {error}", where=where) from None


def place_stanza(stanza: str, arch: str) -> str:
    """Return a package for every architecture as one for that of the directory where it lies.

    Clients make up its place from what its stanza says; so does apk, with `apk index --rewrite-arch`.

    Args:
        stanza: its lines.
        arch: the architecture; empty leaves it as it is.
    """
    return stanza.replace("\nA:noarch\n", f"\nA:{arch}\n", 1) if arch else stanza


def is_understood(stanza: str) -> bool:
    """Tell whether a package can be installed: apk leaves out what has an unknown field in upper case.

    Nor does it install what has a dependency that is none; and what would lie elsewhere is none of a repository's.
    """
    if not all(line[:1].islower() or line[:1] in _KNOWN for line in stanza.split("\n")):
        return False
    _, name, version, arch = find_identity(stanza)
    if not (_FILE_PART.fullmatch(name) and _FILE_PART.fullmatch(version) and (not arch or _FILE_PART.fullmatch(arch))):
        return False  # no file can be called so, or it would lie elsewhere
    try:
        for text in find_items(stanza, "D"):
            parse_dependency(text)
    except PackageFormatError:
        return False
    return True
