"""Commands that look at recipes without building them: check, compile, query, package-version, variables, schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.factories.project import Project
from tests.factories.repository import make_repository

GOOD = """
package:
  name: {name}
  version: 1.10
  epoch: 2
  copyright: [{{license: MIT}}]
vars:
  level: "3"
pipeline:
  - uses: own/tidy
  - if: ${{{{build.arch}}}} == 'aarch64'
    runs: |
      # a comment
      echo ${{{{vars.level}}}} ${{{{package.full-version}}}} ${{{{build.arch}}}}
subpackages:
  - name: {name}-doc
    if: ${{{{build.arch}}}} == 'x86_64'
test:
  pipeline:
    - runs: {name} --version
"""
OWN = """
inputs: {what: {default: everything}}
needs: {packages: [busybox]}
runs: tidy ${{inputs.what}}
"""
ONE_ARCH = "package: {name: arm, version: 1, target-architecture: [aarch64], copyright: [{license: MIT}]}\n"
FAULTY = """
package:
  name: faulty
  versoin: 1
  epoch: one
"""
LATE = """
package: {name: late, version: 1, copyright: [{license: MIT}]}
pipeline:
  - runs: echo ${{vars.nothing}} ${{package.versoin}}
  - if: ${{build.arch}} == 'aarch64'
    runs: echo ${{vars.some}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project", make_repository(tmp_path))


@pytest.fixture
def tree(project: Project) -> Project:
    """A directory with more recipes than one process takes at once."""
    for number in range(120):
        project.write(f"tree/good-{number:03}.yaml", GOOD.format(name=f"good-{number:03}"))
    project.write("tree/arm.yaml", ONE_ARCH)
    project.write("tree/.hidden.yaml", "no: recipe\n")
    project.write("tree/pipelines/own/tidy.yaml", OWN)
    return project


def loads(text: str) -> Any:
    return json.loads(text)


def test_a_tree_without_fault(tree: Project) -> None:
    run = tree.melpy("check", "tree", "--arch", "x86_64,aarch64")
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == "121 recipes for x86_64, aarch64: nothing wrong\n"


def test_the_current_directory_is_meant(project: Project) -> None:
    project.write("late.yaml", LATE)
    assert project.melpy("check").returncode == 15
    empty = project.directory / "empty"
    empty.mkdir()
    assert project.melpy("check", "empty").returncode == 10


def test_all_faults_of_all_recipes_once(tree: Project) -> None:
    tree.write("tree/faulty.yaml", FAULTY)
    tree.write("tree/late.yaml", LATE)
    runs = [tree.melpy("check", "tree", "--arch", "x86_64,aarch64", "-j", jobs) for jobs in ("1", "2")]
    assert runs[0].stdout == runs[1].stdout
    assert [run.returncode for run in runs] == [11, 11]
    errors = [line for line in runs[0].stdout.splitlines() if line.startswith("error:")]
    assert errors == [
        "error: tree/faulty.yaml:2:3: package.version is missing",
        "error: tree/faulty.yaml:3:3: unknown key 'versoin'",
        "error: tree/faulty.yaml:4:10: package.epoch: expected a whole number, found 'one'",
        "error: tree/late.yaml:3:16: undefined variable 'vars.nothing'",
        "error: tree/late.yaml:3:34: undefined variable 'package.versoin'",
        "error: tree/late.yaml:5:16: undefined variable 'vars.some' (on aarch64)",
    ]
    assert runs[0].stderr == "123 recipes for x86_64, aarch64: 6 errors\n"


def test_findings_as_json_and_as_annotations(project: Project) -> None:
    project.write("late, really.yaml", LATE)
    found = loads(project.melpy("check", "late, really.yaml", "--arch", "x86_64,aarch64", "--format", "json").stdout)
    assert found[0] == {
        "severity": "error",
        "code": "undefined-variable",
        "message": "undefined variable 'vars.nothing'",
        "file": "late, really.yaml",
        "line": 3,
        "column": 16,
        "hint": "define it under `vars` or `var-transforms`",
        "arches": ["x86_64", "aarch64"],
    }
    assert found[2]["arches"] == ["aarch64"]
    run = project.melpy("check", "late, really.yaml", "--arch", "x86_64", "--format", "github")
    assert run.returncode == 15
    assert run.stdout.splitlines()[1] == (
        "::error file=late%2C really.yaml,line=3,col=34,title=undefined-variable::"
        "undefined variable 'package.versoin'%0Adid you mean 'package.version'?"
    )


def test_prose_is_warned_about_only(project: Project) -> None:
    project.write(
        "prose.yaml",
        "package: {name: prose, version: 1, description: 'of ${{vars.nothing}}', copyright: [{license: MIT}]}\n",
    )
    run = project.melpy("check", "prose.yaml")
    assert run.returncode == 0
    assert run.stdout.startswith("warning: prose.yaml:1:53: undefined variable 'vars.nothing'\n")
    assert run.stderr.endswith(": 1 warning\n")


def test_two_recipes_that_make_the_same_package(project: Project) -> None:
    project.write("a.yaml", "package: {name: a, version: 1, copyright: [{license: MIT}]}\nsubpackages: [{name: b}]\n")
    project.write("b.yaml", "package: {name: b, version: 1, copyright: [{license: MIT}]}\n")
    run = project.melpy("check", ".")
    assert run.returncode == 11
    assert "error: b.yaml: makes the package 'b', which a.yaml makes too" in run.stdout


def test_the_same_package_elsewhere_is_no_clash(project: Project) -> None:
    project.write(
        "a.yaml", "package: {name: foo, version: 1, target-architecture: [x86_64], copyright: [{license: MIT}]}\n"
    )
    project.write(
        "b.yaml", "package: {name: foo, version: 1, target-architecture: [aarch64], copyright: [{license: MIT}]}\n"
    )
    project.write("other/foo.yaml", "package: {name: foo, version: 1, copyright: [{license: MIT}]}\n")
    run = project.melpy("check", ".", "other", "--arch", "x86_64,aarch64")
    assert (run.returncode, run.stdout) == (0, "")


def test_a_fault_of_a_shared_pipeline_is_said_once_for_all_its_architectures(project: Project) -> None:
    project.write("pipelines/bad.yaml", "runs: echo ${{vars.nothing}}\n")
    for name, more in (("a", ", target-architecture: [x86_64]"), ("b", ""), ("c", ", target-architecture: [x86_64]")):
        project.write(
            f"{name}.yaml",
            f"package: {{name: {name}, version: 1{more}, copyright: [{{license: MIT}}]}}\npipeline: [{{uses: bad}}]\n",
        )
    run = project.melpy("check", "--arch", "x86_64,aarch64")
    assert run.stdout.splitlines()[0] == "error: pipelines/bad.yaml:1:12: undefined variable 'vars.nothing'"
    assert run.stderr == "3 recipes for x86_64, aarch64: 1 error\n"


def test_pipelines_are_looked_into_though_no_recipe_uses_them(project: Project) -> None:
    project.write("good.yaml", "package: {name: good, version: 1, copyright: [{license: MIT}]}\n")
    project.write("pipelines/broken.yaml", "foo: [\n")
    project.write("pipelines/deep/typo.yaml", "pipelin: [{runs: x}]\nnative: fetch\nneeds: {pacakges: [a]}\n")
    run = project.melpy("check")
    assert run.returncode == 12
    lines = [line for line in run.stdout.splitlines() if line.startswith(("error", "warning", "hint"))]
    problem = "did not find expected node content while parsing a flow node"
    assert lines == [
        f"error: pipelines/broken.yaml:2:1: not valid YAML: {problem}",
        "hint: check indentation, quotes and colons here",
        "warning: pipelines/deep/typo.yaml:1:1: unknown key 'pipelin'",
        "hint: did you mean 'pipeline'?",
        "warning: pipelines/deep/typo.yaml:2:1: `native` has no effect here",
        "hint: only pipelines that come with melpy are native",
        "warning: pipelines/deep/typo.yaml:3:9: unknown key 'pacakges'",
        "hint: did you mean 'packages'?",
    ]


def test_findings_of_the_same_words_are_shown_once(project: Project) -> None:
    for number in range(9):
        head = f"package: {{name: a{number}, version: 1, copyright: [{{license: MIT}}]}}\n"
        text = f"{head}pipeline: [{{uses: nowhere/at-all}}]\n"
        project.write(f"a{number}.yaml", text)
    run = project.melpy("check")
    assert run.stdout.count("no pipeline is called") == 1
    assert "the same in 8 more places: a1.yaml:2:19 a2.yaml:2:19" in run.stdout
    assert run.stderr == "9 recipes for x86_64: 9 errors\n"
    assert len(loads(project.melpy("check", "--json").stdout)) == 9


def test_a_place_that_is_not_there_is_one_of_the_findings(project: Project) -> None:
    project.write("faulty.yaml", FAULTY)
    found = loads(project.melpy("check", "fault.yaml", "faulty.yaml", "--format", "json").stdout)
    assert [item["code"] for item in found] == ["recipe-not-found", "recipe-invalid", "unknown-key", "wrong-type"]


def test_a_recipe_that_is_named_twice_is_looked_at_once(project: Project) -> None:
    project.write("late.yaml", LATE)
    (project.directory / "again.yaml").symlink_to("late.yaml")
    run = project.melpy("check", "late.yaml", str(project.directory / "late.yaml"), "again.yaml", "--arch", "x86_64")
    assert run.stderr == "1 recipe for x86_64: 2 errors\n"


def test_a_reader_that_has_seen_enough(project: Project) -> None:
    project.write("one.yaml", "package: {name: one, version: 1, copyright: [{license: MIT}]}\n")
    for command in ("plan one.yaml", "schema", "config", "--help"):
        shell = f"{sys.executable} -m melpy {command}; echo $? >&2"
        run = subprocess.run(
            ["bash", "-c", f"({shell}) | true"],
            cwd=project.directory, env=project.full_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.stderr in {"141\n", "0\n"}  # what it had printed before nobody read any more


def test_the_exit_status_tells_though_nothing_can_be_printed(project: Project) -> None:
    run = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m melpy plan nosuch.yaml 2> /dev/full"],
        cwd=project.directory, env=project.full_environment(), check=False,
    )  # fmt: skip
    assert run.returncode == 10


def test_annotations_name_files_from_the_top_of_the_repository(project: Project) -> None:
    project.write("packages/late.yaml", LATE)
    project.environment["GITHUB_WORKSPACE"] = str(project.directory)
    run = project.melpy("check", "packages", "--format", "github")
    assert run.stdout.startswith("::error file=packages/late.yaml,line=3,")


def test_warnings_are_shown_when_a_recipe_is_planned(project: Project) -> None:
    project.write(
        "one.yaml",
        "package: {name: one, version: 1, description: 'of ${{vars.nothing}}', copyright: [{license: MIT}]}\n",
    )
    run = project.melpy("plan", "one.yaml")
    assert run.returncode == 0
    assert run.stderr.startswith("warning: one.yaml:1:51: undefined variable 'vars.nothing'\n")
    assert run.stdout.startswith("one 1-r0 for x86_64\n")


def test_the_recipe_that_is_meant_when_none_is_named(project: Project) -> None:
    project.write("melange.yaml", "package: {name: one, version: 1, copyright: [{license: MIT}]}\n")
    for command in ("plan", "compile", "package-version"):
        assert project.melpy(command).returncode == 0
    (project.directory / "melange.yaml").unlink()
    run = project.melpy("compile")
    assert (run.returncode, "hint: melpy compile RECIPE.yaml" in run.stderr) == (10, True)


def test_recipes_of_one_name_are_not_compiled_into_one_file(project: Project) -> None:
    for directory in ("a", "b"):
        project.write(f"{directory}/x.yaml", "package: {name: x, version: 1, copyright: [{license: MIT}]}\n")
    run = project.melpy("compile", "a/x.yaml", "b/x.yaml", "--output-dir", "out")
    assert (run.returncode, "several recipes are called x.yaml" in run.stderr) == (20, True)


def test_a_name_that_is_not_utf8(project: Project) -> None:
    path = Path(os.fsdecode(os.fsencode(project.directory) + b"/g\xff.yaml"))
    path.write_text("package: {name: x, version: 1, copyright: [{license: MIT}]}\n")
    for command in ("check", "plan", "compile", "package-version"):
        run = subprocess.run(
            [sys.executable, "-m", "melpy", command, path],
            cwd=project.directory, env=project.full_environment(), capture_output=True, check=False,
        )  # fmt: skip
        assert run.returncode == 11
        assert b"has a name that is not UTF-8" in run.stdout + run.stderr
        assert b"Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["check", "plan", "compile", "config"])
def test_output_that_goes_nowhere(project: Project, command: str) -> None:
    project.write(
        "one.yaml", "package: {name: one, version: 1, copyright: [{license: MIT}]}\npipeline: [{runs: '${{x}}'}]\n"
    )
    base = f"{sys.executable} -m melpy {command} one.yaml"
    for redirection in (">&-", "> /dev/full"):
        run = subprocess.run(
            ["sh", "-c", f"{base} {redirection}"],
            cwd=project.directory, env=project.full_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode in {15, 22}
        assert "error: " in run.stderr
        assert "Traceback" not in run.stderr


def test_a_compiled_recipe(tree: Project) -> None:
    found = loads(tree.melpy("compile", "tree/good-007.yaml", "--arch", "x86_64").stdout)
    stated = {"name": "good-007", "version": "1.10", "epoch": 2, "copyright": [{"license": "MIT"}]}
    assert found["package"] == stated
    assert found["environment"]["contents"]["packages"] == ["busybox"]
    assert found["pipeline"] == [{"uses": "own/tidy", "runs": "tidy everything"}]
    assert [sub["name"] for sub in found["subpackages"]] == ["good-007-doc"]
    assert found["test"]["environment"]["contents"]["packages"] == ["good-007"]
    assert found["test"]["pipeline"] == [{"runs": "good-007 --version"}]
    other = loads(tree.melpy("compile", "tree/good-007.yaml", "--arch", "aarch64").stdout)
    assert other["pipeline"][1]["runs"] == "# a comment\necho 3 1.10-r2 aarch64\n"
    assert "subpackages" not in other


def test_a_directory_is_compiled_into_files(tree: Project) -> None:
    tree.write("tree/late.yaml", LATE)
    tree.write("out/late.yaml.json", "stale")
    run = tree.melpy("compile", "tree", "--arch", "x86_64", "--output-dir", "out")
    assert run.returncode == 15
    assert run.stderr.splitlines()[0] == "120 recipes compiled into out, 1 not meant for x86_64"
    assert "error: tree/late.yaml:3:16: undefined variable 'vars.nothing'" in run.stderr
    names = sorted(path.name for path in (tree.directory / "out").iterdir())
    assert names == [f"good-{number:03}.yaml.json" for number in range(120)]
    alone = tree.melpy("compile", "tree/good-007.yaml", "--arch", "x86_64").stdout
    assert (tree.directory / "out/good-007.yaml.json").read_text() == alone.rstrip("\n")


def test_what_cannot_be_compiled(tree: Project) -> None:
    cases = [
        (("tree", "--arch", "x86_64"), 20, "121 recipes cannot be printed as one"),
        (("tree/good-000.yaml", "--arch", "x86_64,aarch64"), 20, "for one architecture"),
        (("tree/arm.yaml", "--arch", "x86_64"), 11, "is not meant for x86_64"),
        (("tree/nothing.yaml", "--arch", "x86_64"), 10, "no such recipe"),
        (("tree/good-000.yaml", "--arch", "x86_64", "--pipeline-dir", "none"), 20, "no such directory"),
    ]
    for arguments, status, message in cases:
        run = tree.melpy("compile", *arguments)
        assert (run.returncode, message in run.stderr) == (status, True), run.stderr


def test_names_and_versions(tree: Project) -> None:
    assert tree.melpy("package-version", "tree/good-001.yaml").stdout == "good-001-1.10-r2"
    lines = tree.melpy("package-version", "tree").stdout.splitlines()
    assert (len(lines), lines[0]) == (121, "arm-1-r0")


def test_questions(tree: Project) -> None:
    assert tree.melpy("query", "tree/good-001.yaml", "{{.Package.Name}} {{.Package.FullVersion}}").stdout == (
        "good-001 1.10-r2\n"
    )
    run = tree.melpy("query", "tree/good-001.yaml", "{{ package.nmae }}")
    assert (run.returncode, "did you mean 'name'?" in run.stderr) == (15, True)


def test_variables_and_where_they_come_from(tree: Project) -> None:
    tree.write("vars.yaml", 'level: "9"\n')
    found = loads(tree.melpy("variables", "tree/good-001.yaml", "--arch", "aarch64", "--json").stdout)
    assert found["vars.level"] == {"value": "3", "origin": "tree/good-001.yaml:7:10"}
    assert found["build.arch"] == {"value": "aarch64", "origin": "architecture aarch64"}
    assert found["context.name"]["value"] == "good-001"
    found = loads(
        tree.melpy(
            "variables", "tree/good-001.yaml", "--arch", "x86_64", "--json", "--vars-file", "vars.yaml",
            "--package", "good-001-doc",
        ).stdout
    )  # fmt: skip
    assert found["vars.level"]["value"] == "9"
    assert found["vars.level"]["origin"].endswith("vars.yaml:1:8")
    assert found["subpkg.name"]["value"] == "good-001-doc"
    run = tree.melpy("variables", "tree/good-001.yaml", "--arch", "x86_64", "--package", "good-001-docs")
    assert (run.returncode, "did you mean 'good-001-doc'?" in run.stderr) == (11, True)


def test_env_files_by_architecture(tree: Project) -> None:
    tree.write("build-x86_64.env", "export WORD=intel\n")
    tree.write("build-aarch64.env", "WORD=arm\n")
    for arch, word in (("x86_64", "intel"), ("aarch64", "arm")):
        run = tree.melpy("compile", "tree/good-000.yaml", "--arch", arch, "--env-file", "build-{arch}.env")
        assert loads(run.stdout)["environment"]["environment"]["WORD"] == word


def test_the_schema(project: Project) -> None:
    assert loads(project.melpy("schema").stdout)["title"] == "melpy recipe"
    assert loads(project.melpy("schema", "pipeline").stdout)["title"] == "melpy pipeline definition"
