"""`melpy build --prune`: packages that no recipe makes any more, and none of another directory's recipes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from melpy.apk.index import read_entries
from melpy.repo.repository import load_index
from tests.factories.project import Project, file_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.repository import Repository


@pytest.fixture
def project(tmp_path: Path, toy_repository: Repository) -> Project:
    """Two directories of recipes that share an out-dir, both built."""
    project = Project(tmp_path / "project", toy_repository)
    for name in ("packages/base", "packages/other", "extra/more", "extra/most"):
        project.write(f"{name}.yaml", file_recipe(name.partition("/")[2]))
    for directory in ("packages", "extra"):
        run = project.melpy("build", directory, force=False)
        assert run.returncode == 0, run.stderr
    return project


def prune(project: Project, *arguments: str, status: int = 0) -> list[str]:
    """Prune and return what is told of it."""
    run = project.melpy("build", "--prune", *arguments, force=False)
    assert run.returncode == status, run.stderr
    return [line for line in run.stderr.splitlines() if line.startswith(("x86_64:", "  ", "--prune", "nothing"))]


def names(project: Project) -> list[str]:
    """Return the packages of the index, which are those that are there."""
    found = [entry.info.file_name for entry in read_entries(load_index(project.out, "x86_64", keyring=None))]
    assert sorted(f"x86_64/{name}" for name in found) == list(project.packages())
    return found


def remove(project: Project, name: str) -> None:
    (project.directory / f"{name}.yaml").unlink()


ALL = ["base-1.0-r0.apk", "more-1.0-r0.apk", "most-1.0-r0.apk", "other-1.0-r0.apk"]


def test_packages_of_recipes_that_have_gone_are_told_and_then_removed(project: Project) -> None:
    remove(project, "packages/other")
    told = ["x86_64: no recipe makes 1 package:", "  other-1.0-r0.apk"]
    extra = ["x86_64: 2 packages left alone, as recipes of extra made them: more-1.0-r0 most-1.0-r0"]
    hint = ["  name that directory, too, or use --prune-others"]
    for arguments in (["packages"], ["--dry-run", "packages"], ["--dry-run", "--yes", "packages"]):
        assert prune(project, *arguments) == [*told, *extra, *hint, "--prune --yes removes them"]
        assert names(project) == ALL
    assert prune(project, "--yes", "packages") == [*told, *extra, *hint, "x86_64: removed 1 package"]
    assert names(project) == [name for name in ALL if name != "other-1.0-r0.apk"]
    assert prune(project, "--yes", "packages", "extra") == []
    assert project.melpy("verify", "out").returncode == 0


def test_a_recipe_that_moved_to_another_directory_keeps_its_packages(project: Project) -> None:
    (project.directory / "packages/other.yaml").rename(project.directory / "extra/other.yaml")
    assert prune(project, "--yes", "packages")[0].endswith("made them: more-1.0-r0 most-1.0-r0 other-1.0-r0")
    assert names(project) == ALL
    # It is up to date there, and remembered to be of that directory.
    assert project.melpy("build", "extra", force=False).returncode == 0
    remove(project, "extra/other")
    assert prune(project, "--yes", "packages")[0].endswith("made them: more-1.0-r0 most-1.0-r0 other-1.0-r0")
    assert prune(project, "--yes", "extra")[:2] == ["x86_64: no recipe makes 1 package:", "  other-1.0-r0.apk"]
    assert names(project) == [name for name in ALL if name != "other-1.0-r0.apk"]


def test_packages_of_unknown_recipes_stay_unless_they_are_asked_for(project: Project) -> None:
    (project.out / "logs/recipes.json").unlink()
    remove(project, "packages/other")
    lines = prune(project, "--yes", "packages", "extra")
    assert lines == [
        "x86_64: 1 package left alone, as nothing tells which recipes made them: other-1.0-r0",
        "  --prune-others takes them, too",
    ]
    assert names(project) == ALL
    (project.out / "logs/recipes.json").write_text("damaged")
    lines = prune(project, "--prune-others", "--yes", "packages")
    assert lines == [
        "x86_64: no recipe makes 3 packages:",
        "  more-1.0-r0.apk",
        "  most-1.0-r0.apk",
        "  other-1.0-r0.apk",
        "x86_64: removed 3 packages",
    ]
    assert names(project) == ["base-1.0-r0.apk"]


def test_what_others_need_stays(project: Project) -> None:
    """A package of its recipe needs what another one does not make any more, and could not be built again."""
    needs = "  dependencies:\n    runtime:\n      - other\n"
    project.write("packages/user.yaml", file_recipe("user", head=needs))
    assert project.melpy("build", "packages", force=False).returncode == 0
    remove(project, "packages/other")
    project.write("packages/user.yaml", file_recipe("user", runs="exit 1"))
    lines = prune(project, "--yes", "packages", "extra", status=61)
    start = lines.index("x86_64: 1 package left alone, as others need them:")
    assert lines[start : start + 2] == [
        "x86_64: 1 package left alone, as others need them:",
        "  other-1.0-r0: user-1.0-r0 needs other",
    ]
    assert "other-1.0-r0.apk" in names(project)
    project.write("packages/user.yaml", file_recipe("user").replace("epoch: 0", "epoch: 1"))
    prune(project, "--yes", "packages", "extra")
    assert "other-1.0-r0.apk" not in names(project)
    assert "user-1.0-r0.apk" in names(project)  # old versions of a package that is made stay


def test_a_package_that_a_recipe_makes_no_more_goes(project: Project) -> None:
    tail = "subpackages:\n  - name: base-doc\n    pipeline:\n      - runs: mkdir -p ${{targets.contextdir}}\n"
    project.write("packages/base.yaml", file_recipe("base", tail=tail))
    assert project.melpy("build", "packages", force=False).returncode == 0
    assert "base-doc-1.0-r0.apk" in names(project)
    project.write("packages/base.yaml", file_recipe("base"))
    assert prune(project, "--yes", "packages")[:2] == ["x86_64: no recipe makes 1 package:", "  base-doc-1.0-r0.apk"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prune", "packages/base.yaml"], "--prune needs the directory of all recipes"),
        (["--yes", "packages"], "--yes is about --prune"),
        (["--prune-others", "packages"], "--prune-others is about --prune"),
        (["--prune", "--range", "a=b", "packages"], "--range leaves out packages, which --prune would take for gone"),
        (
            ["--prune", "--build-option", "x", "packages"],
            "--build-option leaves out packages, which --prune would take for gone",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(project: Project, arguments: list[str], message: str) -> None:
    for more in ([], ["--dry-run"]):
        run = project.melpy("build", *more, *arguments, force=False)
        assert (run.returncode, f"error: {message}" in run.stderr.splitlines()) == (2, True), run.stderr
    assert names(project) == ALL


def test_json_has_the_jobs_alone(project: Project) -> None:
    remove(project, "packages/other")
    run = project.melpy("build", "--prune", "--json", "packages", force=False)
    assert [job["outcome"] for job in json.loads(run.stdout)] == ["up-to-date"]
    assert "  other-1.0-r0.apk" in run.stderr.splitlines()
