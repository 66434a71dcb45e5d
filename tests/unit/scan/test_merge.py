from __future__ import annotations

from pathlib import Path

import pytest

from melpy.build.model import OutputTree
from melpy.scan.merge import merge_findings
from melpy.scan.model import Finding, Findings, Role, Subject, Switches

FOUND = (
    Finding("so:libc.so.6", "a", "x", Role.DEPENDS),
    Finding("cmd:dash", "a", "x", Role.DEPENDS),
    Finding("so:libfoo.so.1", "a", "x", Role.DEPENDS),
    Finding("so:libbar.so.1", "a", "x", Role.DEPENDS),
    Finding("cmd:hello=1.0-r0", "a", "x", Role.PROVIDES),
    Finding("so:libfoo.so.1=1", "a", "x", Role.PROVIDES),
    Finding("so:libbar.so.1=1", "a", "x", Role.VENDORED),
)


def merge(
    found: tuple[Finding, ...] = FOUND,
    *,
    runtime: tuple[str, ...] = (),
    provides: tuple[str, ...] = (),
    switches: Switches | None = None,
) -> Findings:
    tree = OutputTree("hello", Path("nowhere"), ())
    return merge_findings(
        Subject(tree, "1.0-r0", (), runtime, provides, switches or Switches()), found, ["b", "a", "b"]
    )


def test_everything_is_sorted_and_unique() -> None:
    merged = merge(FOUND + FOUND, runtime=("zlib", "bash", "zlib"), provides=("hi=1",))
    assert merged.depends == ("bash", "cmd:dash", "so:libc.so.6", "zlib")
    assert merged.provides == ("cmd:hello=1.0-r0", "hi=1", "so:libfoo.so.1=1")
    assert merged.vendored == ("so:libbar.so.1=1",)
    assert merged.warnings == ("a", "b")
    assert len(merged.evidence) == len(FOUND)


@pytest.mark.parametrize(
    ("switches", "depends", "provides"),
    [
        (Switches(no_commands=True), ("so:libc.so.6",), ("so:libfoo.so.1=1",)),
        (Switches(no_depends=True), (), ("cmd:hello=1.0-r0", "so:libfoo.so.1=1")),
        (Switches(no_provides=True), ("cmd:dash", "so:libc.so.6", "so:libfoo.so.1"), ()),
    ],
)
def test_switches(switches: Switches, depends: tuple[str, ...], provides: tuple[str, ...]) -> None:
    merged = merge(switches=switches)
    assert (merged.depends, merged.provides) == (depends, provides)
    assert merged.vendored == ("so:libbar.so.1=1",)


def test_switches_leave_what_is_stated() -> None:
    merged = merge(
        runtime=("cmd:x",),
        provides=("cmd:y=1",),
        switches=Switches(no_commands=True, no_depends=True, no_provides=True),
    )
    assert (merged.depends, merged.provides) == (("cmd:x",), ("cmd:y=1",))


def test_stated_dependencies_are_dropped_when_provided_but_not_when_vendored() -> None:
    merged = merge(runtime=("so:libfoo.so.1", "so:libbar.so.1", "hi"), provides=("hi=2",))
    assert merged.depends == ("cmd:dash", "so:libbar.so.1", "so:libc.so.6")


def test_versioned_dependencies_are_never_dropped() -> None:
    assert "hi>=1" in merge(runtime=("hi>=1",), provides=("hi=2",)).depends
