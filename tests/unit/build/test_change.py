"""What steps changed in the root is found in its upper layer, and files have limits."""

from __future__ import annotations

from pathlib import Path

from melpy.build.change import find_changes, look_at
from melpy.build.watch import Watch, disk_usage
from melpy.sandbox.model import Limits
from melpy.text import shorten_list
from tests.factories.tree import tree


def test_files_that_are_new_changed_or_removed_are_told(tmp_path: Path) -> None:
    tree(tmp_path, {"etc/passwd": "root", "usr/bin/tool": "old"})
    before = look_at(tmp_path)
    assert find_changes(before, look_at(tmp_path)) == ()
    (tmp_path / "usr/bin/tool").write_text("newer")
    tree(tmp_path, {"usr/share/new": "", "opt/link": "x"})
    assert find_changes(before, look_at(tmp_path)) == ("/opt/link", "/usr/bin/tool", "/usr/share/new")


def test_places_for_temporary_files_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, dict.fromkeys(("tmp/a", "var/tmp/b", "home/build/c", "run/d", "root/.cache", "var/cache/e"), ""))
    assert look_at(tmp_path) == {}
    tree(tmp_path, {"var/lib/f": "", "homes": ""})
    assert sorted(look_at(tmp_path)) == ["homes", "var/lib/f"]


def test_caches_that_programs_write_for_themselves_are_passed_over(tmp_path: Path) -> None:
    caches = ("usr/lib/python3.13/__pycache__/os.cpython-313.pyc", "etc/ld.so.cache", "usr/share/mime/mime.cache")
    tree(tmp_path, dict.fromkeys(caches, ""))
    assert look_at(tmp_path) == {}
    real = ("usr/lib/python3.13/site-packages/a.py", "usr/lib/sourceless.pyc", "etc/ld.so.conf")
    tree(tmp_path, dict.fromkeys(real, ""))
    assert find_changes({}, look_at(tmp_path)) == (
        "/etc/ld.so.conf",
        "/usr/lib/python3.13/site-packages/a.py",
        "/usr/lib/sourceless.pyc",
    )


def test_only_some_of_many_are_named() -> None:
    paths = [f"/usr/bin/{letter}" for letter in "abcdef"]
    assert shorten_list(paths[:4]) == "/usr/bin/a, /usr/bin/b, /usr/bin/c, /usr/bin/d"
    assert shorten_list(paths) == "/usr/bin/a, /usr/bin/b, /usr/bin/c, /usr/bin/d and 2 more"


def test_disk_that_is_filled_is_counted_with_all_below(tmp_path: Path) -> None:
    tree(tmp_path, {"a": "x" * 100_000, "b/c/d": "y" * 50_000})
    (tmp_path / "link").symlink_to("/")
    assert 150_000 <= disk_usage([tmp_path]) < 250_000
    assert disk_usage([tmp_path / "none"]) == 0


def test_a_limit_says_what_was_exceeded(tmp_path: Path) -> None:
    tree(tmp_path, {"a": "x" * 200_000})
    assert Watch(Limits(), (tmp_path,)).look() == ""
    assert Watch(Limits(disk=10**6), (tmp_path,)).look() == ""
    said = Watch(Limits(disk=10**5), (tmp_path,)).look()
    assert said.startswith("filled 20")
    assert said.endswith(" of disk, and the build may fill 100.0 kB")
    watch = Watch(Limits(seconds=5), (tmp_path,))
    assert watch.look() == ""
    watch.start -= 6
    assert watch.look() == "took longer than the 5 s that the build may take"
