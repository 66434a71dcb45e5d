"""Values of flags and settings that name nothing, and flags that have no effect together, are told before a build."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, file_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.repository import Repository


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toy_repository: Repository) -> Project:
    made = Project(tmp_path_factory.mktemp("naming") / "project", toy_repository)
    made.write("packages/base.yaml", file_recipe("base"))
    made.write("packages/middle.yaml", file_recipe("middle", "base"))
    made.write("file", "")
    (made.directory / "empty").mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=made.directory, check=True)
    return made


REFUSED = {
    "build --bootstrap-first nosuch": (20, "--bootstrap-first: no recipe is called 'nosuch'", None),
    "build --bootstrap-first midle": (20, "--bootstrap-first: no recipe is called 'midle'", "did you mean 'middle'?"),
    "graph --bootstrap-first midle": (20, "--bootstrap-first: no recipe is called 'midle'", "did you mean 'middle'?"),
    "build --published none": (
        32,
        "{here}/none: no such repository",
        "--published names the directory above the architectures' directories",
    ),
    "build --published empty": (
        32,
        "{here}/empty: has no index for x86_64",
        "--published names the directory above the architectures' directories",
    ),
    "build --repository-append none": (
        32,
        "{here}/none: no such repository",
        "name the directory above the architectures' directories",
    ),
    "build --events none/x": (
        22,
        "none/x: cannot be written: its directory is not there",
        "make it first: mkdir -p none",
    ),
    "build --trace none/x": (
        22,
        "none/x: cannot be written: its directory is not there",
        "make it first: mkdir -p none",
    ),
    "build --events file/x": (
        22,
        "file/x: cannot be written: its directory is not there",
        "a file is in the way; choose another place",
    ),
    "build --events empty": (22, "empty: cannot be written: is a directory", "name a file in it"),
    "build --trace empty": (22, "empty: cannot be written: is a directory", "name a file in it"),
    "build --events x --trace x": (2, "--events and --trace name the same file", "name two files"),
    "build -n --events x": (2, "--events is about a run, and --dry-run makes none", "leave --events out"),
    "build -n --trace x": (2, "--trace is about a run, and --dry-run makes none", "leave --trace out"),
    "build --assume-outside": (
        2,
        "--assume-outside is about --dry-run",
        "melpy build --dry-run --assume-outside packages/",
    ),
    "build --quarantine file --no-quarantine": (
        2,
        "--quarantine and --no-quarantine exclude each other",
        "leave one of them out",
    ),
    "build --quarantine none": (20, "none: the quarantine list cannot be read: no such file or directory", None),
    "build --mirror none": (20, "--mirror: no such directory: {here}/none", "name a directory, or the URL of one"),
    "build --rewrite https://x/=none": (
        20,
        "--rewrite: no such directory: {here}/none",
        "name a directory, or the URL of one",
    ),
    "build --local-source none": (20, "--local-source: no such directory: {here}/none", "name a directory"),
    "build --signing-passphrase none": (20, "--signing-passphrase: no such file: {here}/none", None),
    "build --seed trixy": (70, "there is no table for the Debian suite 'trixy'", "did you mean 'trixie'?"),
    "build --changed-since none": (
        2,
        "{here}: --changed-since: there is no commit 'none' in this repository",
        "name a commit, tag or branch; in a shallow clone: git fetch --unshallow",
    ),
    "graph --rdeps base/none": (10, "no recipe here is for 'none'", "they are for x86_64; --arch names others"),
    "graph --rdeps bse": (10, "no recipe makes a package 'bse'", "did you mean 'base'?"),
    "graph --why bse middle": (10, "no recipe makes a package 'bse'", "did you mean 'base'?"),
    "report -o none/x": (22, "none/x: cannot be written: its directory is not there", "make it first: mkdir -p none"),
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_names_nothing_is_refused(project: Project, line: str) -> None:
    status, message, hint = REFUSED[line]
    if line.startswith("report"):
        project.melpy("build", "--dry-run", "packages")
        (project.directory / "cache/runs").mkdir(parents=True, exist_ok=True)
        (project.directory / "cache/runs/x.jsonl").write_text("")
    words = line.split()
    command = [*words, "packages"] if words[0] != "report" else words
    run = project.melpy(*command, force=False)
    here = str(project.directory)
    told = run.stderr.replace(here, "{here}").splitlines()
    assert run.returncode == status, run.stderr
    assert f"error: {message}" in told
    if hint:
        assert told[told.index(f"error: {message}") + 1] == f"hint: {hint}"
    assert not list(project.packages())
    assert not (project.directory / "none").exists()


def test_names_of_files_that_have_no_effect_are_warnings(tmp_path: Path, toy_repository: Repository) -> None:
    project = Project(tmp_path / "project", toy_repository)
    project.write("packages/base.yaml", file_recipe("base"))
    project.write("packages/middle.yaml", file_recipe("middle", "base"))
    toml = project.directory / "melpy.toml"
    toml.write_text(f'{toml.read_text()}\nbootstrap-first = ["midle", "base"]\n')
    project.write(
        "quarantine.toml",
        """
        [[quarantine]]
        recipe = "bse"
        reason = "fails"
        until = 2999-01-01
        [[quarantine]]
        recipe = "none*"
        reason = "fails"
        until = 2999-01-01
        """,
    )
    expected = [
        f"warning: {toml}: bootstrap-first: no recipe is called 'midle'",
        "hint: did you mean 'middle'?",
        f"warning: {project.directory}/quarantine.toml:1:1: the quarantine of bse matches no recipe",
        "hint: did you mean 'base'?",
        f"warning: {project.directory}/quarantine.toml:5:1: the quarantine of none* matches no recipe",
        "hint: remove the entry",
    ]
    whole = project.melpy("build", "--dry-run", "packages", force=False)
    assert whole.returncode == 0, whole.stderr
    assert [line for line in whole.stderr.splitlines() if line in expected] == expected
    # Of a part it cannot be told.
    part = project.melpy("build", "--dry-run", "packages/base.yaml", force=False)
    assert "warning: " not in part.stderr
    flag = project.melpy("build", "--dry-run", "--bootstrap-first", "base", "packages", force=False)
    assert "warning: --bootstrap-first: base is in no cycle, so this has no effect" in flag.stderr.splitlines()
