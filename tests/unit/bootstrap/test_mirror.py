from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.bootstrap.mirror import find_keyring, find_mirror
from melpy.errors import SeedError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_one_line_list_is_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/debian trixie main\n"
        "deb-src http://source.example/debian trixie main\n"
        "deb http://security.example/debian-security trixie-security main\n"
        "deb [arch=amd64 signed-by=/k] http://mirror.example/debian/ trixie main # mine\n"
    )
    assert find_mirror(tmp_path) == "http://mirror.example/debian/"


def test_a_deb822_file_is_read(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "a.sources").write_text(
        "Types: deb\nEnabled: no\nURIs: http://off.example/debian\n\n"
        "# a comment\nTypes: deb deb-src\nURIs:\n http://other.example/nodesource\n http://on.example/debian\n"
        "Suites: trixie\n"
    )
    (parts / "b.list.disabled").write_text("deb http://disabled.example/debian trixie main\n")
    assert find_mirror(tmp_path) == "http://on.example/debian"


def test_a_list_of_mirrors_and_a_snapshot_will_do(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n")
    assert find_mirror(tmp_path) == "mirror+file:/etc/apt/mirrors/debian.list"
    (tmp_path / "sources.list").write_text("deb http://s.example/archive/debian/20250520T000000Z trixie main\n")
    assert find_mirror(tmp_path) == "http://s.example/archive/debian/20250520T000000Z"


def test_other_distributions_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://archive.ubuntu.example/ubuntu noble main\n")
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SeedError) as caught:
            find_mirror(place)
        assert "--seed-mirror" in str(caught.value.hint)


def test_without_debians_keys_there_is_a_hint(tmp_path: Path) -> None:
    with pytest.raises(SeedError) as caught:
        find_keyring([tmp_path / "none"])
    assert caught.value.hint == "install the package debian-archive-keyring"
