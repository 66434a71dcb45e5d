"""Whose files are inside and outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from melpy.sandbox.enter import exchanged
from melpy.sandbox.identity import find_free_start, find_spare, find_start, is_mapped
from melpy.sandbox.model import IdRange

OWN = (1001, 1001)
RANGE = IdRange(100000, 200000)


@pytest.mark.parametrize(
    ("outside", "user", "inside"),
    [
        ((1001, 1001), (1000, 1000), (1000, 1000)),  # whoever runs melpy is the build user
        ((100999, 200999), (1000, 1000), (0, 0)),  # and root is in that one's place
        ((100007, 200007), (1000, 1000), (8, 8)),
        ((1001, 1001), (0, 0), (0, 0)),
        ((100999, 200999), (0, 0), (1000, 1000)),
        ((101000, 201000), (1000, 1000), (1001, 1001)),
    ],
)
def test_an_owner_inside(outside: tuple[int, int], user: tuple[int, int], inside: tuple[int, int]) -> None:
    assert RANGE.inside(*outside, OWN, user) == inside


@pytest.mark.parametrize("user", [0, 1, 8, 1000, 65534, 65535])
def test_every_id_is_mapped_once(user: int) -> None:
    rows = exchanged(user)
    inside = [number for start, _, count in rows for number in range(start, start + count)]
    outside = [number for _, start, count in rows for number in range(start, start + count)]
    assert sorted(inside) == sorted(outside) == list(range(65536))
    assert dict(zip(inside, outside, strict=True))[user] == 0


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("tester:100000:65536\n", 100000),
        ("root:1:65536\n1001:300000:65536\n", 300000),
        ("tester:100000:1000\ntester:500000:70000\n", 500000),
        ("other:100000:65536\n", None),
        ("tester:x:65536\nnonsense\n\n", None),
        ("", None),
    ],
)
def test_a_range_of_the_user(tmp_path: Path, text: str, start: int | None) -> None:
    (tmp_path / "subuid").write_text(text)
    assert find_start(tmp_path / "subuid", "tester", 1001) == start


def test_no_file_is_no_range(tmp_path: Path) -> None:
    assert find_start(tmp_path / "subuid", "tester", 1001) is None


def test_a_range_that_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("one:100000:65536\ntwo:400000:65536\nbroken\n")
    (tmp_path / "subgid").write_text("one:100000:65536\n")
    assert find_free_start([tmp_path / "subuid", tmp_path / "subgid"]) == 465536
    assert find_free_start([tmp_path / "none"]) == 100000


@pytest.mark.parametrize(
    ("rows", "start"),
    [
        ([(0, 4294967295)], 1 << 30),  # a machine, or a container with all its ids
        ([(0, 65536)], None),  # a container of 65,536: they are its users'
        ([(0, 1), (1, 65536)], None),
        ([(0, 1), (1, 131072)], 65537),
        ([(0, 200000)], 134464),
        ([(0, 1)], None),
        ([], None),
    ],
)
def test_ids_that_root_may_give_away(rows: list[tuple[int, int]], start: int | None) -> None:
    assert find_spare(rows) == start


def test_ids_that_exist() -> None:
    assert is_mapped([(0, 1), (1, 65536)], 0, 65537)
    assert is_mapped([(100, 50), (0, 100)], 10, 140)
    assert not is_mapped([(0, 1), (1, 65536)], 0, 65538)
    assert not is_mapped([(0, 65536)], 100000, 65535)
    assert not is_mapped([(0, 10), (11, 10)], 0, 20)
