"""How far long work has come, on terminals."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")

_PATIENCE = 0.5  # seconds before anything is said, and between two words
_CLEAR = "\r\x1b[K"


def track(items: Iterable[Item], total: int, noun: str) -> Iterator[Item]:
    """Yield items as they come; where stderr is a terminal, say now and then how many there were.

    Args:
        items: what is worked on.
        total: how many there are.
        noun: what they are.
    """
    terminal = sys.stderr.isatty()
    said = False
    last = time.monotonic()
    try:
        for number, item in enumerate(items, 1):
            yield item
            if terminal and time.monotonic() - last > _PATIENCE:
                last = time.monotonic()
                said = True
                click.echo(f"{_CLEAR}{number} of {total} {noun}", nl=False, err=True)
    finally:
        if said:
            click.echo(_CLEAR, nl=False, err=True)
