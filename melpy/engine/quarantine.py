"""The quarantine list: recipes that are not built for a time, each with the reason and the last day.

The file is TOML, `quarantine.toml` by default:

    [[quarantine]]
    recipe = "libfoo"          # or a glob: "py3-*"
    reason = "its tests fail with GCC 15"
    until = 2027-01-31         # the last day
    arch = "aarch64"           # optional: a name, or a list of names

An entry whose last day has passed has no effect, and is named in a warning, so that no recipe is forgotten there.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NoReturn

from melpy.arch import parse_arch
from melpy.bound import LARGEST_TEXT, read_file, shorten
from melpy.codec import Noun
from melpy.errors import Place, SettingsError, hint_near, reason_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

FILE_NAME = "quarantine.toml"
"""Name of the quarantine list, next to melpy.toml, where no other is named."""

_TABLE = "quarantine"
_KEYS = ("recipe", "reason", "until", "arch")
_HEADER = re.compile(r"\s*\[\[\s*[\"']?quarantine[\"']?\s*\]\]")
_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
_EXAMPLE = "write a day as 2027-01-31, without quotes"


class QuarantineEntry(Noun, frozen=True):
    """A recipe that is not built for a time.

    Attributes:
        recipe: its name, or a glob.
        reason: why.
        until: the last day, as `2027-01-31`.
        arches: architectures that it counts for; all without one.
        line: line of the file where the entry begins; 0 where that is not known.
    """

    recipe: str
    reason: str
    until: str
    arches: tuple[str, ...] = ()
    line: int = 0

    @property
    def told(self) -> str:
        """The reason as a run tells it."""
        return f"quarantined until {self.until}: {self.reason}"


class Quarantine(Noun, frozen=True):
    """A quarantine list as it is on a day.

    Attributes:
        file: where it stands.
        entries: those that count.
        expired: those whose last day has passed.
    """

    file: str = ""
    entries: tuple[QuarantineEntry, ...] = ()
    expired: tuple[QuarantineEntry, ...] = ()

    def find(self, recipe: str, arch: str) -> QuarantineEntry | None:
        """Return the first entry for a recipe and architecture that counts."""
        for entry in self.entries:
            if fnmatchcase(recipe, entry.recipe) and (not entry.arches or arch in entry.arches):
                return entry
        return None

    def find_warnings(self) -> tuple[SettingsError, ...]:
        """Return a warning for each entry that has expired."""
        return tuple(
            SettingsError(
                f"the quarantine of {entry.recipe} ended on {entry.until}, so it is built again ({entry.reason})",
                where=Place(self.file, entry.line, 1 if entry.line else 0),
                hint="remove the entry, or give it a later day",
            )
            for entry in self.expired
        )

    def find_unmatched(self, known: Collection[str]) -> Iterator[SettingsError]:
        """Yield a warning for each entry that matches none of the known recipes."""
        for entry in self.entries:
            if not any(fnmatchcase(name, entry.recipe) for name in known):
                message = f"the quarantine of {entry.recipe} matches no recipe"
                place = Place(self.file, entry.line, 1 if entry.line else 0)
                yield SettingsError(message, where=place, hint=hint_near(entry.recipe, known, "remove the entry"))


def load_quarantine(path: Path, today: date) -> Quarantine:
    """Read a quarantine list.

    Args:
        path: the file.
        today: the day on which entries have expired or not.

    Raises:
        SettingsError: it cannot be read, or something in it cannot be used.
    """
    import tomllib  # noqa: PLC0415  # 8 ms that only a file needs

    try:
        text = read_file(path, LARGEST_TEXT, piped=True).decode()
    except OSError as error:
        raise SettingsError(f"the quarantine list cannot be read: {reason_of(error)}", where=str(path)) from None
    except UnicodeDecodeError:
        raise SettingsError("is not TOML: it is not UTF-8", where=str(path)) from None
    try:
        stated = tomllib.loads(text)
    except ValueError as error:  # of TOML, or of a number with thousands of digits
        at = _AT.search(str(error))
        where = Place(str(path), int(at[1]), int(at[2])) if at else str(path)
        raise SettingsError(f"is not TOML: {_AT.sub('', str(error))}", where=where, hint=_toml_hint(text, at)) from None
    reader = _Reader(str(path), text)
    entries = reader.read(stated)
    ended = {entry for entry in entries if entry.until < today.isoformat()}
    counting = tuple(entry for entry in entries if entry not in ended)
    return Quarantine(str(path), counting, tuple(entry for entry in entries if entry in ended))


def _toml_hint(text: str, at: re.Match[str] | None) -> str | None:
    lines = text.splitlines()
    line = lines[int(at[1]) - 1] if at and int(at[1]) <= len(lines) else ""
    return _EXAMPLE if line.lstrip().startswith("until") else None


class _Reader:
    """Reads entries, and finds the lines that errors are about, which the TOML library does not tell.

    Lines are found in the usual form alone, a `[[quarantine]]` table for each entry; otherwise the whole file is named.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._headers = [number for number, line in enumerate(self._lines, 1) if _HEADER.match(line)]

    def read(self, stated: Mapping[str, object]) -> tuple[QuarantineEntry, ...]:
        """Return the entries of a file.

        Raises:
            SettingsError: something in it cannot be used.
        """
        for key in stated:
            if key != _TABLE:
                self._fail(
                    f"unknown key {key!r}", self._find(key, 0, len(self._lines)), f"entries are [[{_TABLE}]] tables"
                )
        tables = stated.get(_TABLE, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._fail(f"{_TABLE} is no list of tables", Place(self._file), f"begin each entry with [[{_TABLE}]]")
        return tuple(self._entry(number, table) for number, table in enumerate(tables))

    def _entry(self, number: int, table: Mapping[str, object]) -> QuarantineEntry:
        head = self._at(number, "")
        for key in table:
            if key not in _KEYS:
                self._fail(
                    f"unknown key {key!r}", self._at(number, key), hint_near(key, _KEYS, f"keys are {', '.join(_KEYS)}")
                )
        for key in _KEYS[:3]:
            if key not in table:
                hints = {"recipe": "the name of a recipe, or a glob", "reason": "say why", "until": _EXAMPLE}
                self._fail(f"the entry has no key {key!r}", head, hints[key])
        texts = {}
        for key in ("recipe", "reason"):
            value = table[key]
            if not isinstance(value, str) or not value.strip():
                self._fail(f"{key} is no text: {shorten(value)}", self._at(number, key), f'write {key} = "…"')
            texts[key] = " ".join(value.split())
        until = table["until"]
        if not isinstance(until, date) or isinstance(until, datetime):
            self._fail(f"until is no day: {shorten(until)}", self._at(number, "until"), _EXAMPLE)
        return QuarantineEntry(
            texts["recipe"], texts["reason"], until.isoformat(), self._arches(number, table.get("arch", [])), head.line
        )

    def _arches(self, number: int, value: object) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._fail(
                f"arch is no list of texts: {shorten(value)}", self._at(number, "arch"), 'write arch = ["aarch64"]'
            )
        try:
            return tuple(parse_arch(name).apk for name in names)
        except SettingsError as error:
            self._fail(error.message, self._at(number, "arch"), error.hint)

    def _at(self, number: int, key: str) -> Place:
        """Return the place of a key of an entry, or of the entry."""
        if number >= len(self._headers):
            return Place(self._file)
        start = self._headers[number]
        end = self._headers[number + 1] - 1 if number + 1 < len(self._headers) else len(self._lines)
        found = self._find(key, start, end) if key else None
        return found if found and found.line else Place(self._file, start, 1)

    def _find(self, key: str, start: int, end: int) -> Place:
        form = re.compile(rf"(\s*\[*\s*)[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
        for number, line in enumerate(self._lines[start:end], start + 1):
            if match := form.match(line):
                return Place(self._file, number, len(match[1]) + 1)
        return Place(self._file)

    def _fail(self, message: str, where: Place, hint: str | None) -> NoReturn:
        raise SettingsError(message, where=where, hint=hint)
