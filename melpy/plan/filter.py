"""What expressions in `${{…}}` have beside Jinja's own filters and tests: for versions, names and texts.

Some stand in place of Jinja's own of that name, which know no bounds.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from melpy.apk.version import compare_versions
from melpy.plan.substitution import find_match, replace_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST = 1_000_000
"""How long a text may be that a filter or an operator makes."""


def weigh(value: object) -> int:
    """Return about how long a value is as text."""
    if isinstance(value, str):
        return len(value) + 1
    return sum(map(weigh, value)) + 1 if isinstance(value, list | tuple) else 1


def part(version: str, number: int) -> str:
    """Return one of the numbers of a version, counted from 0: of 3.14.7 number 1 is 14; empty when it has fewer."""
    parts = re.split(r"[._-]", version)
    return parts[number] if number < len(parts) else ""


def parts(version: str, count: int, separator: str = ".") -> str:
    """Return the beginning of a version: the first two of 3.14.7 are 3.14."""
    return join(re.split(r"[._-]", version)[:count], separator)


def mangle(text: str, separator: str = "_") -> str:
    """Return a text with everything but letters and digits replaced: `"1.2-rc1" | mangle` is 1_2_rc1."""
    return join(re.split(r"[^A-Za-z0-9]+", text), separator)


def regex_replace(text: str, pattern: str, replacement: str) -> str:
    """Return a text with every match replaced, in the syntax of var-transforms."""
    return replace_all(pattern, replacement, text, limit=LONGEST)


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    """Return a text with every `old` in it replaced, or the first `count` of them.

    Raises:
        ValueError: the result would be too long.
    """
    if text.count(old) * len(new) > LONGEST:
        raise ValueError("the result would be too long")
    return text.replace(old, new, count)


def rounded(number: float, precision: int = 0) -> float:
    """Return a number rounded to so many decimal places, of which a number has some fifteen."""
    return round(number, max(-15, min(precision, 15)))


def total(numbers: Iterable[float]) -> float:
    """Return the sum of numbers."""
    return sum(numbers)


def split(text: str, separator: str | None = None) -> list[str]:
    """Return the pieces of a text between separators, or between blanks."""
    return text.split(separator)


def join(items: Iterable[Any], separator: str = "", attribute: str | int | None = None) -> str:
    """Return one text of several, or of what each of them has under a name.

    Raises:
        ValueError: the result would be too long.
    """
    texts = [str(item if attribute is None else item[attribute]) for item in items]
    if sum(map(len, texts)) + len(separator) * len(texts) > LONGEST:
        raise ValueError("the result would be too long")
    return separator.join(texts)


def tojson(value: Any) -> str:  # whatever an expression makes
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False, default=lambda node: node.plain())


def at_least(version: str, other: str) -> bool:
    """Tell whether a version is another one or newer, as apk orders them."""
    return compare_versions(version, other) >= 0


def below(version: str, other: str) -> bool:
    """Tell whether a version is older than another one, as apk orders them."""
    return compare_versions(version, other) < 0


def matching(text: str, pattern: str) -> bool:
    """Tell whether a regular expression, in the syntax of var-transforms, matches somewhere in a text."""
    return find_match(pattern, text)


FILTERS: dict[str, Callable[..., object]] = {
    "part": part,
    "parts": parts,
    "mangle": mangle,
    "regex_replace": regex_replace,
    "replace": replace,
    "split": split,
    "join": join,
    "tojson": tojson,
    "round": rounded,
    "sum": total,
}
"""Filters by name."""

TESTS: dict[str, Callable[[str, str], bool]] = {"at_least": at_least, "below": below, "matching": matching}
"""Tests by name."""
