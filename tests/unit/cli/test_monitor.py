"""What monitors say of downloads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from melpy.cli.downloads import Downloads
from melpy.cli.monitor import Plain
from melpy.events import Tape, Transfer
from melpy.meter import Meter, open_meter, watch_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("done", "total", "said"),
    [
        (0, 0, "fetching a 0 B"),
        (5, 0, "fetching a 5 B"),
        (0, 10, "fetching a 0 B of 10 B (0 %)"),
        (1500, 6000, "fetching a 1.5 kB of 6.0 kB (25 %)"),
        (11, 10, "fetching a 11 B"),
    ],
)
def test_one_download(done: int, total: int, said: str) -> None:
    downloads = Downloads()
    downloads.note(Transfer("", "fetching a", done, total))
    assert downloads.describe() == said


def test_several_downloads_are_one_line() -> None:
    downloads = Downloads()
    downloads.note(Transfer("one", "fetching a", 10, 100))
    downloads.note(Transfer("one", "fetching b", 30, 60))
    assert downloads.describe() == "one 2 downloads 40 B of 160 B (25 %)"
    downloads.note(Transfer("two", "fetching a", 1, 0))  # of a size that nobody knows
    assert downloads.describe() == "3 downloads 41 B"
    for job, what in (("one", "fetching a"), ("two", "fetching a"), ("one", "fetching b")):
        downloads.note(Transfer(job, what, 1, 1, ended=True))
    assert not downloads.describe()


def test_a_short_download_is_one_note_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain()
    with open_meter(plain, "one", "fetching a", 10) as meter:
        meter.count(10)
    assert capsys.readouterr().err == ""


def test_what_comes_once_more_is_counted_once() -> None:
    tape = Tape()
    meter = Meter(tape, "", "a")
    meter.expect(30)
    meter.count(20)
    meter.count(-20)
    meter.count(30)
    meter.end()
    assert tape.events[-1] == Transfer("", "a", 30, 30, ended=True)


def test_a_known_size_stays() -> None:
    tape = Tape()
    meter = Meter(tape, "", "a", 100)
    meter.expect(30)  # of one of several files
    meter.end()
    assert tape.events == [Transfer("", "a", 0, 100, ended=True)]


def test_files_of_another_program_are_watched(tmp_path: Path) -> None:
    (tmp_path / "before.deb").write_bytes(b"x" * 5)
    tape = Tape()
    with open_meter(tape, "", "a", 40) as meter, watch_files(meter, tmp_path, ["**/*.deb*"]):
        (tmp_path / "partial").mkdir()
        (tmp_path / "partial/new.deb").write_bytes(b"x" * 20)
        time.sleep(0.5)
        (tmp_path / "partial/new.deb").replace(tmp_path / "new.deb")
        (tmp_path / "other").write_bytes(b"x" * 7)
        time.sleep(0.5)
    assert [event.done for event in tape.events if isinstance(event, Transfer)][-1] == 20
