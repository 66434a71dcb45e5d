"""Recipes that need one another come to rest, and changes that change nothing end where they are made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from melpy.apk.segment import read_segments
from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.repository import Repository


@pytest.fixture
def project(tmp_path: Path, toy_repository: Repository) -> Project:
    return Project(tmp_path / "project", toy_repository)


def recipe(name: str, need: str, text: str = "") -> str:
    return shell_recipe(name, runs=f"mkdir -p ${{{{targets.destdir}}}}\n{text}").replace(
        "- busybox", f"- busybox\n      - {need}"
    )


def inputs(project: Project, name: str) -> dict[str, object]:
    with (project.out / f"x86_64/{name}-1.0-r0.apk").open("rb") as stream:
        found: dict[str, object] = json.loads(read_segments(stream, where="").files[".melpy.json"])
    return found


@pytest.mark.parametrize("number", [2, 5])
def test_a_cycle_comes_to_rest_after_two_rounds(project: Project, toy_repository: Repository, number: int) -> None:
    names = [f"part{letter}{number}" for letter in "abcde"[:number]]
    for name, need in zip(names, [*names[1:], names[0]], strict=True):
        project.write(f"{name}.yaml", recipe(name, need))
        toy_repository.add(name, version="0-r0")  # what it begins with comes from elsewhere
    rounds = []
    for _ in range(3):
        for name in names:
            run = project.melpy("build", "-q", "--only", f"{name}.yaml")
            assert run.returncode == 0, run.stderr
        rounds.append(project.packages())
    assert rounds[0] != rounds[1]  # the first was made of packages from elsewhere
    assert rounds[1] == rounds[2]


def test_a_package_counts_by_what_it_holds(project: Project) -> None:
    """Built again of another commit it is another file, but no reason to build others again."""
    project.write("base.yaml", recipe("base", "busybox"))
    project.write("user.yaml", recipe("user", "base"))
    keys = []
    checksums = []
    for change, date in (("", "1"), ("", "2"), ("echo nothing", "3"), ("touch ${{targets.destdir}}/new", "4")):
        project.environment["SOURCE_DATE_EPOCH"] = date
        project.write("base.yaml", recipe("base", "busybox", change))
        for name in ("base", "user"):
            run = project.melpy("build", "-q", f"{name}.yaml")
            assert run.returncode == 0, run.stderr
        keys.append((inputs(project, "base")["key"], inputs(project, "user")["key"]))
        checksums.append(project.packages()["x86_64/base-1.0-r0.apk"])
    assert len(set(checksums)) == 4
    bases, users = zip(*keys, strict=True)
    assert bases[0] == bases[1] != bases[2] != bases[3]
    assert users[0] == users[1] == users[2] != users[3]
