"""Libraries that packages of one build have for one another, and offer nobody else.

A library in a directory of its own (RUNPATH leads there) is not provided, and neither is one whose recipe says
`no-provides`. A sibling that links it would depend on `so:libvend.so.1`, which no package has, and could never be
installed; melange leaves it so. It needs that sibling, as it was built along with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from melpy.scan.model import Findings, Subject

_LIBRARY = "so:"


def resolve_siblings(
    subjects: Sequence[Subject], found: Sequence[Findings], offered: Collection[str]
) -> tuple[Findings, ...]:
    """Return the findings of all packages of a build, with libraries that siblings keep to themselves resolved.

    Args:
        subjects: the packages, main package first.
        found: what was found of each.
        offered: names that packages of the environment have; what they have, a step may have linked.
    """
    known = {*offered, *(_name(item) for findings in found for item in findings.provides)}
    keepers: dict[str, str] = {}
    for subject, findings in zip(subjects, found, strict=True):
        for item in (*findings.vendored, *findings.withheld):
            keepers.setdefault(_name(item), f"{subject.tree.package}={subject.version}")
    return tuple(
        _resolve(subject, findings, {name: keeper for name, keeper in keepers.items() if name not in known})
        for subject, findings in zip(subjects, found, strict=True)
    )


def _resolve(subject: Subject, findings: Findings, keepers: dict[str, str]) -> Findings:
    own = {_name(item) for item in (*findings.vendored, *findings.withheld)}

    def resolve(item: str) -> str:
        if not item.startswith(_LIBRARY) or item in subject.runtime or item in own:
            return item
        return keepers.get(item, item)

    return replace(findings, depends=tuple(sorted({resolve(item) for item in findings.depends})))


def _name(item: str) -> str:
    return item.partition("=")[0]
