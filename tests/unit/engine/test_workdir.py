"""Directories that builds work in: who has one keeps it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from melpy.engine import workdir
from melpy.engine.workdir import WORK, find_work, work_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


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
