"""Recordings of runs: what is written, what a kill leaves, and what is made of it."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from melpy import events
from melpy.engine.recording import Recorder, find_newest_recording, load_recording, new_recording_path
from melpy.engine.timeline import Timeline, make_timeline
from melpy.engine.trace import render_trace
from melpy.errors import OutputError, ValueFormatError
from tests.factories.events import FakeRun, record

JOB = "hello-2.10-r0/x86_64"


def test_events_come_back_with_their_times(tmp_path: Path) -> None:
    run = FakeRun(20, 4, failing=0.1)
    recording = record(tmp_path / "events.jsonl", run)
    told = [(round(at, 4), event) for at, event in FakeRun(20, 4, failing=0.1).play()]
    expected = [one for one in told if not isinstance(one[1], events.Output)]
    assert [(one.at, one.event) for one in recording.events if not isinstance(one.event, events.Output)] == expected
    assert abs(recording.header.start - time.time()) < 60
    first = json.loads((tmp_path / "events.jsonl").read_text().partition("\n")[0])
    assert (first["format"], first["version"]) == ("melpy-events", 1)


def test_only_the_end_of_a_failing_step_is_recorded(tmp_path: Path) -> None:
    with Recorder(tmp_path / "x") as recorder:
        recorder.emit(events.StepStarted(JOB, "good", 1, 2))
        recorder.emit(events.Output(JOB, "of the good one"))
        recorder.emit(events.StepFinished(JOB, "good", 1, 2, 1.0, 0))
        recorder.emit(events.StepStarted(JOB, "bad", 2, 2))
        for number in range(100):
            recorder.emit(events.Output(JOB, f"line {number}"))
        recorder.emit(events.Progress(JOB, "x", 1, 2))
        recorder.emit(events.Transfer(JOB, "x", 1, 2))
        recorder.emit(events.StepFinished(JOB, "bad", 2, 2, 1.0, 3))
        recorder.emit(events.JobStarted("killed-1-r0/x86_64"))
        recorder.emit(events.Output("killed-1-r0/x86_64", "last words"))
        recorder.emit(events.JobFinished("killed-1-r0/x86_64", 1.0, ok=False))
    found = [one.event for one in load_recording(tmp_path / "x").events]
    lines = [event.line for event in found if isinstance(event, events.Output)]
    assert lines == [*(f"line {number}" for number in range(40, 100)), "last words"]
    assert not [event for event in found if isinstance(event, events.Progress | events.Transfer)]
    assert found.index(events.Output(JOB, "line 99")) + 1 == found.index(events.StepFinished(JOB, "bad", 2, 2, 1.0, 3))


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", "", "is no recording of this version of melpy"),
        ("hello\n", ":1", "is no RecordingHeader"),
        ('{"format":"melpy-events","version":2,"start":1.0}\n', "", "is no recording of this version of melpy"),
        ('{"format":"melpy-events","version":1,"start":1.0}\n{"at":1}\n', ":2", "is no TimedEvent"),
        ('{"format":"melpy-events","version":1,"start":1.0}\n{"at":1,"event":{"type":"Evil"}}\n', ":2", "Evil"),
    ],
)
def test_what_is_no_recording_is_refused(text: str, where: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(ValueFormatError) as caught:
        load_recording(path)
    assert str(caught.value.where) == f"{path}{where}"
    assert message in caught.value.message


def test_places_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be read: no such file"):
        load_recording(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write: (not a directory|file exists)"):
        Recorder(tmp_path / "file/events")


def test_a_full_disk_ends_the_recording_and_not_the_run() -> None:
    with Recorder(Path("/dev/full")) as recorder:
        recorder.emit(events.Note("", "x"))
        assert recorder.problem == "no space left on device"


def test_a_pipe_whose_reader_went_away_ends_the_recording() -> None:
    ours, theirs = os.pipe()
    with Recorder(Path(f"/dev/fd/{theirs}")) as recorder:
        os.close(ours)
        os.close(theirs)
        recorder.emit(events.Note("", "x"))
        assert recorder.problem == "broken pipe"


def test_the_newest_recordings_are_kept_and_those_that_are_written(tmp_path: Path) -> None:
    assert find_newest_recording(tmp_path, tmp_path / "out") is None
    runs = tmp_path / "runs"
    runs.mkdir()
    old = [runs / f"202601{day:02}T000000Z-00000000.jsonl" for day in range(1, 31)]
    for path in old[1:]:
        path.write_text("")
    with Recorder(old[0]):
        path = new_recording_path(tmp_path)
        assert sorted(runs.iterdir()) == [old[0], *old[-19:]]
    with Recorder(path, out_dir=tmp_path / "out"):
        assert find_newest_recording(tmp_path, tmp_path / "out") == path
        assert find_newest_recording(tmp_path, tmp_path / "other") is None


def check_timeline(timeline: Timeline) -> None:
    """Check that slices of a row do not overlap, that pieces lie within, and that nobody waited in vain."""
    rows: dict[int, list[tuple[float, float]]] = {}
    for job in timeline.jobs:
        for span in job.spans:
            rows.setdefault(span.slot, []).append((span.start, span.end))
            assert all(span.start <= piece.start <= piece.end <= span.end for piece in span.pieces)
            if job.blocker is not None:
                assert timeline.jobs[job.blocker].settled <= span.start
                assert job.blocker in job.waits
    for spans in rows.values():
        ordered = sorted(spans)
        assert all(one[1] <= other[0] for one, other in pairwise(ordered))
    assert len(rows) <= timeline.workers


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_worker_slots(seed: int, tmp_path: Path) -> None:
    run = FakeRun(60, 5, seed, failing=0.03)
    timeline = make_timeline(record(tmp_path / "x", run))
    check_timeline(timeline)
    assert [job.job for job in timeline.jobs] == run.jobs
    assert [[timeline.jobs[one].job for one in job.waits] for job in timeline.jobs] == [
        sorted(run.needs[job.job], key=run.jobs.index) for job in timeline.jobs
    ]
    settled = Counter(
        event.outcome for _, event in FakeRun(60, 5, seed, failing=0.03).play() if isinstance(event, events.JobSettled)
    )
    assert Counter(job.outcome for job in timeline.jobs) == settled
    assert timeline.is_whole


def test_a_failure_has_its_step_and_cause(tmp_path: Path) -> None:
    timeline = make_timeline(record(tmp_path / "x", FakeRun(60, 5, failing=0.1)))
    failed = [job for job in timeline.jobs if job.outcome == "failed"]
    assert failed
    assert all(job.cause.startswith(("main.", "sh: cargo: not found", "<script>")) for job in failed)
    assert all(job.step.endswith(", status 2") for job in failed)
    assert all(job.tail[-1].startswith("| ") for job in failed)


def test_a_job_that_is_built_again_has_two_spans(tmp_path: Path) -> None:
    now = 0.0
    with Recorder(tmp_path / "x", lambda: now) as recorder:
        recorder.emit(events.RunStarted("", 1, 1, (JOB,), ((),)))
        for now in (1.0, 5.0):  # the clock reads it
            recorder.emit(events.JobStarted(JOB))
            now += 2  # noqa: PLW2901  # likewise
            recorder.emit(events.JobFinished(JOB, 2.0, ok=True))
        recorder.emit(events.JobSettled(JOB, "built", "", 6.0))
    (job,) = make_timeline(load_recording(tmp_path / "x")).jobs
    assert [(span.start, span.end, span.ok) for span in job.spans] == [(1.0, 3.0, True), (5.0, 7.0, True)]


def test_what_works_for_all_jobs_is_no_job(tmp_path: Path) -> None:
    """As the seed does, of which a recording has stages only."""
    now = 0.0
    with Recorder(tmp_path / "x", lambda: now) as recorder:
        recorder.emit(events.RunStarted("", 1, 1, (JOB,), ((),)))
        recorder.emit(events.StageStarted("seed", "conversion"))
        now = 2.0
        recorder.emit(events.StageFinished("seed", "conversion", 2.0))
        recorder.emit(events.JobStarted(JOB))
        recorder.emit(events.JobFinished(JOB, 2.0, ok=True))
        recorder.emit(events.JobSettled(JOB, "built", "", 6.0))
    timeline = make_timeline(load_recording(tmp_path / "x"))
    assert [job.job for job in timeline.jobs] == [JOB]
    assert [(piece.name, piece.start, piece.end) for piece in timeline.stages] == [("seed conversion", 0.0, 2.0)]


def trace_of(run: FakeRun, path: Path) -> list[dict[str, Any]]:
    trace = json.loads(render_trace(make_timeline(record(path, run))))
    assert trace["displayTimeUnit"] == "ms"
    records: list[dict[str, Any]] = trace["traceEvents"]
    return records


def test_slices_of_a_trace_are_nested(tmp_path: Path) -> None:
    """As its format asks: of two slices of a row, one is within the other, or they do not overlap."""
    records = trace_of(FakeRun(60, 5, failing=0.03), tmp_path / "x")
    rows: dict[int, list[tuple[int, int]]] = {}
    for one in records:
        if one["ph"] == "X" and one["pid"] == 2:
            rows.setdefault(one["tid"], []).append((one["ts"], one["ts"] + one["dur"]))
    assert sorted(rows) == [0, 1, 2, 3, 4]
    for spans in rows.values():
        stack: list[int] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while stack and stack[-1] <= start:
                stack.pop()
            assert not stack or end <= stack[-1]
            stack.append(end)


def test_a_flow_leads_from_the_job_that_was_waited_for(tmp_path: Path) -> None:
    records = trace_of(FakeRun(60, 5), tmp_path / "x")
    slices = [one for one in records if one["ph"] == "X" and "outcome" in one.get("args", {})]
    begins = {one["id"]: one for one in records if one["ph"] == "s"}
    ends = {one["id"]: one for one in records if one["ph"] == "f"}
    assert begins.keys() == ends.keys()
    assert len(begins) > 20
    for key, begin in begins.items():
        (source,) = [
            one
            for one in slices
            if one["tid"] == begin["tid"] and one["ts"] <= begin["ts"] < max(one["ts"] + one["dur"], one["ts"] + 1)
        ]
        (target,) = [one for one in slices if one["tid"] == ends[key]["tid"] and one["ts"] == ends[key]["ts"]]
        assert source["name"] in target["args"]["waited for"]


def test_counters_of_a_trace_end_where_the_run_ends(tmp_path: Path) -> None:
    counters = [one for one in trace_of(FakeRun(20, 4), tmp_path / "x") if one["ph"] == "C"]
    last = {one["name"]: one["args"]["jobs"] for one in counters}
    assert last == {"running": 0, "settled": 40}
    assert max(one["args"]["jobs"] for one in counters if one["name"] == "running") <= 4
