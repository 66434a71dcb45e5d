"""Programs on the search path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, provides
from melpy.scan.place import BIN_DIRS, is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_ALL_MAY_RUN = 0o555


def scan_commands(view: View) -> Iterator[Claim]:
    """Scan programs that everybody may run: `cmd:` provides. Links provide nothing, and neither does usr/local/bin."""
    for entry in view.files:
        if entry.mode & _ALL_MAY_RUN == _ALL_MAY_RUN and is_in_directory(entry.path, BIN_DIRS):
            yield provides(f"cmd:{entry.name}={view.version}", entry.path)
