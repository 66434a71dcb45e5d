"""Debian's order of versions, written down from deb-version(7), not from melpy's code."""

from __future__ import annotations

import re

PartKey = tuple[tuple[tuple[int, ...], int], ...]


def debian_key(version: str) -> tuple[PartKey, PartKey, int]:
    """Return a key that sorts as `dpkg --compare-versions` does, but for the epoch, which counts last."""
    epoch, colon, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    return part_key(upstream if dash else revision), part_key(revision if dash else "0"), int(epoch) if colon else 0


def part_key(part: str) -> PartKey:
    """Return a key that sorts as an upstream version or a revision does."""
    pieces = [*re.findall(r"([^0-9]+)([0-9]*)|()([0-9]+)", part), ("", "", "", "")]
    return tuple(((*(_weight(character) for character in a + b), 0), int(m or n or 0)) for a, m, b, n in pieces)


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
