"""Tables on stdout: as many columns as the terminal has room for, all of them where stdout is no terminal."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from melpy.cli.report import has_color, print_text
from melpy.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = 2  # between columns


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: what is over it.
        rank: importance; columns of the highest numbers are left out first, those of rank 0 never.
        least: width below which its texts are neither cut nor folded; 0 for no less than the longest text.
        right: whether texts are aligned to the right.
        cut: whether a text that is too long ends with an ellipsis; otherwise it goes on in the next line, whole.
    """

    heading: str
    rank: int = 0
    least: int = 0
    right: bool = False
    cut: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout; on stderr, name the columns for which the terminal has no room."""
    texts = [[printable(text) for text in row] for row in rows]
    if not sys.stdout.isatty():
        print_text("\n".join(_render(columns, _natural(columns, texts), texts)))
        return
    widths = fit_columns(columns, _natural(columns, texts), shutil.get_terminal_size().columns)
    head, *lines = _render(columns, widths, texts)
    rule = "─" * (sum(widths.values()) + _GAP * (len(widths) - 1))
    bold = has_color(terminal=True)
    click.echo(click.style(head, bold=True) if bold else head)
    print_text("\n".join([rule, *lines]))
    left = [column.heading for number, column in enumerate(columns) if number not in widths]
    if left:
        print_text(f"also with --json or more columns: {', '.join(left)}", err=True)


def fit_columns(columns: Sequence[Column], natural: dict[int, int], room: int) -> dict[int, int]:
    """Return the columns that fit into a number of terminal cells, by position, and how wide each is.

    Args:
        columns: all columns.
        natural: how wide each would be.
        room: cells of the terminal.
    """
    least = {
        number: min(width, columns[number].least) if columns[number].least else width
        for number, width in natural.items()
    }
    chosen = [number for number in natural if columns[number].rank == 0]
    for number in sorted(set(natural) - set(chosen), key=lambda number: (columns[number].rank, number)):
        if sum(least[one] for one in [*chosen, number]) + _GAP * len(chosen) > room:
            break
        chosen.append(number)
    widths = {number: least[number] for number in sorted(chosen)}
    spare = room - sum(widths.values()) - _GAP * (len(widths) - 1)
    # The more important a column is, the sooner it gets what it asks for.
    for number in sorted(widths, key=lambda number: (columns[number].rank, number)):
        more = max(0, min(spare, natural[number] - widths[number]))
        widths[number] += more
        spare -= more
    while spare < 0 and max(widths.values()) > 1:
        widest = max(widths, key=lambda number: widths[number])
        widths[widest] -= 1
        spare += 1
    return widths


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> dict[int, int]:
    return {
        number: max([_cells(column.heading), *(_cells(row[number]) for row in rows)])
        for number, column in enumerate(columns)
    }


def _render(columns: Sequence[Column], widths: dict[int, int], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; a row whose texts are folded has several."""
    lines = []
    for row in ([column.heading for column in columns], *rows):
        cells = {
            number: [_shorten(row[number], width)] if columns[number].cut else _fold(row[number], width)
            for number, width in widths.items()
        }
        for level in range(max(map(len, cells.values()))):
            texts = [
                _pad(cell[level] if level < len(cell) else "", widths[number], right=columns[number].right)
                for number, cell in cells.items()
            ]
            lines.append((" " * _GAP).join(texts).rstrip())
    return lines


def _cells(text: str) -> int:
    """Return how many cells of a terminal a text takes; letters of East Asia take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415  # rarely needed

    return cell_len(text)


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _cells(text))
    return space + text if right else text + space


def _shorten(text: str, width: int) -> str:
    return text if _cells(text) <= width else f"{_head(text, width - 1)}…"


def _head(text: str, width: int) -> str:
    if text.isascii():
        return text[:width]
    end = len(text)
    while _cells(text[:end]) > width:
        end -= 1
    return text[:end]


def _fold(text: str, width: int) -> list[str]:
    """Return the lines of a text, parted at blanks where there are some, else anywhere."""
    lines = []
    while _cells(text) > width:
        head = _head(text, width) or text[0]
        blank = head.rfind(" ") if text[len(head)] != " " else len(head)
        end = blank if blank > 0 else len(head)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text]
