"""Ranges of recipes: which of their keys are kept.

A recipe's table under `data` makes one subpackage for each of its keys, such as a version of Python. The user can
restrict a table of a name, in all recipes, to some keys; subpackages of the other keys are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import SettingsError, hint_near

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORM = "write py-versions=3.13, where the table under `data` is called py-versions; commas part several keys"


def parse_range(text: str) -> tuple[str, frozenset[str]]:
    """Return the name of a table and the keys that it is restricted to, from `NAME=KEY[,KEY...]`.

    Raises:
        SettingsError: it is not of this form; the error has no place.
    """
    name, equals, keys = text.partition("=")
    kept = frozenset(key.strip() for key in keys.split(","))
    if not equals or not name.strip() or "" in kept:
        raise SettingsError(f"{text!r} is not NAME=KEY", hint=FORM)
    return name.strip(), kept


def check_ranges(wanted: Mapping[str, frozenset[str]], tables: Iterable[tuple[str, Iterable[str]]], where: str) -> None:
    """Check that restricted names and keys are those of some table.

    Args:
        wanted: the keys that tables are restricted to.
        tables: name and keys of each table of the recipes.
        where: who restricts them, for messages.

    Raises:
        SettingsError: one is in no table.
    """
    known: dict[str, set[str]] = {}
    for name, keys in tables:
        known.setdefault(name, set()).update(keys)
    for name, keys in wanted.items():
        if name not in known:
            names = f"their tables under `data` are {', '.join(sorted(known))}"
            hint = hint_near(name, known, names) if known else "they have no tables under `data`"
            raise SettingsError(f"no recipe has a range {name!r}", where=where, hint=hint)
        for key in sorted(keys - known[name]):
            hint = f"its keys are {', '.join(sorted(known[name]))}"
            raise SettingsError(f"no recipe's range {name!r} has a key {key!r}", where=where, hint=hint)
