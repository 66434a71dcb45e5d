"""Gems, which work only with the Ruby whose directory they are in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, depends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_VERSION = r"/ruby/gems/([0-9][^/]*\.[0-9][^/]*)\.[0-9][^/.]*/gems"
_DIRECTORIES = (re.compile("usr/lib" + _VERSION), re.compile("lib" + _VERSION))


def scan_ruby(view: View) -> Iterator[Claim]:
    """Scan for a directory of gems, `usr/lib/ruby/gems/3.2.0/gems`: a dependency `ruby-3.2`, unless Ruby is stated."""
    if any(item == "ruby" or item.startswith("ruby-") for item in view.subject.runtime):
        return
    for pattern in _DIRECTORIES:
        for entry in view.tree:
            match = pattern.fullmatch(entry.path)
            if match:
                yield depends(f"ruby-{match[1]}", entry.path)
                return
