from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.scan.link import find_entry
from melpy.scan.place import is_in_directory
from tests.factories.tree import Link, tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("file", "usr/lib/file"),
        ("./file", "usr/lib/file"),
        ("/usr/lib/file", "usr/lib/file"),
        ("/lib/file", "usr/lib/file"),
        ("../share/other", "usr/share/other"),
        ("../../../../../usr/lib/file", "usr/lib/file"),
        ("second", "usr/lib/file"),
        ("nothing", None),
        ("/etc/passwd", None),
        ("circle", None),
        ("file/below", None),
        ("nothing/../file", None),
    ],
)
def test_find_entry(tmp_path: Path, target: str, found: str | None) -> None:
    package = tree(
        tmp_path / "root",
        {
            "usr/lib/file": "",
            "usr/share/other": "",
            "lib": Link("usr/lib"),
            "usr/lib/second": Link("/lib/file"),
            "usr/lib/circle": Link("circle"),
            "usr/lib/link": Link(target),
        },
    )
    entry = find_entry(package, "usr/lib/link")
    assert (entry.path if entry else None) == found


@pytest.mark.parametrize(
    ("path", "directory", "expected"),
    [
        ("dir/file", "dir", True),
        ("dir/file", "dir/", True),
        ("dir/file", "otherdir", False),
        ("dir/subdir/file", "dir", False),
        ("dir/subdir/file", "dir/", False),
        ("dir/file", "dir/...", True),
        ("dir/subdir/file", "dir/...", True),
        ("dir/subdir/subdir/file", "dir/...", True),
        ("otherdir/file", "dir/...", False),
        ("dirother/file", "dir/...", False),
    ],
)
def test_is_in_directory(path: str, directory: str, *, expected: bool) -> None:
    assert is_in_directory(path, [directory]) is expected
