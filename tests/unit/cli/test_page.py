"""The page of a run: small, escaped, and without any request."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from melpy import events
from melpy.cli.page import LARGEST, render_page
from melpy.engine.recording import Recorder, load_recording
from melpy.engine.timeline import Timeline, make_timeline
from melpy.engine.trace import render_trace
from tests.factories.events import FakeRun, record

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>'\"`${1}&amp;\u2028"


def timeline_of(path: Path, run: FakeRun) -> Timeline:
    return make_timeline(record(path, run))


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


def test_all_of_wolfi_fits(tmp_path: Path) -> None:
    """3,400 recipes for two architectures, with as many edges as its graph has and hundreds of failures."""
    timeline = timeline_of(tmp_path / "x", FakeRun(3400, 64, waits=20, output=1, failing=0.0))
    failed = events.JobSettled("", "failed")
    tail = tuple(f"| {'x' * 600}" for _ in range(60))
    assert failed.outcome == "failed"
    jobs = [_fail(job, tail) if number % 10 == 0 else job for number, job in enumerate(timeline.jobs)]
    assert sum(len(job.waits) for job in jobs) > 100_000
    start = time.process_time()
    page = render_page(_with(timeline, jobs))
    assert len(page.encode()) < LARGEST
    assert time.process_time() - start < 10
    assert len(data_of(page)["jobs"]) == 6800
    assert "and 180 more, which the table lists" in page


def _fail(job: Any, tail: tuple[str, ...]) -> Any:
    from melpy.codec import replace

    return replace(job, outcome="failed", tail=tail, step="1/1 make, status 2", cause="x" * 5000)


def _with(timeline: Timeline, jobs: list[Any]) -> Timeline:
    from melpy.codec import replace

    return replace(timeline, jobs=tuple(jobs))


def test_the_data_say_what_the_run_was(tmp_path: Path) -> None:
    run = FakeRun(20, 4, failing=0.1)
    timeline = timeline_of(tmp_path / "x", run)
    data = data_of(render_page(timeline))
    texts = data["texts"]
    for job, found in zip(timeline.jobs, data["jobs"], strict=True):
        name, arch, outcome, settled, _, blocker, waits, spans, packages, _ = found
        assert f"{texts[name]}/{texts[arch]}" == job.job
        assert data["outcomes"][outcome] == job.outcome
        assert settled == round(job.settled * 100)
        assert blocker == (-1 if job.blocker is None else job.blocker)
        assert [sum(waits[: end + 1]) for end in range(len(waits))] == list(job.waits)
        assert len(spans) == len(job.spans)
        assert [(texts[one], size) for one, size, _ in packages] == [(one.name, one.size) for one in job.packages]


def evil_page(tmp_path: Path) -> str:
    job = f"{EVIL}-1-r0/x86_64"
    with Recorder(tmp_path / "x") as recorder:
        recorder.emit(events.RunStarted("", 1, 1, (job,), ((),)))
        recorder.emit(events.JobStarted(job, Path(f"out/{EVIL}.log")))
        recorder.emit(events.StepStarted(job, EVIL, 1, 1))
        recorder.emit(events.Output(job, f"| error: {EVIL} \x1b[31m\u202e"))
        recorder.emit(events.StepFinished(job, EVIL, 1, 1, 1.0, 2))
        recorder.emit(events.Warning(job, EVIL))
        made = (events.MadePackage(EVIL, 1, (EVIL,)),)
        recorder.emit(events.JobSettled(job, "failed", EVIL, 1.0, made))
    return render_page(make_timeline(load_recording(tmp_path / "x")))


def test_names_and_logs_are_text(tmp_path: Path) -> None:
    page = evil_page(tmp_path)
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    # Nothing of it is evaluated by a template, and the script makes no markup of it.
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script)


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    page = render_page(timeline_of(tmp_path / "x", FakeRun(20, 4)))
    addresses = set(re.findall(r"(?:https?:)?//[\w.]+/", page))
    assert addresses == {"http://www.w3.org/"}  # the name of SVG, which nobody fetches
    assert not re.search(r"@import|url\(|<link rel=.stylesheet|\bfetch\(|XMLHttpRequest|<iframe|srcset", page)
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy


def test_failures_can_be_read_without_scripts(tmp_path: Path) -> None:
    timeline = timeline_of(tmp_path / "x", FakeRun(60, 5, failing=0.1))
    page = render_page(timeline)
    for job in timeline.jobs:
        if job.outcome == "failed":
            assert f'<summary><b>{job.job}</b> <span class="dim">step {job.step.replace("&", "&amp;")}' in page
            name, arch = job.name.rsplit("-", 2)[0], job.arch
            assert f'<p class="mono">melpy shell {name} --arch {arch}</p>' in page


def test_times_beyond_measure(tmp_path: Path) -> None:
    path = tmp_path / "x"
    lines = [
        '{"format":"melpy-events","version":1,"start":1e300}',
        '{"at":-1e300,"event":{"type":"JobStarted","job":"a-1-r0/x86_64"}}',
        '{"at":1e308,"event":{"type":"JobFinished","job":"a-1-r0/x86_64","seconds":1e308,"ok":true}}',
        '{"at":5,"event":{"type":"JobSettled","job":"a-1-r0/x86_64","seconds":-1e308,"outcome":"evil"}}',
        '{"at":5,"event":{"type":"JobSettled","job":"b","seconds":1e308,"outcome":"up-to-date"}}',
    ]
    path.write_text("\n".join([*lines, ""]))
    timeline = make_timeline(load_recording(path))
    assert "9999-12-31" in render_page(timeline)
    json.loads(render_trace(timeline))


@pytest.mark.parametrize("until", [0, 1, 40, 400])
def test_a_run_that_was_killed_has_a_page(until: int, tmp_path: Path) -> None:
    with Recorder(tmp_path / "x") as recorder:
        for number, (_, event) in enumerate(FakeRun(20, 4).play()):
            if number < until:
                recorder.emit(event)
    page = render_page(make_timeline(load_recording(tmp_path / "x")))
    assert "it did not come to its end" in page
