"""Which of Debian's names are another's with a version in it: `libpng16-16t64` is libpng, `libglib2.0-dev` is glib's.

A library's version is part of its package's name in Debian (and `t64`, since time_t has 64 bits everywhere), and
often of its development and source package's. Names are grouped, so that one is found among 69,000 without looking at
each of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENDING = re.compile(r"(?<=.)-(?:bin|data|dev|doc|tools|utils)$")
_LIB = "lib"
_KEY = 2  # letters


class Likeness:
    """Names, grouped by their first letters."""

    def __init__(self, names: Iterable[str]) -> None:
        self._groups: dict[str, list[str]] = {}
        for name in names:
            self._groups.setdefault(_key(name), []).append(name)

    def find(self, stem: str, ending: str = "", *, strict: bool = False) -> tuple[str, ...]:
        """Return the names that are `[lib]<stem>[<version>]<ending>`, the likeliest first.

        A hyphen more or less makes no difference. Of several, those of libraries come first. What is asked for as a
        library is nothing else; when strict, neither is what is not.
        """
        pattern = _pattern(stem.removeprefix(_LIB))
        wanted = {True} if stem.startswith(_LIB) and not ending else {True, False}
        if strict:
            wanted = {stem.startswith(_LIB)}
        found = []
        for name in self._groups.get(_key(stem), ()):
            shorter, own_ending = _split(name)
            match = pattern.fullmatch(shorter.removeprefix(_LIB)) if own_ending == ending else None
            if match and name.startswith(_LIB) in wanted:
                found.append((name.startswith(_LIB), *_rank(match[1]), name))
        return tuple(item[-1] for item in sorted(found, reverse=True))


def _rank(version: str) -> tuple[int, bool, list[int]]:
    """Order versions: libssh-4 is libssh.so.4, but libssh2-1 is libssh2.so.1, another library; then the highest."""
    return -version[1:].count("-"), version.startswith("-"), [int(number) for number in re.findall("[0-9]+", version)]


def _split(name: str) -> tuple[str, str]:
    match = _ENDING.search(name)
    return (name[: match.start()], match[0]) if match else (name, "")


def _key(name: str) -> str:
    return name.removeprefix(_LIB).replace("-", "")[:_KEY]


def _pattern(stem: str) -> re.Pattern[str]:
    letters = "-?".join(re.escape(letter) for letter in stem if letter != "-")
    # A number that would only be longer is another number.
    start, letter = ("-", "") if stem[-1:].isdigit() else ("-?", "[0-9]+[a-z]|")
    return re.compile(rf"{letters}((?:{letter}{start}[0-9][-.0-9]*(?:v[0-9]+)?)?)(?:t64)?")
