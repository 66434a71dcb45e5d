"""Debian versions become APK versions, in the same order.

A Debian version is a list of pieces of text and numbers in turn (deb-version(7)); APK has numbers with dots, one
letter, and any number of suffixes with a number. So `14.2.0-19` becomes `14.2.0_p19-r0`, and every piece of text
further on is a number that sorts as the text does: `1.3.1-1+deb13u1` becomes `1.3.1_p1_p68_p13_p54_p1-r0`. Debian's
number of a rebuild, which changes no source, differs between architectures and counts from 1, is what APK has releases
for: `5.2.37-2+b10` becomes `5.2.37_p2-r10`.

The order is kept exactly, with three exceptions. The epoch is left out: recipes ask for upstream's versions
(`go>=1.22`, `zlib-dev~1.3`), and APK has nothing that sorts before the first number; an index of the seed never
holds two versions of a package. `+b1` at the end is always taken for a rebuild, though what has no revision would sort
above the same with one, then. And an upstream version or a revision that does not begin with a digit (no package of
trixie's 68,829 has one) is taken to begin with 0.
"""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_PIECE = re.compile(r"([^0-9]*)([0-9]*)")
_BLOCK = 4
_REALLY = re.compile(r".*\+really([0-9].*)")
_READABLE = re.compile(
    r"(?P<head>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z](?![a-z0-9]))?(?:~?(?P<pre>alpha|beta|rc)(?P<n>[0-9]*))?"
)
_REBUILD = re.compile(r"(.+)\+b([0-9]+)")
_END = "\0"
_ALPHABET = "~" + _END + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + "+-.:"
_RANK = {character: rank for rank, character in enumerate(_ALPHABET)}
# What most often stands between numbers in trixie's versions. A text of this list is one number; any other is the
# number of the gap it falls into, and more numbers for its characters. The list decides the numbers of all texts,
# so a change of it is a change of `manifest.CONVERTER`.
_TEXTS = (
    "~ ~alpha ~b ~beta ~bpo ~deb ~dfsg ~ds ~git ~pre ~rc ~repack ~svn a b c d e f p u cross deb esr git pl rc "
    "ubuntu + +b +cvs +deb +debian +dfsg +dfsg. +dfsg+~ +ds +ds. +eclipse +git +git. +hg +nmu +r +really +repack "
    "+svn +~ +~cs - . .dfsg .ds .git .post"
).split()
# `1.dfsg` sorts above `1.N` for every N. Dates with a time have 14 digits; apk-tools counts in 64 bits.
_ABOVE_NUMBERS = 10**18


def map_version(version: str) -> str:
    """Return the APK version for a Debian one; see the module for what is kept of the order."""
    rebuild = _REBUILD.fullmatch(version)
    upstream, revision = _split(rebuild[1] if rebuild else version)
    head = _HEAD.match(upstream)
    numbers = head[0].split(".") if head else ["0"]
    rest = upstream[head.end() :] if head else upstream
    if rest == ".":  # the number that is missing is 0
        numbers, rest = [*numbers, "0"], ""
    text = ".".join(str(int(number)) for number in numbers)
    text += "".join(_continue_upstream(rest))
    first = _PIECE.match(revision if revision[:1].isdigit() else f"0{revision}")
    assert first is not None
    text += f"_p{int(first[2])}" + "".join(_chain(first.string[first.end() :]))
    return f"{text}-r{int(rebuild[2]) if rebuild else 0}"


def readable_version(version: str) -> str:
    """Return upstream's version as a recipe would write it, with Debian's revision as release: `1.3.1-r1`.

    This is what packages that only stand for others carry; it may put two Debian versions in one.
    """
    upstream, revision = _split(version)
    really = _REALLY.fullmatch(upstream)
    match = _READABLE.match(really[1] if really else upstream)
    if match is None:
        return "0-r0"
    text = ".".join(str(int(number)) for number in match["head"].split(".")) + (match["letter"] or "")
    if match["pre"]:
        text += f"_{match['pre']}{match['n']}"
    release = re.match(r"[0-9]+", revision)
    return f"{text}-r{int(release[0]) if release else 0}"


def _split(version: str) -> tuple[str, str]:
    _, colon, rest = version.partition(":")
    upstream, _, revision = (rest if colon else version).rpartition("-")
    # Without a revision, rpartition leaves everything in its last part. No revision is the same as revision 0.
    return (upstream, revision) if upstream else (revision, "0")


def _continue_upstream(rest: str) -> Iterator[str]:
    """Yield what follows upstream's first numbers.

    The revision is a suffix. What sorts below it is a suffix of the kinds before the plain version; what sorts
    above it begins with a letter; and what sorts above `.N` is a number of its own.
    """
    if not rest:
        return
    if rest[0] == "." and rest[1:2] not in ("", "~"):
        yield f".{_ABOVE_NUMBERS}"
    elif rest[0] != "~":
        yield "a" if rest[0].isalpha() else {"+": "p", "-": "q"}.get(rest[0], "z")
    yield from _chain(rest)


def _chain(rest: str) -> Iterator[str]:
    """Yield pieces of text and numbers as suffixes."""
    position = 0
    while position < len(rest):
        piece = _PIECE.match(rest, position)
        assert piece is not None
        # Only a tilde sorts before the end of a version.
        kind = "rc" if piece[1][:1] == "~" else "p"
        yield from (f"_{kind}{number}" for number in _text_numbers(piece[1]))
        yield f"_p{int(piece[2] or 0)}"
        position = piece.end()


def _text_numbers(text: str) -> Iterator[int]:
    """Yield numbers that sort as the text does: even for a frequent one, odd for the gaps between these."""
    key = _text_key(text)
    gap = bisect.bisect_left(_KEYS, key)
    if _KEYS[gap : gap + 1] == [key]:
        yield 2 * gap + 2
        return
    yield 2 * gap + 1
    # Blocks of four characters; the last one is padded with what sorts as the end of a text does.
    for start in range(0, len(text) + 1, _BLOCK):
        number = 0
        for rank in _ranks(text[start : start + _BLOCK].ljust(_BLOCK, _END)):
            number = number * len(_ALPHABET) + rank
        yield number


def _text_key(text: str) -> tuple[int, ...]:
    return (*_ranks(text), _RANK[_END])


def _ranks(text: str) -> Iterator[int]:
    return (_RANK.get(character, len(_ALPHABET) - 1) for character in text)


_KEYS = sorted(map(_text_key, _TEXTS))
