"""The result cache: what is removed from it, and what is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy.engine.resultstore import ResultStore

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 16


def add(cache: Path, key: str, used: int) -> Path:
    directory = cache / "results/by-key" / key
    (directory / "x86_64").mkdir(parents=True)
    (directory / "x86_64/one.apk").write_bytes(os.urandom(SIZE))
    os.utime(directory, (used, used))
    return directory


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    kept = [add(tmp_path, f"key{number}", number) for number in (3, 1, 2)]
    store = ResultStore(tmp_path)
    assert store.trim(0) == 0  # any number of bytes
    assert store.trim(10 * SIZE) == 0
    assert store.trim(2 * SIZE + SIZE // 2) >= SIZE
    assert [path.exists() for path in kept] == [True, False, True]
    store.trim(1)
    assert not any(path.exists() for path in kept)


def test_nothing_is_removed_while_a_run_may_use_it(tmp_path: Path) -> None:
    kept = add(tmp_path, "key", 1)
    with ResultStore(tmp_path).hold():
        assert ResultStore(tmp_path).trim(1) == 0
    assert kept.exists()
    assert ResultStore(tmp_path).trim(1) >= SIZE


def test_an_entry_that_is_not_whole_is_no_result(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    assert store.find("missing") is None
    for content in (b"", b"{}", b'{"form": 1}'):
        directory = add(tmp_path, "key", 1)
        (directory / "result.json").write_bytes(content)
        assert store.find("key") is None
        assert not directory.exists()
