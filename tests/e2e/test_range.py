"""Ranges of subpackages are restricted from the command line, and a seed with one Python says how."""

from __future__ import annotations

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


def test_a_seed_with_one_python_says_which_flag_is_needed_before_it_fetches(project: Project) -> None:
    project.write("one.yaml", shell_recipe(tail=RANGE))
    project.write("melpy.toml", 'seed = "trixie"\n')
    run = project.melpy("build", "one.yaml", "--cache-dir", "fresh", "--seed-mirror", "http://127.0.0.1:9/debian")
    assert run.returncode != 0
    assert "the seed trixie has not all versions of the range 'py-versions': 3.12" in run.stderr
    assert "hint: --range py-versions=3.13 leaves the others out" in run.stderr
    assert "[seed]" not in run.stderr


def test_a_restriction_needs_a_name_and_a_key(project: Project) -> None:
    project.write("one.yaml", shell_recipe(tail=RANGE))
    run = project.melpy("build", "one.yaml", "--range", "3.13")
    assert run.returncode != 0
    assert "error: ranges: '3.13' is not NAME=KEY" in run.stderr
