"""The store looked after: what is in it, what is damaged, and what goes first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.rootfs.layout import hold_entry
from melpy.rootfs.upkeep import (
    StoreEntry,
    choose_stale,
    find_dependent,
    find_used,
    list_store,
    remove_entries,
    verify_store,
)
from tests.factories.rootfs import Built, Parcel, build_environment
from tests.factories.tree import Content, Directory, File, Link

if TYPE_CHECKING:
    from collections.abc import Callable

FILES: dict[str, Content] = {
    "usr/a": "a",
    "usr/l": Link("a"),
    "su": File("su", 0o4755),
    "t": Directory(0o1777),
    "d/x": "x",
    "d/y": "y",
}


@pytest.fixture
def built(tmp_path: Path) -> Built:
    first = Parcel("first", {**FILES, "both": "1"}, {"replaces": ("second",)})
    return build_environment(tmp_path, first, Parcel("second", {"both": "2", "b": "b"}))


def faults(built: Built) -> dict[str, tuple[str, ...]]:
    found = [damage for damage in verify_store(list_store(built.store), 2) if damage]
    return {damage.entry.name: damage.faults for damage in found}


def test_what_is_in_the_store(built: Built) -> None:
    entries = list_store(built.store)
    assert [(entry.kind, entry.name) for entry in entries] == [
        ("package", "first-1-r0"),
        ("package", "second-1-r0"),
        ("environment", "x86_64, 2 packages"),
    ]
    assert set(entries[2].packages) == {entries[0].identity, entries[1].identity}
    assert all(entry.size > 0 for entry in entries)
    assert list_store(built.store.with_name("gone")) == []
    # A package was used when its environment was.
    os.utime(built.layers[0].parent / "manifest", (5, 5))
    os.utime(built.layers[-1].parent / "packages", (9, 9))
    assert next(entry.last_use for entry in list_store(built.store) if entry.name == "first-1-r0") == 9


def test_nothing_is_wrong_with_what_was_just_made(built: Built) -> None:
    assert faults(built) == {}


def _other_kind(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "damage", "expected"),
    [
        ("usr/a", Path.unlink, "/usr/a: is missing"),
        ("usr/a", lambda path: path.write_text("b"), "/usr/a: has other content"),
        ("usr/a", lambda path: path.chmod(0o600), "/usr/a: has mode 0600, not 0644"),
        ("su", lambda path: path.chmod(0o755), "/su: has mode 0755, not 4755"),
        ("t", lambda path: path.chmod(0o755), "/t: has mode 0755, not 1777"),
        ("usr/new", Path.touch, "/usr/new: does not belong there"),
        ("usr/a", _other_kind, "/usr/a: is of another kind"),
        ("usr/l", lambda path: (path.unlink(), path.symlink_to("b")), "/usr/l: points elsewhere"),
        ("d", shutil.rmtree, "/d: is missing"),
    ],
)
def test_what_is_damaged(built: Built, name: str, damage: Callable[[Path], object], expected: str) -> None:
    damage(built.layers[0] / name)
    assert faults(built) == {"first-1-r0": (expected,)}


def test_damage_of_an_environment(built: Built) -> None:
    layer = built.layers[-1]
    (layer / "etc/passwd").write_text("evil::0:0:::\n")
    (layer / "both").unlink()
    assert faults(built) == {"x86_64, 2 packages": ("/both: is missing", "/etc/passwd: has other content")}
    shutil.rmtree(built.layers[0].parent)
    assert f"{built.layers[0].parent.name}: is not in the store" in faults(built)["x86_64, 2 packages"]


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"counts":[1,2,3]}', '{"counts":[0,0,0]}\0\0\0'])
def test_a_manifest_that_is_none(built: Built, text: str) -> None:
    (built.layers[0].parent / "manifest").write_text(text)
    assert faults(built) == {"": ("is no manifest of a stored package, or damaged",)}
    shutil.rmtree(built.layers[0].parent)
    (built.layers[-1].parent / "packages").write_text(text)
    assert faults(built) == {"": ("is no list of an environment, or damaged",)}


def test_what_a_build_uses_is_known(built: Built) -> None:
    entries = list_store(built.store)
    assert find_used(entries) == set()
    held = hold_entry(built.store, built.layers[-1].parent.name)
    assert held is not None
    assert find_used(entries) == {entry.identity for entry in entries}
    held.close()
    assert find_used(entries) == set()
    first = built.layers[0].parent.name
    assert find_dependent(entries, {first}) == {first, built.layers[-1].parent.name}


def entry(name: str, size: int, last_use: float, *packages: str) -> StoreEntry:
    return StoreEntry(Path(name), "environment" if packages else "package", name, size, last_use, packages)


def test_what_goes_first() -> None:
    entries = [entry("a", 10, 100), entry("b", 20, 50), entry("c", 30, 200), entry("e", 1, 100, "a", "c")]

    def chosen(used: set[str], before: float | None = None, max_size: int | None = None) -> list[str]:
        return [one.name for one in choose_stale(entries, used, before=before, max_size=max_size)]

    assert chosen(set()) == []
    assert chosen(set(), before=100) == ["b"]
    assert chosen(set(), before=101) == ["b", "e", "a"]
    assert chosen(set(), max_size=61) == []
    assert chosen(set(), max_size=40) == ["b", "e"]
    assert chosen(set(), max_size=39) == ["b", "e", "a"]
    assert chosen({"e", "a", "c"}, max_size=0) == ["b"]
    assert chosen(set(), before=60, max_size=40) == ["b", "e"]


def test_entries_are_removed_whatever_their_modes(built: Built) -> None:
    (built.layers[0] / "d").chmod(0)
    remove_entries(built.store, list_store(built.store))
    assert list(built.store.iterdir()) == []
