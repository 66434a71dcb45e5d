"""Manual and info pages of `-doc` packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, depends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_READERS = {"usr/share/man": "man-db", "usr/share/info": "texinfo"}


def scan_documentation(view: View) -> Iterator[Claim]:
    """Scan a package named `-doc`: dependencies on the programs that read its manual and info pages."""
    if not view.tree.package.endswith("-doc"):
        return
    for entry in view.tree:
        reader = _READERS.get(entry.parent)
        if reader:
            yield depends(reader, entry.path)
