"""Perl modules, which work only with the Perl whose directory they are in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, depends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

# usr/lib is looked at first. melange takes the wrong part of a path below lib.
_DIRECTORIES = (re.compile(r"usr/lib/perl([0-9][^/]*)/[^/]*_perl"), re.compile(r"lib/perl([0-9][^/]*)/[^/]*_perl"))


def scan_perl(view: View) -> Iterator[Claim]:
    """Scan for a Perl module directory, `usr/lib/perl5/vendor_perl`: a dependency `perl~5`, unless `perl` is stated."""
    if "perl" in view.subject.runtime:
        return
    for pattern in _DIRECTORIES:
        for entry in view.tree:
            match = pattern.fullmatch(entry.path)
            if match:
                yield depends(f"perl~{match[1]}", entry.path)
                return
