"""What scanners found and what the recipe states become a package's dependencies and provides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.model import Finding, Findings, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from melpy.scan.model import Subject, Switches

_COMMAND = "cmd:"


def merge_findings(subject: Subject, found: Iterable[Finding], warnings: Iterable[str]) -> Findings:
    """Merge generated items with stated ones.

    A generated dependency that the package carries for itself is dropped, and any dependency, stated ones too, that
    the package provides. Only unversioned dependencies can be dropped: `so:libx.so.1`, never `foo>=1`.

    What is stated holds: a name that the recipe provides is not generated once more, at a version or without one,
    since apk installs no package that has a name twice. For the same reason a name that is generated at a version
    (a program) is not generated without one (a link of that name in another directory).
    """
    every = set(found)
    kept = sorted(finding for finding in every if _is_wanted(finding, subject.switches))
    vendored = _items(kept, Role.VENDORED)
    stated = _names(subject.provides)
    generated = _items(kept, Role.PROVIDES)
    versioned = _names(item for item in generated if "=" in item)
    provides = {
        *subject.provides,
        *(item for item in generated if not _names([item]) & stated and item not in versioned),
    }
    depends = {*subject.runtime, *(_items(kept, Role.DEPENDS) - _names(vendored))}
    return Findings(
        depends=tuple(sorted(depends - _names(provides))),
        provides=tuple(sorted(provides)),
        vendored=tuple(sorted(vendored)),
        candidates=tuple(sorted(_items(kept, Role.CANDIDATE) - _names(vendored) - _names(provides))),
        withheld=tuple(sorted(_items(every.difference(kept), Role.PROVIDES))),
        evidence=tuple(kept),
        warnings=tuple(sorted(set(warnings))),
    )


def _is_wanted(finding: Finding, switches: Switches) -> bool:
    if finding.role is Role.VENDORED:
        return True
    if switches.no_commands and finding.item.startswith(_COMMAND):
        return False
    return not (switches.no_provides if finding.role is Role.PROVIDES else switches.no_depends)


def _items(findings: Iterable[Finding], role: Role) -> set[str]:
    return {finding.item for finding in findings if finding.role is role}


def _names(provides: Iterable[str]) -> set[str]:
    return {item.partition("=")[0] for item in provides}
