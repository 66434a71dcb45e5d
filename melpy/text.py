"""Text that comes from elsewhere, in a form that can be shown: it drives neither a terminal nor a CI service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)
_BIDIRECTIONAL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Controls that reorder the text around them. Source: Unicode Standard Annex 9, explicit directional formatting."""
_UNSHOWN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BRACKETED = re.compile(r"##(\w*)\[")
"""Commands that GitHub (`##[error]`), Azure (`##vso[…]`) and TeamCity take from anywhere in a line."""
_LEADING = re.compile(r"\s*(?:::|\+\+\+|---|~~~|\^\^\^)")
"""Beginnings of lines that are commands: GitHub's `::error::`, and the groups of Buildkite."""
_MARK = "| "
_SHOWN = 300


def printable(text: str) -> str:
    """Return text without terminal control; bidirectional controls and commands of CI services become visible."""
    text = _BIDIRECTIONAL.sub(lambda match: f"\\u{ord(match[0]):04x}", _CONTROL.sub("", text))
    return _BRACKETED.sub(r"##\1\\[", text)


def printable_line(text: str) -> str:
    """Return one line that may stand alone: like `printable`, and its beginning is no command of a CI service."""
    line = printable(text)
    return f"{_MARK}{line}" if _LEADING.match(line) else line


def quote_line(text: str, limit: int = _SHOWN) -> str:
    """Return a line of another program, marked as such and cut to a number of characters."""
    line = printable(text)
    return f"{_MARK}{line}" if len(line) <= limit else f"{_MARK}{line[:limit]}…"


def escape(text: str) -> str:
    """Return text on one line and without what cannot be encoded; file names may hold any byte."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shorten_list(items: Sequence[str], shown: int = 4) -> str:
    """Return a list for people, shortened to the first few."""
    text = ", ".join(items[:shown])
    return text if len(items) <= shown else f"{text} and {len(items) - shown} more"


def escape_json(text: str) -> str:
    """Return a JSON text without C1 and bidirectional controls and commands of CI services; it means the same."""
    text = _UNSHOWN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return _BRACKETED.sub(r"\\u0023#\1[", text)


def size_text(size: int) -> str:
    """Return a number of bytes for people."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def clock_text(seconds: float) -> str:
    """Return a duration as minutes and seconds, or hours, minutes and seconds: `4:07`, `1:02:03`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def seconds_text(seconds: float) -> str:
    """Return a duration as messages state it: `12.3 s`, from 100 seconds on as `clock_text` has it."""
    return f"{seconds:.1f} s" if seconds < 100 else clock_text(seconds)
