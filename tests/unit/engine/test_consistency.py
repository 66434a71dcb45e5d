"""Builds that are held back since clients could not upgrade: pure, over index entries."""

from __future__ import annotations

from melpy.apk.model import IndexEntry, PackageInfo
from melpy.engine.consistency import find_held


def entry(name: str, version: str, *, origin: str = "", depends: str = "", provides: str = "") -> IndexEntry:
    info = PackageInfo(
        name, version, "x86_64", origin=origin or name, depends=tuple(depends.split()), provides=tuple(provides.split())
    )
    return IndexEntry(info, f"Q1{name}{version}", 1)


OLD = entry("libz", "1-r0", provides="so:libz.so.1=1")
NEW = entry("libz", "2-r0", provides="so:libz.so.2=2")
USER = entry("user", "1-r0", depends="so:libz.so.1")


def test_a_name_that_a_failed_build_needs_is_not_taken_away() -> None:
    held = find_held([OLD, USER], {"libz-2": [NEW]}, {"user"})
    assert held == {"libz-2": "user-1-r0, which could not be built again, needs so:libz.so.1"}


def test_others_do_not_hold_anything_back() -> None:
    """One that was not part of the run may need the old name for ever."""
    assert find_held([OLD, USER], {"libz-2": [NEW]}, {"other"}) == {}
    assert find_held([OLD, USER], {"libz-2": [NEW], "user-2": [entry("user", "2-r0")]}, set()) == {}
    assert find_held([USER], {"libz-2": [NEW]}, {"user"}) == {}  # it was broken before


def test_what_needs_the_new_name_is_held_back_with_it() -> None:
    tool = entry("tool", "2-r0", depends="so:libz.so.2")
    far = entry("far", "2-r0", depends="tool")
    free = entry("free", "2-r0", depends="libz")
    builds = {"libz-2": [NEW], "tool-2": [tool], "far-2": [far], "free-2": [free]}
    held = find_held([OLD, USER], builds, {"user"})
    assert set(held) == {"libz-2", "tool-2", "far-2"}
    assert held["tool-2"] == "tool-2-r0 needs so:libz.so.2, which is held back"


def test_another_package_may_keep_the_name() -> None:
    compat = entry("libz1", "1-r0", provides="so:libz.so.1=1")
    assert find_held([OLD, USER], {"libz-2": [NEW, compat]}, {"user"}) == {}


def test_what_is_held_back_for_another_architecture_holds_back_what_needs_it() -> None:
    tool = entry("tool", "2-r0", depends="so:libz.so.2")
    already = {"libz-2": "for another", "not-here": "for another"}
    held = find_held([OLD], {"libz-2": [NEW], "tool-2": [tool], "other-2": [entry("other", "2-r0")]}, set(), already)
    assert held == {"libz-2": "for another", "tool-2": "tool-2-r0 needs so:libz.so.2, which is held back"}
