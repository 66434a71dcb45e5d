"""A package's files become its dependencies and provides.

Takes a `Subject`, gives out `Findings`. Files are only read, links never followed out of the tree, and no file,
however broken, ends a scan: what cannot be read or written down is a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.atom import parse_atom
from melpy.errors import PackageFormatError
from melpy.scan.claim import Claim, Doubt
from melpy.scan.merge import merge_findings
from melpy.scan.model import Finding, Findings, Subject
from melpy.scan.table import SCANNERS
from melpy.scan.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator


def scan_package(subject: Subject) -> Findings:
    """Scan a package and merge what is found with what its recipe states."""
    view = View(subject)
    found: list[Finding] = []
    warnings: list[str] = []
    for scanner, said in _run_scanners(view):
        if isinstance(said, Claim) and _is_sound(said.item):
            found.append(Finding(said.item, _printable(said.evidence), scanner, said.role))
        else:
            warnings.append(_warning(said))
    return merge_findings(subject, found, warnings)


def _run_scanners(view: View) -> Iterator[tuple[str, Claim | Doubt]]:
    for name, scan in SCANNERS.items():
        for said in scan(view):
            yield name, said


def _is_sound(item: str) -> bool:
    """Tell whether an item can stand in PKGINFO.

    Items are made of file names and of names inside files, so one could hold a line break and whole further lines.
    """
    try:
        atom = parse_atom(item)
    except PackageFormatError:
        return False
    return item.isprintable() and not atom.name.endswith(":")


def _warning(said: Claim | Doubt) -> str:
    if isinstance(said, Doubt):
        return _printable(f"{said.path}: {said.reason}")
    return _printable(f"{said.evidence}: cannot be written as a dependency or provide: {said.item}")


def _printable(text: str) -> str:
    """Return text on one line and without what cannot be encoded; file names may hold any byte."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
