"""Scripts: the interpreter that their first line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, Doubt, depends
from melpy.scan.place import is_in_directory
from melpy.shebang import parse_shebang

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_DIRECTORIES = ("usr/bin/...", "usr/local/bin/...", "usr/local/sbin/...")
_LIMIT = 256  # as much as Linux reads of a first line
# Always there, or provided by too many packages to say which is meant.
_UNSPOKEN = {"python3", "python", "sh", "awk", "luajit"}


def scan_shebangs(view: View) -> Iterator[Claim | Doubt]:
    """Scan scripts in the directories for programs: `cmd:` dependencies on their interpreters, whatever their mode."""
    for entry in view.files:
        if not is_in_directory(entry.path, _DIRECTORIES):
            continue
        head = view.read(entry, _LIMIT)
        if isinstance(head, Doubt):
            yield head
            continue
        try:
            name = parse_shebang(head).rpartition("/")[2]
        except ValueError as error:
            yield Doubt(entry.path, str(error))
            continue
        if name and name not in _UNSPOKEN:
            yield depends(f"cmd:{name}", entry.path)
