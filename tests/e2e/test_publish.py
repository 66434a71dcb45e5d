"""What was built waits for its publication where no other run reaches it, and is not lost where that fails."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from tests.factories.repository import Repository


@pytest.fixture
def project(tmp_path: Path, toy_repository: Repository) -> Project:
    return Project(tmp_path / "project", toy_repository)


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
    assert list((project.directory / "cache/results").iterdir()) == []


def test_a_killed_run_leaves_results_until_the_next(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two", runs="echo waits\nsleep 60"))
    process = project.begin("build", "-v", "one.yaml", "two.yaml")
    (used,) = (project.directory / "cache/results").iterdir()
    assert project.melpy("clean").returncode == 0
    assert list(used.glob("*/x86_64/one-1.0-r0.apk"))
    process.kill()
    process.communicate()
    told = project.melpy("clean", "--dry-run", "--only-killed")
    assert f"{used}  " in told.stdout
    assert used.exists()
    project.write("two.yaml", shell_recipe("two"))
    assert project.melpy("build", "two.yaml").returncode == 0
    assert list((project.directory / "cache/results").iterdir()) == []


def test_what_cannot_be_published_is_kept(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two"))
    (project.out / "x86_64/two-1.0-r0.apk/in-the-way").mkdir(parents=True)
    run = project.melpy("build", "one.yaml", "two.yaml")
    assert run.returncode == 22
    (kept,) = (project.directory / "cache/results").iterdir()
    assert kept.name.startswith("unpublished-")
    assert sorted(path.name for path in kept.rglob("*.apk")) == ["one-1.0-r0.apk", "two-1.0-r0.apk"]
    assert "  built and not published: one-1.0-r0/x86_64, two-1.0-r0/x86_64\n" in run.stderr
    assert f"  the unsigned packages are in {kept}, until melpy clean removes them\n" in run.stderr
    assert not (project.out / "x86_64/one-1.0-r0.apk").exists()
    assert project.melpy("clean", "--only-killed").stdout == ""
    assert f"{kept}  " in (told := project.melpy("clean").stdout)
    assert told.endswith("  packages that could not be published\n")
    assert not kept.exists()


def test_a_build_fails_and_what_was_built_cannot_be_published(project: Project) -> None:
    """Both are told; the status is that of the build."""
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two", runs="echo nothing; false"))
    (project.out / "x86_64/one-1.0-r0.apk/in-the-way").mkdir(parents=True)
    run = project.melpy("build", "one.yaml", "two.yaml")
    assert run.returncode == 60
    assert "error: two.yaml:" in run.stderr
    assert "warning: " in run.stderr
    assert "a directory is in the package's place" in run.stderr
    assert "built and not published: one-1.0-r0/x86_64; the unsigned packages are in " in run.stderr


def test_what_was_built_before_an_interrupt_is_published(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two", runs="echo waits\nsleep 60"))
    process = project.begin("build", "-v", "one.yaml", "two.yaml")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert list(project.packages()) == ["x86_64/one-1.0-r0.apk"]
    assert project.melpy("verify", "out").returncode == 0
    assert list((project.directory / "cache/results").iterdir()) == []
