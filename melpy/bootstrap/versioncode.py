"""Numbers that sort as parts of Debian versions do.

A part, upstream's version or a revision, is a list of texts and numbers in turn (deb-version(7)). Two codes keep the
order of parts: `encode_digits` gives decimal digits that a reader can take apart, `encode_parts` an interval between 0
and 1 that takes a third less room (arithmetic coding). Both are made of fixed tables. A change of them gives other
versions, so it needs a change of `manifest.CONVERTER`.
"""

from __future__ import annotations

import bisect
import functools
import re
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = re.compile(r"([^0-9]*)([0-9]*)")
_END = "\0"
# deb-version(7): a tilde sorts before the end of a text, letters before everything else.
_ALPHABET = "~" + _END + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + "+-.:"
_RANK = {character: rank for rank, character in enumerate(_ALPHABET)}
_SEPARATORS = "~+-."
_HEXADECIMAL = frozenset("abcdef")
# What most often stands between numbers in the archive's versions, by the number of its digits.
_TEXTS = {
    1: ("", "+b", "."),
    2: "~ ~deb ~bpo ~git ~rc u b + +deb +dfsg +ds +git +really +~ +~cs -".split(),
    3: (
        "~alpha ~beta ~cvs ~dev ~dfsg ~ds ~hg ~pre ~r ~repack ~svn a c d e f g h p r cross dfsg debian esr git pl rc "
        "ubuntu +cvs +debian +dfsg. +dfsg+~ +ds. +ds+~ +eclipse +hg +nmu +r +repack +svn -g .dev .dfsg .ds .git .post "
        ".r"
    ).split(),
}
# How often texts occur in upstream's versions, roughly; the empty one is the end of a version.
_FREQUENCIES = {
    "": 60,
    "~": 10,
    "~git": 10,
    "~rc": 6,
    "~bpo": 5,
    "~beta": 4,
    "~dfsg": 4,
    "~alpha": 3,
    "~deb": 3,
    "~ds": 3,
    "~pre": 3,
    "~svn": 3,
    "~hg": 1,
    "~repack": 1,
    **dict.fromkeys("abcdef", 10),
    "u": 4,
    "git": 3,
    "rc": 3,
    "p": 2,
    "dfsg": 1,
    "esr": 1,
    "pl": 1,
    "+dfsg": 30,
    "+ds": 25,
    "+": 20,
    "+b": 20,
    "+git": 15,
    "+~": 15,
    "+deb": 10,
    "+~cs": 10,
    "+eclipse": 6,
    "+really": 5,
    "+repack": 5,
    "+git.": 3,
    "+debian": 2,
    "+dfsg.": 2,
    "+ds.": 2,
    "+nmu": 2,
    "+svn": 2,
    "+r": 1,
    "-": 20,
    ".": 60,
    ".dfsg": 3,
    ".ds": 2,
    ".git": 2,
    ".dev": 1,
    ".post": 1,
    ".r": 1,
}
# How often numbers have one digit, two, ..., 14 or more; dates have eight.
_LENGTHS = (55, 20, 7, 5, 1, 2, 1, 7, 1, 1, 1, 1, 1, 2)
_MOST_DIGITS = 99  # of a number; longer ones are cut off


def encode_digits(part: str) -> str:
    """Return digits that sort as a part of a version does; no part's digits begin with those of another.

    A number below 90 is two digits, a longer one 9, its length less two, and itself. A text of the table is one, two or
    three digits. Any other text is the three digits of its gap and two for each character. 2 ends the part.
    """
    pieces = (_text_digits(text) + _number_digits(number) for text, number in _pieces(part))
    return "".join(pieces) + _text_digits("")


def encode_parts(*parts: str) -> tuple[Fraction, Fraction]:
    """Return beginning and end of the interval of a list of parts; intervals sort as the parts do, without overlap."""
    low, width = Fraction(0), Fraction(1)
    for part in parts:
        for start, size, total in _symbols(part):
            low += width * Fraction(start, total)
            width *= Fraction(size, total)
    return low, low + width


def _pieces(part: str) -> Iterator[tuple[str, str]]:
    """Yield texts and numbers without leading zeros; a number that is missing is 0."""
    position = 0
    while position < len(part):
        piece = _PIECE.match(part, position)
        assert piece is not None
        yield piece[1], piece[2].lstrip("0") or "0"
        position = piece.end()


def _number_digits(number: str) -> str:
    if len(number) <= 2 and int(number) < 90:
        return number.zfill(2)
    if len(number) <= 10:
        return f"9{len(number) - 2}{number}"
    return f"99{min(len(number), _MOST_DIGITS):02}{number}"


def _text_digits(text: str) -> str:
    key = _text_key(text)
    place = bisect.bisect_left(_KEYS, key)
    if _KEYS[place : place + 1] == [key]:
        return _CODES[place]
    return _GAPS[place] + "".join(f"{rank:02}" for rank in key)


def _text_key(text: str) -> tuple[int, ...]:
    return tuple(_rank(character) for character in text + _END)


def _rank(character: str) -> int:
    return _RANK.get(character, len(_ALPHABET) - 1)


def _table() -> Iterator[tuple[str, str, str]]:
    """Yield each text of the table, its digits, and those of the gap below it; at last the gap above all."""
    widths = {text: width for width, texts in _TEXTS.items() for text in texts}
    position = 0
    for text in sorted(widths, key=_text_key):
        size = 10 ** (3 - widths[text])
        start = -(-(position + 1) // size) * size  # at least one number for the gap, a round one for the text
        yield text, f"{start:03}"[: widths[text]], f"{position:03}"
        position = start + size
    yield "", "", f"{position:03}"


_KEYS = [_text_key(text) for text, _, _ in _table()][:-1]
_CODES = [code for _, code, _ in _table()][:-1]
_GAPS = [gap for _, _, gap in _table()]


def _symbols(part: str) -> Iterator[tuple[int, int, int]]:
    """Yield where each symbol of a part begins, how much it has, and of how much.

    Symbols are the characters of texts, their ends, the lengths of numbers, and numbers.
    """
    hashed = False
    for text, number in (*_pieces(part), ("", "")):
        context = ""
        for character in text + _END:
            sizes = _sizes(context, hashed=hashed)
            rank = _rank(character)
            yield sum(sizes[:rank]), sizes[rank], sum(sizes)
            context = character if character in _SEPARATORS else context + character
        if number:
            length = min(len(number), len(_LENGTHS))
            yield sum(_LENGTHS[: length - 1]), _LENGTHS[length - 1], sum(_LENGTHS)
            if length == len(_LENGTHS):
                length = min(len(number), _MOST_DIGITS)
                yield length - len(_LENGTHS), 1, _MOST_DIGITS
            first = 10 ** (length - 1) if length > 1 else 0
            yield int(number[:length]) - first, 1, 10**length - first
        hashed = bool(text) and _HEXADECIMAL.issuperset(text)


@functools.lru_cache(maxsize=1024)
def _sizes(context: str, *, hashed: bool) -> tuple[int, ...]:
    """Return how much each character gets.

    Args:
        context: characters of the text so far, from its last separator on.
        hashed: the text before was of hexadecimal digits, so this is likely one as well.
    """
    return tuple(_size(context, character, hashed=hashed) for character in _ALPHABET)


def _size(context: str, character: str, *, hashed: bool) -> int:
    if character == _END:
        return 60 + 3 * _FREQUENCIES.get(context, 0)
    frequency = _frequency(context + character)
    if context and character in _SEPARATORS:  # within a text, another may begin: `a+dfsg`
        frequency = max(frequency, _frequency(character) // 10)
    if character in _HEXADECIMAL:
        return (250 if hashed and not context else 25) + 3 * frequency
    return 1 + 3 * frequency


def _frequency(beginning: str) -> int:
    return sum(frequency for text, frequency in _FREQUENCIES.items() if text.startswith(beginning))
