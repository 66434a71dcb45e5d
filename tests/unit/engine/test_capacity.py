from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from melpy.engine.capacity import count_processors, find_capacity, find_disk, find_memory

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A control group below another one, and files that say so."""
    (tmp_path / "own").write_text("1:name=systemd:/\n0::/outer/inner\n")
    (tmp_path / "meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n")
    (inner := tmp_path / "mount/outer/inner").mkdir(parents=True)
    return inner


def memory(root: Path) -> int:
    return find_memory(root / "meminfo", root / "own", root / "mount")


def test_memory_is_what_is_available(tmp_path: Path, group: Path) -> None:
    assert memory(tmp_path) == (4096 - 512) * MIB
    (group / "memory.max").write_text("max\n")
    assert memory(tmp_path) == (4096 - 512) * MIB
    assert find_memory(tmp_path / "missing", tmp_path / "missing", tmp_path) == 0


def test_memory_of_an_outer_control_group_counts_without_cached_files(tmp_path: Path, group: Path) -> None:
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text(f"{2048 * MIB}\n")
    (group.parent / "memory.current").write_text(f"{1024 * MIB}\n")
    (group.parent / "memory.stat").write_text(f"anon 1\ninactive_file {256 * MIB}\n")
    assert memory(tmp_path) == (2048 - 1024 + 256 - 512) * MIB


def test_a_machine_without_free_memory_has_a_byte_not_any_number(tmp_path: Path, group: Path) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 1024 kB\n")
    assert memory(tmp_path) == 1


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", None), ("150000 100000", 2), ("1000 100000", 1)])
def test_processors_are_those_of_the_quota_at_most(
    tmp_path: Path, group: Path, quota: str, expected: int | None
) -> None:
    (group / "cpu.max").write_text(quota)
    there = len(os.sched_getaffinity(0))
    assert count_processors(tmp_path / "own", tmp_path / "mount") == min(expected or there, there)


def test_a_directory_that_is_not_there_yet_has_the_disk_of_the_one_above(tmp_path: Path) -> None:
    assert find_disk(tmp_path / "a/b/c") > MIB
    capacity = find_capacity(tmp_path / "a")
    assert (capacity.builds, capacity.memory > 0) == (count_processors(), True)
    assert find_capacity(tmp_path, 7).builds == 7
