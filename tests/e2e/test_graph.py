"""`melpy graph`, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.checker.graph import Replay

if TYPE_CHECKING:
    from tests.factories.project import Project


def recipe(name: str, *world: str, more: str = "") -> str:
    packages = "".join(f"      - {text}\n" for text in world)
    return (
        f"package:\n  name: {name}\n  version: 1\n  epoch: 0\n"
        f"environment:\n  contents:\n    packages:\n      - busybox\n{packages}{more}"
    )


@pytest.fixture
def tree(project: Project) -> Project:
    """Five recipes; three of them need one another."""
    project.write("packages/a.yaml", recipe("a", "b-dev"))
    more = "subpackages:\n  - name: b-dev\n    dependencies:\n      runtime:\n        - d\n"
    project.write("packages/b.yaml", recipe("b", "c", more=more))
    project.write("packages/c.yaml", recipe("c", "a", "d"))
    project.write("packages/d.yaml", recipe("d"))
    project.write("packages/e.yaml", recipe("e", "d"))
    return project


def shown(project: Project, *arguments: str) -> str:
    result = project.melpy("graph", "packages", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_few_recipes_are_shown_with_all_reasons(tree: Project) -> None:
    assert shown(tree, "--assume-outside", "--arch", "x86_64,aarch64").splitlines() == [
        "5 recipes, 10 builds for x86_64, aarch64, 10 needs, 2 cycles",
        "",
        "order for x86_64, aarch64:",
        "   1 d",
        "   2 c",
        "       needs a: environment a (from outside at first)",
        "       needs d: environment d",
        "   3 b",
        "       needs c: environment c",
        "   4 a",
        "       needs b: environment b-dev",
        "       needs d: environment b-dev; runtime of b-dev d",
        "   5 e",
        "       needs d: environment d",
        "",
        "cycle of 3 recipes for x86_64, aarch64",
        "  from outside at first (1): a",
        "  members, in order: c, b, a",
        "  shortest circle:",
        "    a needs b: environment b-dev",
        "    b needs c: environment c",
        "    c needs a: environment a",
    ]


def test_the_cut_follows_what_repositories_offer(tree: Project) -> None:
    result = tree.melpy("graph", "packages")
    assert result.returncode == 30
    assert result.stderr.splitlines() == [
        "error: packages/a.yaml:9:9: these recipes need one another: a -> b -> c -> a",
        "  a needs b: environment b-dev, packages/a.yaml:9:9",
        "  b needs c: environment c, packages/b.yaml:9:9",
        "  c needs a: environment a, packages/c.yaml:9:9",
        "  no repository offers a, which a makes",
        "  no repository offers b-dev, which b makes",
        "  no repository offers c, which c makes",
        "hint: name a repository with -r that has the packages of one of them, or take one of these dependencies away",
    ]
    assert "order for x86_64" in result.stdout
    tree.repository.add("c")
    assert "  from outside at first (1): c" in shown(tree, "--cycles")


def test_why(tree: Project) -> None:
    assert shown(tree, "--why", "a", "d") == (
        "a needs d: environment b-dev, packages/a.yaml:9:9; runtime of b-dev d, packages/b.yaml:14:11\n"
    )
    assert shown(tree, "--why", "b-dev", "a/x86_64").splitlines() == [
        "b needs c: environment c, packages/b.yaml:9:9",
        "c needs a: environment a, packages/c.yaml:9:9",
    ]
    result = tree.melpy("graph", "packages", "--why", "e", "a")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "e does not need a\n")


def test_rdeps(tree: Project) -> None:
    assert shown(tree, "--rdeps", "d").splitlines() == [
        "d/x86_64: needed by 4 builds, 2 of which name it in their environment",
        "  c  environment d",
        "  e  environment d",
        "  through others (2): b, a",
    ]
    assert json.loads(shown(tree, "--rdeps", "d", "--json")) == {
        "d/x86_64": ["c/x86_64", "b/x86_64", "a/x86_64", "e/x86_64"]
    }


def test_critical_path(tree: Project) -> None:
    assert shown(tree, "--critical-path", "--assume-outside").splitlines() == [
        "longest chain, in which each build counts as much: 4 builds",
        "   1 d/x86_64",
        "   2 c/x86_64  needs d: environment d",
        "   3 b/x86_64  needs c: environment c",
        "   4 a/x86_64  needs b: environment b-dev",
    ]


def test_json(tree: Project) -> None:
    found = json.loads(shown(tree, "--assume-outside", "--format", "json"))
    builds = {build["build"]: build for build in found["builds"]}
    assert list(builds) == ["d/x86_64", "c/x86_64", "b/x86_64", "a/x86_64", "e/x86_64"]
    assert builds["b/x86_64"] == {
        "build": "b/x86_64",
        "recipe": "b",
        "version": "1-r0",
        "arch": "x86_64",
        "arches": ["x86_64"],
        "file": "packages/b.yaml",
        "packages": [
            {"name": "b", "provides": [], "runtime": [], "priority": 0},
            {"name": "b-dev", "provides": [], "runtime": ["d"], "priority": 0},
        ],
        "world": ["busybox", "c"],
        "needs": ["c/x86_64"],
        "outside": ["busybox"],
        "lacking": [],
    }
    (cycle,) = found["cycles"]
    assert cycle["members"] == ["c/x86_64", "b/x86_64", "a/x86_64"]
    assert cycle["cut"] == ["a/x86_64"]
    assert cycle["chain"][0] == {
        "dependent": "a/x86_64",
        "dependency": "b/x86_64",
        "constraints": [{"constraint": "b-dev", "package": None}],
    }


def test_the_json_can_be_replayed(tree: Project) -> None:
    found = json.loads(shown(tree, "--assume-outside", "--arch", "x86_64,aarch64", "--json"))
    assert Replay(found).check() == []
    found["cycles"][0]["cut"].append("b/x86_64")  # more than is needed
    assert Replay(found).check() == ["a/x86_64 can be left out", "b/x86_64 can be left out"]
    found["cycles"][0]["cut"] = []
    assert "c/x86_64: a is listed as from outside for no reason" in Replay(found).check()
    assert "the cut [] does not do" in Replay(found).check()
    del found["builds"][0]
    assert "c/x86_64 comes before d/x86_64" in Replay(found).check()


def test_dot(tree: Project) -> None:
    text = shown(tree, "--assume-outside", "--format", "dot")
    arrows = [line.strip() for line in text.splitlines() if "->" in line]
    assert arrows == [
        '"c/x86_64" -> "d/x86_64";',
        '"c/x86_64" -> "a/x86_64" [style=dashed, constraint=false];',
        '"b/x86_64" -> "c/x86_64";',
        '"a/x86_64" -> "b/x86_64";',  # that it needs d follows
        '"e/x86_64" -> "d/x86_64";',
    ]
    if shutil.which("dot"):
        assert "<svg" in shown(tree, "--assume-outside", "--format", "svg")


def test_svg_without_graphviz(tree: Project, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(shutil.which("git") or "git")
    tree.environment["PATH"] = os.fspath(tools)
    result = tree.melpy("graph", "packages", "--assume-outside", "--format", "svg")
    assert result.returncode == 52
    assert result.stderr == "error: dot is not installed\nhint: install graphviz, or draw --format dot elsewhere\n"


def test_mistakes(tree: Project) -> None:
    result = tree.melpy("graph", "packages", "--rdeps", "b-deb")
    assert (result.returncode, result.stderr) == (
        10,
        "error: no recipe makes a package 'b-deb'\nhint: did you mean 'b-dev'?\n",
    )
    result = tree.melpy("graph", "packages", "--cycles", "--rdeps", "b")
    assert result.returncode == 2
    assert "are questions of their own" in result.stderr
    tree.write("packages/f.yaml", recipe("f", more="nonsense: 1\n"))
    result = tree.melpy("graph", "packages", "--assume-outside")
    assert result.returncode == 11
    assert result.stderr.splitlines() == [
        "warning: left out, 1 recipe with errors: packages/f.yaml",
        "hint: melpy check shows the errors",
    ]
    assert result.stdout.startswith("5 recipes, ")


def test_many_recipes_are_an_overview(project: Project) -> None:
    for number in range(50):
        world = [f"r{number - 1:02}"] if number % 10 else []
        project.write(f"packages/r{number:02}.yaml", recipe(f"r{number:02}", *world))
    lines = shown(project, "--assume-outside").splitlines()
    assert lines == [
        "50 recipes, 50 builds for x86_64, 45 needs, 0 cycles",
        "longest chain: 10 builds, from r00 to r09 (--critical-path shows it)",
        "with as many workers as there are builds: 10 waves",
        "  wave 1, 5 builds: r00 r10 r20 r30 r40",
        "  wave 2, 5 builds: r01 r11 r21 r31 r41",
        "  wave 3, 5 builds: r02 r12 r22 r32 r42",
        "  …",
        "  wave 10, 5 builds: r09 r19 r29 r39 r49",
        "most needed, by so many builds of an architecture: r00: 1, r01: 1, r02: 1, r03: 1, r04: 1, r05: 1,",
        "  r06: 1, r07: 1, r08: 1, r10: 1, r11: 1, r12: 1",
    ]
