"""What expressions in `${{…}}` have beside Jinja's own filters and tests: for versions, names and texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.apk.version import compare_versions
from melpy.plan.substitution import replace_all

if TYPE_CHECKING:
    from collections.abc import Callable


def part(version: str, number: int) -> str:
    """Return one of the numbers of a version, counted from 0: of 3.14.7 number 1 is 14; empty when it has fewer."""
    parts = re.split(r"[._-]", version)
    return parts[number] if number < len(parts) else ""


def parts(version: str, count: int, separator: str = ".") -> str:
    """Return the beginning of a version: the first two of 3.14.7 are 3.14."""
    return separator.join(re.split(r"[._-]", version)[:count])


def mangle(text: str, separator: str = "_") -> str:
    """Return a text with everything but letters and digits replaced: `"1.2-rc1" | mangle` is 1_2_rc1."""
    return re.sub(r"[^A-Za-z0-9]+", lambda _: separator, text)


def regex_replace(text: str, pattern: str, replacement: str) -> str:
    """Return a text with every match replaced, in the syntax of var-transforms."""
    return replace_all(pattern, replacement, text)


def at_least(version: str, other: str) -> bool:
    """Tell whether a version is another one or newer, as apk orders them."""
    return compare_versions(version, other) >= 0


def below(version: str, other: str) -> bool:
    """Tell whether a version is older than another one, as apk orders them."""
    return compare_versions(version, other) < 0


FILTERS: dict[str, Callable[..., str]] = {
    "part": part,
    "parts": parts,
    "mangle": mangle,
    "regex_replace": regex_replace,
}
"""Filters by name."""

TESTS: dict[str, Callable[[str, str], bool]] = {"at_least": at_least, "below": below}
"""Tests by name."""
