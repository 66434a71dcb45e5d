"""Settings from their four sources: flags over environment over melpy.toml over defaults."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from melpy.bound import read_file
from melpy.config.kind import parse_text
from melpy.config.model import BY_KEY, FILE_NAME, SETTINGS, Setting, Settings, Value, name_place
from melpy.errors import SettingsError, hint_near, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LARGEST = 1 << 20  # bytes of a settings file
_LONG_KEY = re.compile(r"""^[\s\[]*+(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')\s*+\.\s*+){64}""", re.MULTILINE)
"""A key of many parts: tomllib takes time and memory by the square of them."""


def find_file(start: Path) -> Path | None:
    """Return the melpy.toml of a directory or of the nearest one above it."""
    start = start.resolve()
    for directory in (start, *start.parents):
        path = directory / FILE_NAME
        if path.is_file():
            _check_owner(path, start)
            return path
    return None


def _check_owner(path: Path, start: Path) -> None:
    """Refuse settings that somebody else put into a directory above: they name keys, and what is written where."""
    owner = path.stat().st_uid
    if owner not in {0, os.geteuid(), start.stat().st_uid}:
        raise SettingsError(
            "belongs to somebody else", where=str(path), hint="name it with --config if it is to be used"
        )


def load_settings(
    flags: Mapping[str, str | Sequence[str] | None],
    environment: Mapping[str, str],
    start: Path,
    *further: Path,
    file: Path | None = None,
) -> Settings:
    """Read every setting, and remember where it comes from.

    Args:
        flags: what the command line says, by key; None and empty lists say nothing.
        environment: the process environment.
        start: directory from which melpy.toml is looked for, upwards.
        further: directories from which it is looked for where there is none.
        file: a settings file that is named on the command line instead.

    Raises:
        SettingsError: a file, variable or flag cannot be used.
    """
    path = file or next((found for place in (start, *further) if (found := find_file(place))), None)
    stated = _read_file(path) if path else {}
    typed: dict[str, Any] = {}
    values: dict[str, Value] = {}
    for setting in SETTINGS:
        said = _find_said(setting, flags, environment, stated, path)
        typed[setting.attribute], values[setting.key] = _read(setting, said, path)
    return Settings(**typed, values=values, file=path)


class _Said(NamedTuple):
    """What somebody says of a setting.

    Attributes:
        value: a text, a list of texts, or what else a file may hold.
        base: the directory that relative paths count from.
        origin: who says it.
    """

    value: object
    base: Path
    origin: str


def _find_said(
    setting: Setting,
    flags: Mapping[str, str | Sequence[str] | None],
    environment: Mapping[str, str],
    stated: Mapping[str, object],
    file: Path | None,
) -> list[_Said]:
    """Return what counts of what is said of a setting: the strongest, and before it what a flag adds to."""
    here, found = Path.cwd(), []
    flag = flags.get(setting.key)
    if flag is not None and (len(flag) or not setting.is_list):
        value = [flag] if isinstance(flag, str) and setting.is_list else flag
        found = [_Said(value, here, "flag")]
        if not setting.is_appended:
            return found
    if text := environment.get(setting.variable):
        value = text.split() if setting.is_list else text
        return [_Said(value, here, f"environment {setting.variable}"), *found]
    if setting.key in stated:
        assert file is not None
        return [_Said(stated[setting.key], file.parent, f"file {file}"), *found]
    return found or [_Said(setting.default, here, "default")]


def _read(setting: Setting, said: Sequence[_Said], file: Path | None) -> tuple[Any, Value]:
    """Return the typed value of a setting, and its text."""
    items: list[Any] = []
    shown: list[str] = []
    for one in said:
        with _placed(setting, one, file):
            for text in _texts(setting, one):
                item, text_shown = parse_text(setting.kind, text, one.base)
                items.append(item)
                shown.append(text_shown)
    origin = ", ".join(one.origin for one in said if one.value or len(said) == 1)
    if setting.kind.join is None:
        return items[0] if items else setting.kind.unset, Value(setting, "".join(shown), origin)
    with _placed(setting, said[-1], file):
        return setting.kind.join(items), Value(setting, tuple(shown), origin)


@contextmanager
def _placed(setting: Setting, said: _Said, file: Path | None) -> Iterator[None]:
    """Say of an error who said what cannot be used."""
    try:
        yield
    except SettingsError as error:
        error.where = name_place(setting, said.origin, file)
        error.hint = error.hint or setting.help
        raise


def _texts(setting: Setting, said: _Said) -> Sequence[str]:
    """Return the texts of what is said; an empty text says nothing.

    Raises:
        SettingsError: it is something else.
    """
    value = said.value
    if setting.is_list:
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"expected a list of texts, found {value!r}", hint=setting.help)
        return value
    if setting.kind.is_number and isinstance(value, (int, float)) and not isinstance(value, bool):
        return [str(value)]
    if not isinstance(value, str):
        wanted = "a text or a number" if setting.kind.is_number else "a text"
        raise SettingsError(f"expected {wanted}, found {value!r}", hint=setting.help)
    if setting.default and not value:
        raise SettingsError(f"{setting.key} is empty", hint=setting.help)
    return [value] if value else []


def _read_file(path: Path) -> dict[str, object]:
    import tomllib  # noqa: PLC0415  # 8 ms that only a file needs

    try:
        text = read_file(path, _LARGEST, piped=True).decode()
        if _LONG_KEY.search(text):
            raise SettingsError("is not TOML that melpy knows: a key has too many parts", where=str(path))
        stated = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"cannot be read: {reason_of(error)}", where=str(path)) from None
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise SettingsError(f"is not TOML: {error}", where=str(path)) from None
    except RecursionError:
        raise SettingsError("is not TOML: it nests too deep", where=str(path)) from None
    for key in stated:
        if key not in BY_KEY:
            raise SettingsError(
                f"unknown setting {key!r}",
                where=str(path),
                hint=hint_near(key, BY_KEY, f"known are {', '.join(BY_KEY)}"),
            )
    return stated
