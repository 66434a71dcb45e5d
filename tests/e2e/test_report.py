"""Recordings of real runs, and the pages and traces that are made of them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from melpy import events
from melpy.engine.recording import load_recording
from tests.factories.events import FakeRun, record
from tests.factories.project import Project, shell_recipe

RECORDING = """\
import sys
from pathlib import Path
from melpy import events
from melpy.engine.recording import Recorder
with Recorder(Path(sys.argv[1])) as recorder:
    print("ready", flush=True)
    while True:
        recorder.emit(events.Note("", "x" * 5000))
"""
FAILING = shell_recipe("bad").replace(
    "pipeline:\n", "pipeline:\n  - runs: |\n      echo before; no-such-command --x\n", 1
)


def test_a_kill_leaves_all_but_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with subprocess.Popen([sys.executable, "-c", RECORDING, path], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert len(load_recording(path).events) > 10


def test_a_build_records_itself(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "--events", "events.jsonl", "--trace", "trace.json", "one.yaml")
    assert run.returncode == 0, run.stderr
    told = [one.event for one in load_recording(project.directory / "events.jsonl").events]
    assert [(event.job, event.ok) for event in told if isinstance(event, events.JobFinished)] == [
        ("one-1.0-r0/x86_64", True)
    ]
    assert not [event for event in told if isinstance(event, events.Output)]
    trace = json.loads((project.directory / "trace.json").read_text())["traceEvents"]
    names = [one["name"] for one in trace if one["ph"] == "X"]
    assert names[:3] == ["one-1.0-r0/x86_64", "environment", "history"]
    report = project.melpy("report", "-o", "page.html")
    assert report.returncode == 0, report.stderr
    assert re.fullmatch(r"page\.html: [0-9.]+ kB, of .*/runs/\d{8}T\d{6}Z-[0-9a-f]{8}\.jsonl\n", report.stderr)
    assert '"one-1.0-r0"' in (project.directory / "page.html").read_text()


def test_a_failure_is_recorded_with_its_last_lines(project: Project) -> None:
    project.write("bad.yaml", FAILING)
    run = project.melpy("build", "bad.yaml")
    assert run.returncode == 60, run.stderr
    page = project.melpy("report", "-o", "-").stdout
    assert "no-such-command: not found</div></summary>" in page
    assert '<p class="mono">melpy shell bad --arch x86_64</p>' in page
    assert re.search(r"<pre>before\n.*no-such-command: not found</pre>", page)


def test_files_that_cannot_be_written_are_told_before_the_build(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("file", "")
    for flag in ("--events", "--trace"):
        run = project.melpy("build", flag, "file/x", "one.yaml")
        assert run.returncode == 22
        assert run.stderr.startswith("error: ")
        assert "one-1.0-r0" not in run.stderr


def test_without_a_run_there_is_no_report(project: Project) -> None:
    run = project.melpy("report", "--cache-dir", "empty")
    assert run.returncode == 2
    assert run.stderr.endswith(
        "error: no run is recorded yet\nhint: run melpy build first, or name a file of melpy build --events\n"
    )


def test_the_newest_run_of_an_out_dir_is_reported(project: Project) -> None:
    """Other out-dirs may share the cache."""
    for name, out in (("one", "out"), ("two", "other")):
        project.write(f"{name}.yaml", shell_recipe(name))
        assert project.melpy("build", "--out-dir", out, f"{name}.yaml").returncode == 0
    assert '"one-1.0-r0"' in project.melpy("report", "-o", "-").stdout
    assert '"two-1.0-r0"' in project.melpy("report", "-o", "-", "--out-dir", "other").stdout
    recordings = sorted((project.directory / "cache/runs").iterdir())
    newest = project.melpy("report", "-o", "-", str(recordings[-1])).stdout
    oldest = project.melpy("report", "-o", "-", str(recordings[0])).stdout
    assert {'"one-1.0-r0"' in newest, '"one-1.0-r0"' in oldest} == {True, False}
    none = project.melpy("report", "--out-dir", "none")
    assert none.returncode == 2
    assert "error: no run that wrote none is recorded\nhint: the newest one is of " in none.stderr


def test_a_file_that_is_not_there(project: Project) -> None:
    run = project.melpy("report", "none.jsonl")
    assert run.returncode == 2
    assert run.stderr.endswith("error: none.jsonl: no such file\nhint: name a file of melpy build --events\n")
    run = project.melpy("report", ".")
    assert (run.returncode, run.stderr.startswith("error: .: cannot be read: is a directory")) == (22, True)


def test_what_is_no_recording_is_refused(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    run = project.melpy("report", "one.yaml")
    assert run.returncode == 72
    assert run.stderr.startswith("error: one.yaml:1: is no RecordingHeader of this version of melpy: JSON is malformed")
    assert not (project.directory / "melpy-report.html").exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page(scheme: str, tmp_path: Path) -> None:
    """Not part of what CI installs: 400 MB for one test."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    record(tmp_path / "x.jsonl", FakeRun(60, 5, failing=0.05))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "melpy",
            "report",
            "--cache-dir",
            tmp_path,
            "-o",
            tmp_path / "x.html",
            tmp_path / "x.jsonl",
        ],
        check=True,
    )
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}/c",
    ]
    dark = ["--force-dark-mode"] if scheme == "dark" else []
    run = subprocess.run(
        [browser, *flags, *dark, "--dump-dom", f"file://{tmp_path}/x.html#jobs"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in run.stderr
    assert run.stdout.count("<tr data-job=") > 30
    assert ">120 of 120</span>" in run.stdout
