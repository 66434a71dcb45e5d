"""Whose each path is when packages are installed one after the other; the rules are apk's."""

from __future__ import annotations

import pytest

from melpy.cli.report import render_error
from melpy.errors import FileConflictError
from melpy.rootfs.manifest import drop_entries, list_entries
from melpy.rootfs.tree import Place, follow, make_tree
from tests.factories.rootfs import manifest
from tests.factories.tree import Content, Directory, Link


def message(*manifests: object) -> list[str]:
    with pytest.raises(FileConflictError) as caught:
        make_tree(manifests)  # type: ignore[arg-type]  # manifests
    return render_error(caught.value)


def test_packages_that_share_directories_only_need_nothing() -> None:
    tree = make_tree([manifest("one", {"usr/bin/a": "a"}), manifest("two", {"usr/bin/b": "b", "b": Link("usr")})])
    assert (tree.lifted, tree.dropped, tree.modes) == ({}, {}, {})
    assert tree.holder("usr/bin/b") == Place(1, "usr/bin/b")
    assert tree.holder("usr/bin/c") is None
    assert tree.resolve("b/bin/a") == "usr/bin/a"


def test_the_same_bytes_stay_the_first_package_s() -> None:
    tree = make_tree([manifest("one", {"usr/a": "same"}), manifest("two", {"usr/a": "same"})])
    assert tree.holder("usr/a") == Place(0, "usr/a")
    assert tree.dropped == {1: {"usr/a"}}


def test_two_packages_with_one_path_are_an_error() -> None:
    one = manifest("one", {"usr/bin/a": "1", "usr/bin/b": "1", "usr/c": Link("b")})
    two = manifest("two", {"usr/bin/a": "2", "usr/bin/b": "2", "usr/c": Link("d")})
    assert message(one, two) == [
        "error: /usr/bin/a: is in one-1-r0 and two-1-r0",
        "  /usr/bin/b: is in one-1-r0 and two-1-r0",
        "  /usr/c: is in one-1-r0 and two-1-r0",
        "hint: one of them must name the other in replaces, or stay out: !two",
    ]


@pytest.mark.parametrize(
    ("old", "new", "owner"),
    [
        ({}, {"replaces": ("old",)}, 1),
        ({"replaces": ("new",)}, {}, 0),
        ({"replaces": ("new",)}, {"replaces": ("old",)}, 1),
        ({"replaces": ("new",), "replaces_priority": "2"}, {"replaces": ("old",), "replaces_priority": "1"}, 0),
        ({"replaces": ("new",), "replaces_priority": "1"}, {"replaces": ("old",), "replaces_priority": "2"}, 1),
        ({"replaces_priority": "9"}, {"replaces": ("old",)}, 1),  # a priority without replaces means nothing
        ({}, {"replaces": ("old<2",)}, 1),
        ({}, {"replaces": ("old~1",)}, 1),
        ({}, {"replaces": ("other", "old=1-r0")}, 1),
        ({"origin": "same"}, {"origin": "same"}, 1),
        ({"origin": "same", "replaces": ("new",)}, {"origin": "same"}, 0),
    ],
)
def test_replaces_and_origin_decide(old: dict[str, object], new: dict[str, object], owner: int) -> None:
    tree = make_tree([manifest("old", {"a": "1"}, **old), manifest("new", {"a": "2"}, **new)])
    assert tree.holder("a") == Place(owner, "a")
    assert tree.dropped == {1 - owner: {"a"}}
    # Layers show the last package's; only what they get wrong is lifted.
    assert tree.lifted == ({} if owner == 1 else {"a": Place(0, "a")})


@pytest.mark.parametrize("replaces", ["old>2", "old=2-r0", "older", "!old", "old<1", "= broken"])
def test_replaces_of_another_version_or_name_does_not_count(replaces: str) -> None:
    one, two = manifest("old", {"a": "1"}), manifest("new", {"a": "2"}, replaces=(replaces,))
    assert message(one, two)[0] == "error: /a: is in old-1-r0 and new-1-r0"


def test_three_packages_follow_one_another() -> None:
    replacing = {"replaces": ("one", "two")}
    parts = [manifest("one", {"a": "1"}), manifest("three", {"a": "3"}, **replacing)]
    tree = make_tree([*parts, manifest("two", {"a": "2"}, replaces=("one",))])
    # `two` comes last, and `three` replaces it.
    assert tree.holder("a") == Place(1, "a")
    assert tree.dropped == {0: {"a"}, 2: {"a"}}


@pytest.mark.parametrize("first", [True, False])
def test_a_directory_over_a_symlink_to_a_directory_goes_where_it_leads(first: bool) -> None:
    base = manifest("base", {"lib": Link("usr/lib"), "usr/lib/old": "old"})
    other = manifest("other", {"lib/new": "new", "lib/sub/deep": "deep"})
    manifests = [base, other] if first else [other, base]
    number = manifests.index(other)
    tree = make_tree(manifests)
    assert tree.lifted == {
        "usr/lib/new": Place(number, "lib/new"),
        "usr/lib/sub/deep": Place(number, "lib/sub/deep"),
        "lib": Place(1 - number, "lib"),
    }
    assert tree.holder("lib/new") is None
    assert tree.holder(tree.resolve("lib/new")) == Place(number, "lib/new")
    assert tree.is_directory("usr/lib/sub")
    assert not tree.is_directory("lib")


def test_links_lead_through_links() -> None:
    base = manifest("base", {"lib64": Link("lib"), "lib": Link("/usr/lib"), "usr/lib/a": "a"})
    tree = make_tree([base, manifest("other", {"lib64/b": "b", "lib64/c": Link("b")})])
    assert tree.lifted["usr/lib/b"] == Place(1, "lib64/b")
    assert tree.links["usr/lib/c"] == "b"


def test_dots_after_a_link_count_from_where_it_leads() -> None:
    base = manifest("base", {"lib": Link("one/../usr/lib"), "one": Link("deep/er"), "deep/er/x": "x"})
    tree = make_tree([base, manifest("other", {"lib/a": "a"})])
    assert tree.holder("deep/usr/lib/a") == Place(1, "lib/a")


def test_nothing_leads_out_of_the_root() -> None:
    evil = manifest("evil", {"out": Link("../../../../etc"), "abs": Link("/../..")})
    tree = make_tree([evil, manifest("other", {"out/passwd": "p", "abs/x": "x"})])
    assert tree.lifted["etc/passwd"] == Place(1, "out/passwd")
    assert tree.lifted["x"] == Place(1, "abs/x")
    assert all(".." not in path.split("/") and not path.startswith("/") for path in tree.lifted)


def test_what_meets_behind_a_link_conflicts_too() -> None:
    base = manifest("base", {"lib": Link("usr/lib"), "usr/lib/a": "1"})
    assert message(base, manifest("other", {"lib/a": "2"})) == [
        "error: /usr/lib/a: is in base-1-r0 and other-1-r0",
        "hint: one of them must name the other in replaces, or stay out: !other",
    ]
    tree = make_tree([base, manifest("other", {"lib/a": "2"}, replaces=("base",))])
    assert tree.holder("usr/lib/a") == Place(1, "lib/a")
    assert tree.dropped == {0: {"usr/lib/a"}}


def test_one_package_may_not_have_two_files_behind_a_link() -> None:
    base = manifest("base", {"lib": Link("usr/lib")})
    twice = {"lib/a": "1", "usr/lib/a": "2"}
    assert message(base, manifest("other", twice)) == [
        "error: /usr/lib/a: is in other-1-r0 twice, as /lib/a and /usr/lib/a"
    ]
    make_tree([base, manifest("other", {"lib/a": "1", "usr/lib/a": "1"})])


@pytest.mark.parametrize(
    ("one", "two", "where"),
    [
        ({"a": "file"}, {"a/b": "b"}, "/a: is a file in one-1-r0 and a directory in two-1-r0"),
        ({"a/b": "b"}, {"a": "file"}, "/a: is a file in two-1-r0 and a directory in one-1-r0"),
        ({"a": Link("f"), "f": "file"}, {"a/b": "b"}, "/f: is a file in one-1-r0 and a directory in two-1-r0"),
        ({"a": Link("a")}, {"a/b": "b"}, "/a: leads through symlinks that never end"),
        ({"a": Link("c"), "c": Link("a")}, {"a/b": "b", "c/d": "d"}, "/a: leads through symlinks that never end"),
    ],
)
def test_a_file_is_no_directory(one: dict[str, object], two: dict[str, object], where: str) -> None:
    lines = message(manifest("one", one), manifest("two", two))  # type: ignore[arg-type]  # contents
    assert lines[0] == f"error: {where}"


def test_the_mode_of_a_directory_is_that_of_the_package_that_apk_prefers() -> None:
    tight = manifest("a-tight", {"srv/x": "x", "srv": Directory(0o700)})
    loose = manifest("b-loose", {"srv/y": "y"})
    assert make_tree([tight, loose]).modes == {"srv": (0o700, 0, 0)}  # by name, `a` before `b`
    assert make_tree([loose, tight]).modes == {}
    first = manifest("b-loose", {"srv/y": "y"}, replaces_priority="1")
    assert make_tree([first, tight]).modes == {"srv": (0o755, 0, 0)}
    main = manifest("z", {"srv": Directory(0o711)}, origin="z")
    part = manifest("a", {"srv": Directory(0o700)}, origin="z")
    assert make_tree([main, part]).modes == {"srv": (0o711, 0, 0)}


def test_follow() -> None:
    links = {"a": "b/c", "b/c": "/d/./e", "up": "../..//f"}
    assert follow("a/x", links) == "d/e/x"
    assert follow("/up/../g", links) == "g"
    assert follow("", links) == ""


def test_the_database_forgets_what_another_package_has() -> None:
    one = manifest("one", {"a": "a", "usr/b": "b", "usr/c": Link("b"), "usr/d": Directory(0o700)})
    text = drop_entries(one.installed, {"usr/b", "a"})
    assert "R:b" not in text
    assert [line for line in text.split("\n") if line[0] in "FRaM"] == [
        "F:",
        "F:usr",
        "R:c",
        "a:0:0:777",
        "F:usr/d",
        "M:0:0:700",
    ]
    assert text.startswith(one.installed.partition("\nF:")[0])


def test_entries_are_what_was_written() -> None:
    files: dict[str, Content] = {"a": "a", "usr/b": "b", "usr/c": Link("b"), "usr/d": Directory(0o1777)}
    found = list_entries(manifest("one", files))
    assert {path: (entry.kind, entry.mode, entry.target) for path, entry in found.items()} == {
        "usr": ("d", 0o755, ""),
        "usr/d": ("d", 0o1777, ""),
        "a": ("f", 0o644, ""),
        "usr/b": ("f", 0o644, ""),
        "usr/c": ("l", 0o777, "b"),
    }
