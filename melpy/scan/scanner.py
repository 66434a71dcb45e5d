"""A package's files become its dependencies and provides.

Takes a `Subject`, gives out `Findings`. Files are only read, links never followed out of the tree, and no file,
however broken, ends a scan: what cannot be read or written down is a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.acceptance import is_writable
from melpy.apk.atom import parse_atom, parse_provide
from melpy.scan.claim import Claim, Doubt
from melpy.scan.merge import merge_findings
from melpy.scan.model import Finding, Findings, Role, Subject
from melpy.scan.table import SCANNERS
from melpy.scan.view import View
from melpy.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator


def scan_package(subject: Subject) -> Findings:
    """Scan a package and merge what is found with what its recipe states."""
    view = View(subject)
    found: list[Finding] = []
    warnings: list[str] = []
    for scanner, said in _run_scanners(view):
        if isinstance(said, Claim) and _is_sound(said):
            found.append(Finding(said.item, escape(said.evidence), scanner, said.role))
        else:
            warnings.append(_warning(said))
    return merge_findings(subject, found, warnings)


def _run_scanners(view: View) -> Iterator[tuple[str, Claim | Doubt]]:
    for name, scan in SCANNERS.items():
        for said in scan(view):
            yield name, said


def _is_sound(claim: Claim) -> bool:
    """Tell whether an item can stand in PKGINFO and means there what the scanner means.

    Dependencies such as `cmd:dash` are on a name as it is: of `#!/bin/a~1` one would be `cmd:a` at version 1. So are
    provides: of a link `a=1` one would be `cmd:a` at version 1.
    """
    if claim.role in (Role.PROVIDES, Role.VENDORED):
        return is_writable(claim.item, provided=True) and parse_provide(claim.item) == (claim.name, claim.version)
    return is_writable(claim.item) and not (":" in claim.item and parse_atom(claim.item).operator)


def _warning(said: Claim | Doubt) -> str:
    if isinstance(said, Doubt):
        return escape(f"{said.path}: {said.reason}")
    return escape(f"{said.evidence}: cannot be written as a dependency or provide: {said.item}")
