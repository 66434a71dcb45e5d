"""Warnings of recipes in a run over several: told for what is built, and counted for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, file_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.repository import Repository

_NAMES = 4
_MANY = 30  # recipes, more than are planned at the beginning


@pytest.fixture(params=[_NAMES, _MANY])
def project(tmp_path: Path, toy_repository: Repository, request: pytest.FixtureRequest) -> Project:
    """Recipes of which the first two name no licence."""
    project = Project(tmp_path / "project", toy_repository)
    for number in range(request.param):
        name = f"recipe{number}"
        text = file_recipe(name)
        project.write(f"packages/{name}.yaml", unlicensed(text) if number < 2 else text)
    return project


def unlicensed(text: str) -> str:
    return text.replace("  copyright:\n    - license: MIT\n", "")


def told(project: Project, *arguments: str, status: int = 0) -> list[str]:
    """Return the lines about warnings."""
    run = project.melpy("build", *arguments, force=False)
    assert run.returncode == status, run.stderr
    lines = [line for line in run.stderr.splitlines() if "SOURCE_DATE_EPOCH" not in line and "1970" not in line]
    lines = [line for line in lines if not line.startswith("hint:")]
    return [line for line in lines if "licence" in line or "melpy check shows them" in line]


def warning(number: int) -> str:
    return f"packages/recipe{number}.yaml:1:1: names no licence"


def test_warnings_are_of_what_is_built(project: Project) -> None:
    both = [f"warning: {warning(number)}" for number in range(2)]
    assert told(project, "--dry-run", "packages") == both
    lines = told(project, "packages")
    assert sorted(line.partition("] ")[2].partition(" (")[0] for line in lines) == both
    # What is up to date is counted, and nothing is said of it with -q.
    rest = "2 warnings in 2 recipes of which nothing is built; melpy check shows them"
    assert told(project, "packages") == [rest]
    assert told(project, "--dry-run", "packages") == [rest]
    assert told(project, "-q", "packages") == []
    # Of one that changed they are told, with -q too.
    changed = unlicensed(file_recipe("recipe1", runs="touch ${{targets.destdir}}/more"))
    project.write("packages/recipe1.yaml", changed)
    one = rest.replace("2 warnings in 2 recipes", "1 warning in 1 recipe")
    assert told(project, "--dry-run", "packages") == [both[1], one]
    lines = told(project, "-q", "packages")
    assert [line.partition("] ")[2].partition(" (")[0] for line in lines] == [both[1]]


def test_warnings_of_a_single_recipe_are_told_at_once(project: Project) -> None:
    for _ in range(2):
        assert told(project, "packages/recipe0.yaml") == [f"warning: {warning(0)}"]
    project.write("packages/recipe0.yaml", unlicensed(file_recipe("recipe0", runs="exit 1")))
    assert told(project, "packages/recipe0.yaml", status=60)[0] == f"warning: {warning(0)}"
