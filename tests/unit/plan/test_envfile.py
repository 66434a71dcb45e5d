"""Env-files and vars-files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.errors import FaultsError, SettingsError
from melpy.plan.envfile import load_env_files, load_vars_file
from melpy.plan.planner import PlanOptions
from tests.factories.recipe import plan

if TYPE_CHECKING:
    from pathlib import Path


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def test_the_syntax_that_repositories_mix(tmp_path: Path) -> None:
    text = (
        "## common\nexport GOFLAGS=\"\"\nexport TOOL=local\n\n# a comment\nexport QUOTED='a b' # why\n"
        "PLAIN=never\nexport PATHS=$HOME/x:${PLAIN}\nHASH=a#b\n"
    )
    assert load_env_files([write(tmp_path, "a.env", text)]) == (
        ("GOFLAGS", ""),
        ("HASH", "a#b"),
        ("PATHS", "$HOME/x:${PLAIN}"),
        ("PLAIN", "never"),
        ("QUOTED", "a b"),
        ("TOOL", "local"),
    )


def test_the_first_file_wins(tmp_path: Path) -> None:
    first, second = write(tmp_path, "1.env", "A=1\nB=1\n"), write(tmp_path, "2.env", "B=2\nC=2\n")
    assert load_env_files([first, second]) == (("A", "1"), ("B", "1"), ("C", "2"))


@pytest.mark.parametrize(("text", "line"), [("A=1\n\nFOO bar\n", 3), ("= 3\n", 1), ("1A=2\n", 1), ("A B=1\n", 1)])
def test_lines_that_set_nothing(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path, "a.env", text)
    with pytest.raises(SettingsError, match="sets no variable") as caught:
        load_env_files([path])
    assert str(caught.value.where) == f"{path}:{line}:1"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such env-file"):
        load_env_files([tmp_path / "none.env"])


def test_variables_from_a_file_come_before_the_recipe(tmp_path: Path) -> None:
    stated = load_vars_file(write(tmp_path, "vars.yaml", "level: 1.10\nempty:\n"))
    assert {name: value for name, (value, _) in stated.items()} == {"level": "1.10", "empty": ""}
    options = PlanOptions(variables=stated)
    found = plan('vars: {level: "2"}\npipeline: [{runs: "echo ${{vars.level}} [${{vars.empty}}]"}]', options=options)
    assert found.packages[0].steps[0].script == "echo 1.10 []"


def test_faults_of_such_a_file_are_shown_there(tmp_path: Path) -> None:
    stated = load_vars_file(write(tmp_path, "vars.yaml", "a: 1\nlevel: ${{vars.b}}\n"))
    with pytest.raises(FaultsError, match=r"vars\.yaml:2:8: undefined variable 'vars\.b'"):
        plan("pipeline: [{runs: x}]", options=PlanOptions(variables=stated))


@pytest.mark.parametrize("text", ["- a\n", "a: [1]\n", "a: {b: c}\n", "text\n"])
def test_files_that_are_no_flat_mapping(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        load_vars_file(write(tmp_path, "vars.yaml", text))
