"""Python modules, which work only with the Python whose directory they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.build.model import Kind
from melpy.scan.claim import Claim, depends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_PREFIX = "python"


def scan_python(view: View) -> Iterator[Claim]:
    """Scan for `python3.12/site-packages`: a dependency `python-3.12-base`, unless a Python is stated.

    The last such directory counts, wherever in the tree it is.
    """
    if any(item.startswith(_PREFIX) for item in view.subject.runtime):
        return
    found = [
        entry
        for entry in view.tree
        if entry.kind is Kind.DIRECTORY
        and entry.name == "site-packages"
        and entry.parent.rpartition("/")[2].startswith(_PREFIX)
    ]
    version = found[-1].parent.rpartition("/")[2].removeprefix(_PREFIX) if found else ""
    if version:
        yield depends(f"python-{version}-base", found[-1].path)
