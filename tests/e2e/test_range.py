"""Ranges of subpackages are restricted from the command line, and a seed with one Python says how."""

from __future__ import annotations

import json

import pytest

from tests.factories.project import Project, shell_recipe

RANGE = """\
data:
  - name: py-versions
    items: {"3.12": "312", "3.13": "313"}
subpackages:
  - range: py-versions
    name: py${{range.key}}-thing
    pipeline:
      - runs: mkdir -p ${{targets.contextdir}}/usr/share/thing
"""


def test_the_summary_says_what_a_restricted_range_leaves_out(project: Project) -> None:
    project.write("one.yaml", shell_recipe(tail=RANGE))
    run = project.melpy("build", "one.yaml", "--range", "py-versions=3.13")
    assert run.returncode == 0, run.stderr
    assert "py3.13-thing" in run.stdout
    assert "py3.12-thing" not in run.stdout
    assert "the setting `ranges` leaves out 1 subpackage: py3.12-thing" in run.stderr


NOWHERE = "http://127.0.0.1:9/debian"
SEED = 'cache-dir = "fresh"\nout-dir = "out"\narch = ["x86_64"]\nseed = "trixie"\n'


def test_a_seed_with_one_python_says_which_flag_is_needed_before_it_fetches(project: Project) -> None:
    recipe = project.write("one.yaml", shell_recipe(tail=RANGE))
    line = recipe.read_text().splitlines().index("  - range: py-versions") + 1
    project.write("melpy.toml", SEED)
    run = project.melpy("build", "one.yaml", "--seed-mirror", NOWHERE)
    assert run.returncode != 0
    needs = "the range 'py-versions' needs python-3.12, which the seed cannot make and no repository has"
    assert f"error: one.yaml:{line}:12: {needs}" in run.stderr
    flag = '--range py-versions=3.13, or write ranges = ["py-versions=3.13"] into melpy.toml'
    assert f"hint: leave out what needs them with {flag}" in run.stderr
    assert "[seed]" not in run.stderr
    followed = project.melpy("build", "one.yaml", "--seed-mirror", NOWHERE, "--range", "py-versions=3.13")
    assert "py-versions" not in followed.stderr
    assert "the lists of the suite cannot be fetched" in followed.stderr


def test_what_a_repository_has_or_another_recipe_makes_is_not_asked_of_the_seed(project: Project) -> None:
    project.write("packages/one.yaml", shell_recipe(tail=RANGE))
    project.write("packages/python-3.12.yaml", shell_recipe("python-3.12"))
    built = project.melpy("build", "packages/python-3.12.yaml")
    assert built.returncode == 0, built.stderr
    project.write("melpy.toml", SEED)
    run = project.melpy("build", "packages/one.yaml", "--seed-mirror", NOWHERE)
    assert "py-versions" not in run.stderr
    assert "the lists of the suite cannot be fetched" in run.stderr
    together = project.melpy("build", "packages", "--seed-mirror", NOWHERE, "-o", "other")
    assert "py-versions" not in together.stderr
    assert "the lists of the suite cannot be fetched" in together.stderr


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("3.13", "--range: '3.13' is not NAME=KEY", "write py-versions=3.13"),
        ("py-versions=", "--range: 'py-versions=' is not NAME=KEY", "write py-versions=3.13"),
        ("py-version=3.13", "--range: no recipe has a range 'py-version'", "did you mean 'py-versions'?"),
        ("x=3.13", "--range: no recipe has a range 'x'", "their tables under `data` are py-versions"),
        ("py-versions=3.14", "--range: no recipe's range 'py-versions' has a key '3.14'", "its keys are 3.12, 3.13"),
    ],
)
@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_restriction_names_a_range_and_a_key_of_it(
    project: Project, command: str, given: str, message: str, hint: str
) -> None:
    project.write("one.yaml", shell_recipe(tail=RANGE))
    run = project.melpy(command, "one.yaml", "--range", given)
    assert run.returncode != 0
    assert f"error: {message}\nhint: {hint}" in run.stderr


def test_settings_may_restrict_ranges_that_only_other_recipes_have(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.environment["MELPY_RANGES"] = "py-versions=3.13 others=x"
    assert project.melpy("plan", "one.yaml").returncode == 0


def test_several_keys_are_kept_and_nothing_depends_on_what_is_left_out(project: Project) -> None:
    metapackage = """\
  - name: py3-supported-thing
    dependencies: {runtime: [py3.11-thing, py3.12-thing>=1, "py3.13-thing=1.2.3-r0", busybox]}
"""
    tail = RANGE.replace('{"3.12"', '{"3.11": "311", "3.12"') + metapackage
    project.write("one.yaml", shell_recipe(tail=tail))
    for given in (["py-versions=3.12,3.13"], ["py-versions=3.12", "py-versions=3.13"]):
        run = project.melpy("plan", "one.yaml", "--json", *(f"--range={item}" for item in given))
        assert run.returncode == 0, run.stderr
        found = json.loads(run.stdout)
        packages = {item["name"]: item for item in (found[0] if isinstance(found, list) else found)["packages"]}
        assert {"py3.12-thing", "py3.13-thing"} < packages.keys()
        assert "py3.11-thing" not in packages
        assert packages["py3-supported-thing"]["runtime"] == ["py3.12-thing>=1", "py3.13-thing=1.2.3-r0", "busybox"]
