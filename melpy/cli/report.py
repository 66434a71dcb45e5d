"""What a person reads at the end: errors, and tables of results."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from melpy.errors import FaultsError, MelpyError, RecipeError
from melpy.text import escape_json, printable_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.engine.tree import Finding


def print_error(error: MelpyError) -> None:
    """Print an error on stderr: what is wrong and where, details, and what to do."""
    try:
        for line in render_error(error):
            click.echo(_painted(line) if has_color(sys.stderr.isatty()) else line, err=True)
    except OSError:
        # Nothing can be printed; the exit status still says it, if Python does not try to print once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def print_warning(error: MelpyError) -> None:
    """Print on stderr what is probably not meant."""
    for line in render_warning(error):
        click.echo(_painted(line) if has_color(sys.stderr.isatty()) else line, err=True)


def render_warning(error: MelpyError) -> list[str]:
    """Return the lines of a warning."""
    lines = [f"warning: {error}", *error.details, *([f"hint: {error.hint}"] if error.hint else [])]
    return [printable_line(line) for line in lines]


def print_text(text: str, *, err: bool = False) -> None:
    """Print lines for people, on stdout or stderr."""
    for line in text.split("\n"):
        click.echo(printable_line(line), err=err)


def print_json(data: object) -> None:
    """Print JSON on stdout; it is UTF-8 whatever the data holds."""
    print_json_text(json.dumps(data, indent=1, ensure_ascii=False))


def print_json_text(text: str) -> None:
    """Print a JSON text on stdout; what would drive a terminal or a CI service is escaped, and means the same."""
    click.echo(escape_json(text).encode("utf-8", "replace").decode())


def render_error(error: MelpyError) -> list[str]:
    """Return the lines of an error; all faults of a recipe, one after the other."""
    if isinstance(error, FaultsError):
        lines = [line for fault in error.faults for line in render_error(fault)]
        count = len(error.faults)
        return [*lines, f"{count} errors"] if count > 1 else lines
    lines = [f"error: {error}", *error.details]
    lines += [f"hint: {error.hint}"] if error.hint else []
    return [printable_line(line) for text in lines for line in text.split("\n")]


def finding_error(finding: Finding) -> RecipeError:
    """Return the error that a finding was."""
    error = RecipeError(finding.message, where=finding.place, hint=finding.hint or None, details=finding.details)
    error.exit_status = finding.exit_status  # type: ignore[misc]  # narrows the class's default
    return error


def has_color(terminal: bool) -> bool:
    """Tell whether to use colour: on terminals that know it, unless NO_COLOR says no. Source: no-color.org."""
    return terminal and can_move() and not os.environ.get("NO_COLOR")


def can_move() -> bool:
    """Tell whether the terminal understands more than plain lines: Emacs and CI services call theirs dumb."""
    return os.environ.get("TERM", "") not in {"dumb", "unknown"}


def paint_lines(lines: Iterable[str]) -> None:
    """Print findings on stdout, each with its details, coloured on a terminal."""
    color = has_color(sys.stdout.isatty())
    for text in lines:
        line = printable_line(text)
        click.echo(_painted(line) if color else line)


def _painted(line: str) -> str:
    for prefix, color in (("error:", "red"), ("warning:", "yellow"), ("hint:", "cyan")):
        if line.startswith(prefix):
            return click.style(prefix, fg=color, bold=True) + line.removeprefix(prefix)
    return line


def near_path(path: Path) -> str:
    """Return a path for people: relative to the current directory where it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def short_list(items: Sequence[str], limit: int = 6) -> str:
    """Return a list in one line, its end counted."""
    shown = " ".join(items[:limit])
    return f"{shown} … {len(items) - limit} more" if len(items) > limit else shown


def count_text(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural where it belongs."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"
