"""Names that are nearly the same: the one mechanism behind every "did you mean".

A typing mistake changes a letter or two of one part of a name. What two names share besides, such as `lib…` and `-dev`,
does not make them alike: of `libfobar-dev` and `libcrypt-dev` the parts `libfobar` and `libcrypt` are compared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PARTS = re.compile(r"[^-_./:+~@]+|[-_./:+~@]")
_SEPARATORS = str.maketrans("", "", "-_./:+~@")
_LONGEST = 100  # characters; no name that somebody types is longer
_AFFIX = re.compile(r"^(?:lib(?=.{3})|py3|python3)")


def find_nearest(name: str, known: Iterable[str], limit: int = 1) -> tuple[str, ...]:
    """Return the known names that were probably meant, the nearest first; none rather than a far one."""
    if len(name) > _LONGEST:
        return ()
    bare = _squeeze(name)
    letters = set(bare)
    most = _tolerance(name) + 1
    found = []
    for other in known:
        # Few names of many pass these two, which cost a microsecond.
        squeezed = _squeeze(other)
        if abs(len(squeezed) - len(bare)) <= most and len(letters.symmetric_difference(squeezed)) <= 2 * most:
            distance = find_distance(name.lower(), other.lower())
            if distance is not None:
                found.append((distance, other[:1] != name[:1], other))
    return tuple(other for *_, other in sorted(found)[:limit])


def find_distance(name: str, other: str) -> int | None:
    """Return how many letters were mistyped for one name to become another; None where they are too many for that."""
    if _squeeze(name) == _squeeze(other):
        return 0
    first, second = _split_common(name, other)
    is_joined = len(_squeeze(name)) - len(name) != len(_squeeze(other)) - len(other)
    if is_joined:
        first, second = _squeeze(name), _squeeze(other)  # somebody left out a separator: Apache2 is Apache-2.0
    tolerance = min(_tolerance(first), _tolerance(second))
    tolerance += not is_joined and _begin_alike(first, second)
    if abs(len(first) - len(second)) > tolerance:
        return None
    distance = _edits(first, second)
    return distance if distance <= tolerance else None


def _squeeze(name: str) -> str:
    """Return a name without its separators."""
    return name.lower().translate(_SEPARATORS)


def _tolerance(text: str) -> int:
    """Return how many letters of a text may be mistyped: one of three to seven, two up to eleven, then three."""
    length = len(_AFFIX.sub("", text))
    return 0 if length < 3 else min(1 + (length >= 8) + (length >= 12), 3)


def _begin_alike(first: str, second: str) -> bool:
    """Tell whether the first half of two names is the same, so that more is forgiven in the rest: trixy, trixie."""
    first, second = _AFFIX.sub("", first), _AFFIX.sub("", second)
    half = (max(len(first), len(second)) + 1) // 2
    return half > 2 and first[:half] == second[:half]


def _split_common(name: str, other: str) -> tuple[str, str]:
    """Return two names without the parts with which both begin or end."""
    first, second = _PARTS.findall(name), _PARTS.findall(other)
    while len(first) > 1 and len(second) > 1 and first[0] == second[0]:
        del first[0], second[0]
    while len(first) > 1 and len(second) > 1 and first[-1] == second[-1]:
        del first[-1], second[-1]
    return "".join(first), "".join(second)


def _edits(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the optimal string alignment distance: letters added, left out, replaced, or two that changed places."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        previous, row, older = row, [i, *[0] * len(second)], before
        for j, other in enumerate(second, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                row[j] = min(row[j], older[j - 2] + 1)
        before = previous
    return row[-1]
