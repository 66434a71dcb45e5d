"""What was built is in the result cache until it is published, and is not lost where that fails."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from tests.factories.repository import Repository


@pytest.fixture
def project(tmp_path: Path, toy_repository: Repository) -> Project:
    return Project(tmp_path / "project", toy_repository)


def left(project: Project) -> list[str]:
    """Return what is in the directory of results beside the cache of results by key."""
    return [path.name for path in (project.directory / "cache/results").iterdir() if path.name != "by-key"]


def cached(project: Project) -> list[str]:
    return sorted(path.name for path in (project.directory / "cache/results/by-key").rglob("*.apk"))


def outcomes(text: str) -> dict[str, str]:
    return {job["job"]: job["outcome"] for job in json.loads(text) if "outcome" in job}


def test_two_runs_build_the_same_at_the_same_time(project: Project) -> None:
    """They share a cache, and publish to directories of their own."""
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two", runs="echo waits\nsleep 4"))
    slow = project.begin("build", "-v", "one.yaml", "two.yaml")
    quick = project.melpy("build", "one.yaml", "--out-dir", "quick")
    assert quick.returncode == 0, quick.stderr
    _, errors = slow.communicate(timeout=60)
    assert slow.returncode == 0, errors
    assert list(project.packages()) == ["x86_64/one-1.0-r0.apk", "x86_64/two-1.0-r0.apk"]
    same = (project.directory / "quick/x86_64/one-1.0-r0.apk").read_bytes()
    assert project.packages()["x86_64/one-1.0-r0.apk"] == same
    assert left(project) == []


def test_a_killed_run_has_lost_what_went_on_and_no_more(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two", runs="echo waits\nsleep 60"))
    process = project.begin("build", "-v", "-j", "1", "one.yaml", "two.yaml")
    assert cached(project) == ["one-1.0-r0.apk"]
    (used,) = left(project)
    assert project.melpy("clean").returncode == 0
    assert left(project) == [used]
    process.kill()
    process.communicate()
    told = project.melpy("clean", "--dry-run", "--only-killed")
    assert f"{project.directory / 'cache/results' / used}  " in told.stdout
    assert left(project) == [used]
    project.write("two.yaml", shell_recipe("two"))
    run = project.melpy("build", "--json", "one.yaml", "two.yaml", force=False)
    assert outcomes(run.stdout) == {"one-1.0-r0/x86_64": "cached", "two-1.0-r0/x86_64": "built"}
    assert left(project) == []


def test_what_cannot_be_published_is_published_by_the_next_run(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two"))
    (project.out / "x86_64/two-1.0-r0.apk/in-the-way").mkdir(parents=True)
    run = project.melpy("build", "one.yaml", "two.yaml")
    assert run.returncode == 22
    assert cached(project) == ["one-1.0-r0.apk", "two-1.0-r0.apk"]
    assert "  built and not published: one-1.0-r0/x86_64, two-1.0-r0/x86_64\n" in run.stderr
    assert "  what was built is in the result cache: the same command publishes it once this is mended\n" in run.stderr
    assert not (project.out / "x86_64/one-1.0-r0.apk").exists()
    (project.out / "x86_64/two-1.0-r0.apk/in-the-way").rmdir()
    again = project.melpy("build", "--json", "one.yaml", "two.yaml", force=False)
    assert outcomes(again.stdout) == {"one-1.0-r0/x86_64": "cached", "two-1.0-r0/x86_64": "cached"}
    assert list(project.packages()) == ["x86_64/one-1.0-r0.apk", "x86_64/two-1.0-r0.apk"]


def test_a_build_fails_and_what_was_built_cannot_be_published(project: Project) -> None:
    """Both are told; the status is that of the build."""
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two", runs="echo nothing; false"))
    (project.out / "x86_64/one-1.0-r0.apk/in-the-way").mkdir(parents=True)
    run = project.melpy("build", "one.yaml", "two.yaml")
    assert run.returncode == 61
    assert "a directory is in the package's place" in run.stderr
    assert "built and not published: one-1.0-r0/x86_64" in run.stderr
    assert run.stderr.splitlines()[-2] == "error: 1 of 2 jobs failed"


def test_what_was_built_before_an_interrupt_is_published(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two", runs="echo waits\nsleep 60"))
    process = project.begin("build", "-v", "-j", "1", "one.yaml", "two.yaml")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert list(project.packages()) == ["x86_64/one-1.0-r0.apk"]
    assert project.melpy("verify", "out").returncode == 0
    assert left(project) == []
