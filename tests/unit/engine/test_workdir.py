"""Directories that builds work in: who has one keeps it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from melpy.engine import workdir
from melpy.engine.workdir import WORK, find_work, remove_left, reuse_kept, work_directory
from melpy.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_new_directory_is_not_taken_for_what_a_killed_build_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another melpy looks for such between the making of the directory and its lock."""
    base = tmp_path / WORK
    seen: list[bool] = []
    others = threading.Thread(target=lambda: seen.extend(work.used for work in find_work(base)))
    lock = workdir._locked

    @contextmanager
    def slowly(directory: Path) -> Iterator[None]:
        others.start()
        others.join(0.2)
        with lock(directory):
            yield

    monkeypatch.setattr(workdir, "_locked", slowly)
    with work_directory(tmp_path, "one-x86_64", keep=False):
        others.join()
    assert seen == [True]


def test_a_directory_is_entered_while_another_looks_whether_it_is_used(tmp_path: Path) -> None:
    """Who looks locks it for a moment."""
    base = tmp_path / WORK
    with work_directory(tmp_path, "one-x86_64", keep=True) as directory:
        pass
    looking, enough = threading.Event(), threading.Event()

    def look() -> None:
        with workdir._alone(base), workdir._locked(directory):
            looking.set()
            enough.wait(0.2)

    other = threading.Thread(target=look)
    other.start()
    looking.wait()
    with reuse_kept(directory):
        pass
    other.join()


def test_a_directory_that_is_entered_is_not_removed(tmp_path: Path) -> None:
    """Another melpy found it unused a moment before."""
    with work_directory(tmp_path, "one-x86_64", keep=True) as directory:
        pass
    with reuse_kept(directory):
        assert remove_left(directory) is False
        with work_directory(tmp_path, "one-x86_64", keep=True) as following:
            pass
        assert directory.is_dir()
    assert remove_left(directory) is True
    assert remove_left(directory) is False
    assert [work.path for work in find_work(tmp_path / WORK)] == [following]
    with pytest.raises(OutputError, match="cannot be worked in: no such file or directory"), reuse_kept(directory):
        pass


def test_what_goes_wrong_in_a_directory_is_not_taken_for_its_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), work_directory(tmp_path, "one-x86_64", keep=False):
        raise BlockingIOError
