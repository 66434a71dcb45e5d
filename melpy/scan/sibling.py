"""Libraries that packages of one build have for one another, and offer nobody else.

A library in a directory of its own (RUNPATH leads there) is not provided, and neither is one without a soname or one
whose recipe says `no-provides`. A sibling that links it would depend on `so:libvend.so.1`, which no package has, and
could never be installed; melange leaves it so. It needs that sibling, as it was built along with it. The same holds for
commands that a sibling does not provide by wish.

A library whose name has no interface version (`libgallium-24.2.3.so`) is needed only where a package provides it: of
most such names nobody says that they are libraries of the system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.build.model import Kind
from melpy.codec import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from melpy.scan.model import Findings, Subject

_LIBRARY = "so:"
_COMMAND = "cmd:"


def resolve_siblings(
    subjects: Sequence[Subject], found: Sequence[Findings], offered: Collection[str]
) -> tuple[Findings, ...]:
    """Return the findings of all packages of a build, with libraries that none of them provides resolved.

    Args:
        subjects: the packages, main package first.
        found: what was found of each.
        offered: names that packages of the environment have; what they have, a step may have linked.
    """
    known = {*offered, *(_name(item) for findings in found for item in findings.provides)}
    keepers = [_kept(subject, findings) for subject, findings in zip(subjects, found, strict=True)]

    def resolve(index: int, item: str) -> str | None:
        """Return the dependency that stands for another; None where the package has what it needs."""
        subject = subjects[index]
        if not item.startswith((_LIBRARY, _COMMAND)) or item in known or item in subject.runtime:
            return item
        if item in keepers[index]:
            # What the package has, but does not provide by wish, others may have for it.
            return item if item in map(_name, found[index].withheld) else None
        for keeper, items in zip(subjects, keepers, strict=True):
            if item in items:
                return f"{keeper.tree.package}={keeper.version}"
        return item

    return tuple(
        replace(
            findings,
            depends=tuple(
                sorted(
                    {text for item in findings.depends if (text := resolve(index, item)) is not None}
                    | {item for item in findings.candidates if item in known and item not in keepers[index]}
                )
            ),
        )
        for index, findings in enumerate(found)
    )


def _kept(subject: Subject, findings: Findings) -> set[str]:
    """Return what a package has and does not provide: libraries by their sonames, or by their files' names, commands.

    A library without a soname is needed by the name of its file.
    """
    files = {
        f"{_LIBRARY}{entry.name}" for entry in subject.tree if ".so" in entry.name and entry.kind is not Kind.DIRECTORY
    }
    return {_name(item) for item in (*findings.vendored, *findings.withheld)} | files


def _name(item: str) -> str:
    return item.partition("=")[0]
