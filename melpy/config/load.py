"""Settings from their four sources: flags over environment over melpy.toml over defaults."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.secret import MARKS
from melpy.bound import read_file, shorten
from melpy.config.model import BY_KEY, FILE_NAME, SETTINGS, Setting, Settings, Value
from melpy.errors import SettingsError, hint_near, reason_of
from melpy.source.rewrite import is_url, split_rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    *,
    file: Path | None = None,
) -> Settings:
    """Return every setting's value and where it comes from.

    Args:
        flags: what the command line says, by key; None and empty lists say nothing.
        environment: the process environment.
        start: directory from which melpy.toml is looked for, upwards.
        file: a settings file that is named on the command line instead.

    Raises:
        SettingsError: a file, variable or flag cannot be used.
    """
    path = file or find_file(start)
    stated = _read_file(path) if path else {}
    values = {setting.key: _value(setting, flags, environment, stated, path) for setting in SETTINGS}
    return Settings(values, path)


def _value(
    setting: Setting,
    flags: Mapping[str, str | Sequence[str] | None],
    environment: Mapping[str, str],
    stated: Mapping[str, object],
    file: Path | None,
) -> Value:
    flag = flags.get(setting.key)
    if flag is not None and (len(flag) or not setting.is_list):
        return Value(
            setting, _typed(setting, flag if isinstance(flag, str) else list(flag), Path.cwd(), "flag"), "flag"
        )
    if environment.get(setting.variable):
        text = environment[setting.variable]
        value = text.split() if setting.is_list else text
        return Value(setting, _typed(setting, value, Path.cwd(), setting.variable), f"environment {setting.variable}")
    if setting.key in stated:
        assert file is not None
        where = f"{file}: {setting.key}"
        return Value(setting, _typed(setting, stated[setting.key], file.parent, where), f"file {file}")
    return Value(setting, _typed(setting, setting.default, Path.cwd(), "default"), "default")


def _typed(setting: Setting, value: object, base: Path, where: str) -> str | tuple[str, ...]:
    if setting.is_list:
        items = [value] if isinstance(value, str) and where == "flag" else value
        if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
            raise SettingsError(f"expected a list of texts, found {value!r}", where=where, hint=setting.help)
        return tuple(_located(setting, item, base, where) for item in items)
    if not isinstance(value, str):
        raise SettingsError(f"expected a text, found {value!r}", where=where, hint=setting.help)
    if setting.default and not value:
        raise SettingsError(f"{setting.key} is empty", where=where, hint=setting.help)
    return _located(setting, value, base, where) if value else ""


_LOCATED = {"path", "paths", "secret"}
_MAYBE_LOCATED = {"repositories", "keyring", "mirrors"}


def _located(setting: Setting, text: str, base: Path, where: str) -> str:
    """Make a path absolute; entries of some lists are paths only where they are no URLs."""
    if "\0" in text:
        raise SettingsError(f"holds a NUL: {shorten(text)}", where=where, hint=setting.help)
    if setting.key in _MAYBE_LOCATED:
        tag, space, place = text.rpartition(" ")
        if "://" in place:
            return text
        return f"{tag}{space}{_absolute(place, base, where)}"
    if setting.key == "rewrites":
        prefix, place = split_rewrite(text, "--rewrite" if where == "flag" else where)
        return f"{prefix}={place if is_url(place) else _absolute(place, base, where)}"
    if setting.kind == "secret" and "-----BEGIN" in text:
        raise SettingsError(  # before anything shows it, such as melpy config
            "this is a key itself, not where it is kept",
            where=setting.key,
            hint="name a file, env:VARIABLE or fd:NUMBER",
        )
    if setting.kind == "secret" and text.startswith(MARKS):
        return text
    return _absolute(text, base, where) if setting.kind in _LOCATED else text


def _absolute(text: str, base: Path, where: str) -> str:
    try:
        return os.path.normpath(base / Path(text).expanduser())
    except RuntimeError:
        user = text.split("/", maxsplit=1)[0]
        raise SettingsError(f"there is no user {user[1:]!r}", where=where, hint=f"write the path of {user}") from None


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
