"""Which Debian archive a machine uses, and with which keys: read from its own apt configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_KEYRINGS = tuple(
    Path(directory, f"debian-archive-keyring.{suffix}")
    for directory in ("/usr/share/keyrings", "/etc/apt/keyrings")
    for suffix in ("pgp", "gpg")
)
# Debian's own archive, a snapshot of it, or a list of its mirrors; not debian-security, nor others' archives.
_ARCHIVE = re.compile(r"[a-z+]+:/.*/(?:debian|debian\.list|debian/[0-9]{8}T[0-9]{6}Z)/?")
_ONE_LINE = re.compile(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(?P<uri>\S+)\s+(?P<rest>.*)")


def find_keyring(candidates: Iterable[Path] = _KEYRINGS) -> Path:
    """Return the keyring of Debian's archive.

    Raises:
        SeedError: there is none.
    """
    for path in candidates:
        if path.is_file():
            return path
    raise SeedError(
        "the keys of Debian's archive are not installed",
        where=str(_KEYRINGS[0].parent),
        hint="install the package debian-archive-keyring",
    )


def find_mirror(etc: Path = Path("/etc/apt")) -> str:
    """Return the URI of the Debian archive that this machine's apt uses.

    Raises:
        SeedError: it uses none, as on relatives of Debian.
    """
    for uri in _configured(etc):
        if _ARCHIVE.fullmatch(uri):
            return uri
    raise SeedError(
        "apt on this machine uses no archive of Debian",
        where=str(etc),
        hint='name a mirror with --seed-mirror, or write seed-mirror = "https://…/debian" into melpy.toml',
    )


def _configured(etc: Path) -> Iterator[str]:
    parts = sorted((etc / "sources.list.d").glob("*")) if (etc / "sources.list.d").is_dir() else []
    for path in (etc / "sources.list", *parts):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # not there, or not for this user's eyes
        if path.suffix == ".sources":
            yield from parse_deb822(text)
        elif path.suffix == ".list":
            yield from parse_one_line(text)


def parse_one_line(text: str) -> Iterator[str]:
    """Yield the URIs of binary packages in a sources.list of one line each."""
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].rstrip())
        if match:
            yield match["uri"]


def parse_deb822(text: str) -> Iterator[str]:
    """Yield the URIs of binary packages in a deb822 .sources file; stanzas that are switched off are passed over."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[key] = f"{fields.get(key, '')} {line.strip()}"
            else:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            yield from fields.get("uris", "").split()
