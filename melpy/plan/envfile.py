"""Files that set variables from outside of recipes: env-files for steps, vars-files for `${{vars.…}}`."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from melpy.errors import Place, RecipeNotFoundError, SettingsError
from melpy.plan.model import Pairs, pairs
from melpy.plan.template import Spot
from melpy.recipe.document import parse_document
from melpy.recipe.load import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_env_files(paths: Iterable[Path]) -> Pairs:
    """Read variables in dotenv syntax: `NAME=value` or `export NAME="value"`, comments after `#`.

    Values are taken as they are: nothing in them is expanded, so that nothing of this machine comes in. Where files
    set the same variable the first one wins, as in melange.

    Raises:
        SettingsError: a file is not there, or a line sets no variable.
    """
    found: dict[str, str] = {}
    for path in paths:
        for name, value in _parse(_read(path, "env-file"), str(path)).items():
            found.setdefault(name, value)
    return pairs(found)


def _read(path: Path, kind: str) -> str:
    try:
        return read_text(path)
    except RecipeNotFoundError:
        raise SettingsError(f"no such {kind}", where=str(path)) from None


def _parse(text: str, file: str) -> dict[str, str]:
    from dotenv.parser import parse_stream  # noqa: PLC0415  # 20 ms that only env-files need

    values: dict[str, str] = {}
    if "\0" in text:
        raise SettingsError("holds a NUL, which no variable can hold", where=file)
    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        line = binding.original.line + len(original) - len(original.lstrip("\n"))
        if binding.error or (binding.key is not None and not _NAME.fullmatch(binding.key)):
            message = f"sets no variable: {original.strip()!r}"
            raise SettingsError(message, where=Place(file, line, 1), hint="write NAME=value or export NAME=value")
        if binding.key is not None:
            values[binding.key] = binding.value or ""
    return values


def load_vars_file(path: Path) -> dict[str, tuple[str, Spot]]:
    """Read a flat YAML mapping of names to texts; return each text and where it stands.

    Raises:
        RecipeError: it is not valid YAML.
        SettingsError: it is not there, or is no flat mapping.
    """
    document = parse_document(_read(path, "vars-file"), str(path))
    data = document.data if document.data is not None else {}
    if not isinstance(data, dict):
        raise SettingsError("expected a mapping of names to texts", where=str(path))
    for key, value in data.items():
        if not isinstance(value, str | None):
            raise SettingsError(f"{key} must be a text", where=document.place((key,)))
    return {key: (value or "", Spot(document, (key,))) for key, value in data.items()}
