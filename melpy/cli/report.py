"""What a person reads at the end: errors, and tables of results."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Literal

import click

from melpy.errors import FaultsError, MelpyError, RecipeError
from melpy.text import escape_json, printable, printable_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.engine.tree import Finding


_GAP = 3
"""Characters between the columns of a table on a terminal."""


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
    """Tell whether to use colour: on terminals, unless NO_COLOR says no. Source: no-color.org."""
    return terminal and not os.environ.get("NO_COLOR")


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


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), extra: Sequence[str] = ()
) -> None:
    """Print a table on stdout: with lines on a terminal, else as plain columns that do not wrap.

    Args:
        columns: their headings.
        rows: their texts.
        right: headings of columns that are aligned to the right.
        extra: headings of columns that a narrow terminal leaves out, the least needed first.
    """
    from rich import box  # noqa: PLC0415  # 40 ms that only tables need
    from rich.console import Console  # noqa: PLC0415  # likewise
    from rich.table import Table  # noqa: PLC0415  # likewise
    from rich.text import Text  # noqa: PLC0415  # likewise

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else 10_000, no_color=not has_color(terminal), highlight=False)
    texts = [[printable(text) for text in row] for row in rows]
    if terminal:
        columns, texts = _fit_columns(columns, texts, extra, console.width)
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, show_edge=False, highlight=False)
    for number, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=not terminal or number == 0)
    for row in texts:
        table.add_row(*map(Text, row))
    if terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    print_text("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _fit_columns(
    columns: Sequence[str], rows: Sequence[Sequence[str]], extra: Sequence[str], room: int
) -> tuple[Sequence[str], list[list[str]]]:
    """Leave columns out, in the order of `extra`, until the rest fits a number of characters or none is left to go."""
    from rich.cells import cell_len  # noqa: PLC0415  # rich is loaded by whoever calls this

    widths = [max(map(cell_len, texts)) for texts in zip(columns, *rows, strict=True)]
    kept = list(range(len(columns)))
    for heading in extra:
        if sum(widths[number] + _GAP for number in kept) - _GAP <= room:
            break
        kept.remove(columns.index(heading))
    return [columns[number] for number in kept], [[row[number] for number in kept] for row in rows]


def short_list(items: Sequence[str], limit: int = 6) -> str:
    """Return a list in one line, its end counted."""
    shown = " ".join(items[:limit])
    return f"{shown} … {len(items) - limit} more" if len(items) > limit else shown


def count_text(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural where it belongs."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"
