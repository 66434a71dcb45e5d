"""What a run is shown by and recorded in, as one monitor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from melpy import events
from melpy.cli.recording import open_recording
from melpy.engine.recording import find_newest_recording, load_recording
from melpy.errors import OutputError
from tests.factories.events import FakeRun

JOB = "hello-2.10-r0/x86_64"


def test_all_see_the_same_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with open_recording(tmp_path, out_dir=out, events_file=tmp_path / "e", trace_file=tmp_path / "t") as monitor:
        for _, event in FakeRun(5, 2, failing=0.0, fresh=0.0).play():
            monitor.emit(event)
    own = find_newest_recording(tmp_path, out)
    assert own
    assert [one.event for one in load_recording(own).events] == [
        one.event for one in load_recording(tmp_path / "e").events
    ]
    assert capsys.readouterr().err.count("] built in ") == 10
    names = [one["name"] for one in json.loads((tmp_path / "t").read_text())["traceEvents"]]
    assert sum("/" in name and name.endswith(("x86_64", "aarch64")) for name in names) == 10


def test_a_run_that_breaks_off_has_its_trace(tmp_path: Path) -> None:
    def run() -> None:
        with open_recording(tmp_path, trace_file=tmp_path / "t", quiet=True) as monitor:
            monitor.emit(events.JobStarted(JOB))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert JOB in (tmp_path / "t").read_text()


def test_a_full_disk_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_recording(tmp_path, events_file=Path("/dev/full")) as monitor:
        monitor.emit(events.JobStarted(JOB))
    assert capsys.readouterr().err.splitlines() == [
        f"[{JOB}] building",
        "warning: /dev/full: not all was recorded: no space left on device",
    ]


def test_a_trace_that_cannot_be_written_in_the_end_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "t"
    with open_recording(tmp_path, trace_file=target):
        target.mkdir()
    assert capsys.readouterr().err.startswith(f"warning: no trace was written: {target}: cannot write: is a directory")


@pytest.mark.parametrize("kind", ["events_file", "trace_file"])
def test_a_place_that_cannot_be_written_is_told_at_once(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), open_recording(tmp_path, **{kind: tmp_path / "file/x"}):  # type: ignore[arg-type]  # a path
        raise AssertionError
