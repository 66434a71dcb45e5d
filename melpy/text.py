"""Text that comes from elsewhere, as it can be shown."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)


def printable(text: str) -> str:
    """Return text without what would drive a terminal; recipes and steps may hold anything."""
    return _CONTROL.sub("", text)
