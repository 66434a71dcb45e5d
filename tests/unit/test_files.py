"""Writing files so that nobody sees half of one."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from melpy.errors import OutputError
from melpy.files import check_writable, replace_file, scratch_directory, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_parents_are_made_and_the_mode_is_given(tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "b" / "c", "text")
    write_file(tmp_path / "script", b"#!/bin/sh", 0o755)
    assert (tmp_path / "a" / "b" / "c").read_text() == "text"
    assert stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "script").stat().st_mode) == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failure_keeps_the_old_content_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail_midway() -> None:
        with replace_file(path) as stream:
            stream.write(b"half of the new")
            raise error

    with pytest.raises((error, OutputError)):
        fail_midway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_content_is_there_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replace_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_text() == "old"
        stream.seek(0)
        assert stream.read() == b"new"
    assert path.read_text() == "new"


def test_a_symlink_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "old"
    assert not (tmp_path / "link").is_symlink()


def test_below_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    place = tmp_path / "file" / "below"
    with pytest.raises(OutputError) as caught:
        check_writable(place)
    assert str(caught.value) == f"{place}: cannot write: not a directory"
    assert caught.value.hint == "a file is in the way; choose another place"
    with pytest.raises(OutputError, match="cannot write: not a directory"):
        write_file(place / "deeper", "y")
    with pytest.raises(OutputError, match="cannot write: file exists"):
        write_file(place, "y")
    assert (tmp_path / "file").read_text() == "x"


def test_in_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "directory" / "full").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot write: is a directory"):
        write_file(tmp_path / "directory", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


def test_a_writable_directory_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_directory_that_somebody_works_in_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".new-link").symlink_to("elsewhere")
    with scratch_directory(tmp_path) as first:
        (first / "file").touch()
        with scratch_directory(tmp_path) as second:
            assert (first / "file").exists()
            assert first != second
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-link", "elsewhere"]


def test_a_file_system_without_unnamed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: Path, flags: int, *rest: int, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    write_file(tmp_path / "file", "new", 0o640)
    assert (tmp_path / "file").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_that_leaves_no_room_for_another(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write: file name too long"):
        write_file(tmp_path / ("x" * 255), "text")
    assert list(tmp_path.iterdir()) == []
