"""`melpy solve` on a signed repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project
from tests.factories.repository import add_busybox, make_repository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    return Project(tmp_path / "project", repository)


def test_packages_one_a_line(project: Project) -> None:
    run = project.melpy("solve", "busybox")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line for line in lines if line.startswith("busybox-")]
    found = json.loads(project.melpy("solve", "busybox", "--json").stdout)
    assert [f"{item['name']}-{item['version']}" for item in found] == lines
    assert all(item["location"].endswith(".apk") for item in found)


def test_why_one_is_there(project: Project) -> None:
    run = project.melpy("solve", "busybox", "--explain", "busybox")
    assert (run.returncode, run.stdout) == (0, "the request needs busybox\n")
    run = project.melpy("solve", "busybox", "--explain", "busybx")
    assert (run.returncode, "did you mean 'busybox'?" in run.stderr) == (31, True)


def test_what_nobody_has(project: Project) -> None:
    run = project.melpy("solve", "bsybox")
    assert (run.returncode, "did you mean 'busybox'?" in run.stderr) == (31, True)


def test_repositories_must_be_signed_by_a_trusted_key(project: Project, tmp_path: Path) -> None:
    project.write("other/melpy.toml", f'repositories = ["{project.repository.root}"]\n')
    flags = ("--config", "other/melpy.toml")
    assert project.melpy("solve", "busybox", *flags).returncode != 0
    assert project.melpy("solve", "busybox", *flags, "--ignore-signatures").returncode == 0
    assert project.melpy("solve", "busybox", *flags, "-k", str(project.repository.public_key)).returncode == 0
    assert project.melpy("solve", "busybox", "--arch", "x86_64,aarch64").returncode == 20
