"""Summaries of recipes, kept by the stamps of their files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from melpy.arch import parse_arch
from melpy.codec import encode
from melpy.engine import treecache
from melpy.engine.tree import TreeSpec, survey_recipes
from melpy.engine.treecache import summarise_tree
from melpy.plan.planner import PlanOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from melpy.engine.tree import RecipeReport
    from melpy.graph.model import Summary

BOTH = TreeSpec((parse_arch("x86_64"), parse_arch("aarch64")))


@dataclass
class Tree:
    """A directory of recipes, and which of them are evaluated."""

    root: Path
    evaluated: list[str] = field(default_factory=list)

    def write(self, name: str, text: str = "") -> Path:
        path = self.root / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "" if "/" in name else f"package: {{name: {path.stem}, version: 1}}\n"
        path.write_text(head + dedent(text))
        return path

    def reports(self, spec: TreeSpec = BOTH, *, wait: bool = True) -> dict[str, RecipeReport]:
        """Return what becomes of the recipes; files that were just written are not kept, so it waits at first."""
        if wait:
            time.sleep(0.06)
        self.evaluated.clear()
        files = sorted((self.root / "packages").glob("*.yaml"))
        return {Path(report.file).name: report for report in summarise_tree(files, spec, 1, self.root / "cache")}

    def summary(self, name: str) -> Summary:
        return self.reports()[name].summaries[0]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(tmp_path)

    def survey(files: Sequence[Path], spec: TreeSpec, jobs: int) -> Iterator[RecipeReport]:
        tree.evaluated += [file.name for file in files]
        return survey_recipes(files, spec, jobs)

    monkeypatch.setattr(treecache, "survey_recipes", survey)
    tree.write(
        "a.yaml",
        """
        environment: {contents: {packages: [b-dev, busybox]}}
        pipeline: [{uses: own}, {uses: fetch, with: {uri: "https://example.com/a.tgz", expected-sha256: %s}}]
        subpackages: [{name: a-libs, dependencies: {runtime: [c], provides: ["so:a.so.1=1"], provider-priority: 5}}]
        """
        % ("0" * 64),
    )
    tree.write("b.yaml", "pipeline: [{runs: make}]\n")
    tree.write("pipelines/own.yaml", "needs: {packages: [own-tool]}\npipeline: [{runs: own}]\n")
    return tree


def test_what_a_summary_says(tree: Tree) -> None:
    tree.write("a/patch", "")
    report = tree.reports()["a.yaml"]
    assert report.arches == ("x86_64", "aarch64")
    assert not report.has_errors
    found = report.summaries[1]
    packages = tree.root / "packages"
    assert found.id == ("a", "aarch64")
    assert found.job == "a-1-r0/aarch64"
    assert found.file == str(packages / "a.yaml")
    assert found.world == ("b-dev", "busybox", "own-tool", "wget")
    assert [(one.name, one.runtime, one.provides, one.priority) for one in found.packages] == [
        ("a", (), (), 0),
        ("a-libs", ("c",), ("so:a.so.1=1",), 5),
    ]
    assert found.directory == str(packages / "a")
    assert found.pipelines == (str(packages / "pipelines/own.yaml"),)
    assert found.sources == ("https://example.com/a.tgz",)
    assert len(found.form) == 64


@pytest.mark.parametrize("resources", ["", "resources: {cpu: 1, memory: 2Gi}", "resources: {cpu: 1.5}"])
def test_a_summary_that_was_kept_is_the_same_json(tree: Tree, resources: str) -> None:
    """Stamps of runs are digests of it."""
    text = f"package: {{name: c, version: 1, {resources}}}\npipeline: [{{runs: make}}]\n"
    (tree.root / "packages/c.yaml").write_text(text)
    tree.write(
        "d.yaml", "pipeline: [{uses: git-checkout, with: {repository: 'https://example.com/d', branch: main}}]\n"
    )
    made = {name: encode(report.summaries) for name, report in tree.reports().items()}
    assert {name: encode(report.summaries) for name, report in tree.reports().items()} == made
    assert tree.evaluated == []
    assert b"example.com/d" in made["d.yaml"].partition(b'"unpinned":')[2]


def test_nothing_is_evaluated_twice(tree: Tree) -> None:
    first = tree.reports()
    assert tree.evaluated == ["a.yaml", "b.yaml"]
    assert tree.reports() == first
    assert tree.evaluated == []


def test_a_changed_recipe_alone_is_evaluated(tree: Tree) -> None:
    before = tree.reports()
    tree.write("b.yaml", "# a comment\npipeline: [{runs: make}]\n")
    after = tree.reports()
    assert tree.evaluated == ["b.yaml"]
    assert after == before  # a comment changes no form
    tree.write("b.yaml", "pipeline: [{runs: make all}]\n")
    changed = tree.reports()
    assert tree.evaluated == ["b.yaml"]
    assert changed["b.yaml"].summaries[0].form != before["b.yaml"].summaries[0].form
    assert changed["a.yaml"] == before["a.yaml"]


def test_a_change_that_keeps_size_and_time_is_seen(tree: Tree) -> None:
    path = tree.write("b.yaml", "pipeline: [{runs: one}]\n")
    before = tree.reports()["b.yaml"]
    info = path.stat()
    tree.write("b.yaml", "pipeline: [{runs: two}]\n")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    after = tree.reports()["b.yaml"]
    assert path.stat().st_size == info.st_size
    assert after.summaries[0].form != before.summaries[0].form


def test_a_file_that_was_just_written_is_not_kept(tree: Tree) -> None:
    tree.reports()
    tree.write("b.yaml", "pipeline: [{runs: one}]\n")
    tree.reports(wait=False)
    assert tree.evaluated == ["b.yaml"]
    tree.reports()
    assert tree.evaluated == ["b.yaml"]
    tree.reports()
    assert tree.evaluated == []


def test_a_pipeline_evaluates_the_recipes_that_use_it(tree: Tree) -> None:
    tree.reports()
    tree.write("pipelines/own.yaml", "needs: {packages: [other-tool]}\npipeline: [{runs: own}]\n")
    found = tree.reports()
    # Each process reads a definition once; the second look is that of another process.
    assert tree.evaluated == ["a.yaml"]
    assert len(found) == 2


def test_a_pipeline_in_the_place_of_a_built_in_one(tree: Tree) -> None:
    tree.reports()
    tree.write("pipelines/fetch.yaml", "pipeline: [{runs: own}]\n")
    tree.reports()
    assert tree.evaluated == ["a.yaml"]


def test_a_directory_that_appears(tree: Tree) -> None:
    assert tree.summary("b.yaml").directory == ""
    tree.write("b/patch")
    assert tree.summary("b.yaml").directory == str(tree.root / "packages/b")
    assert tree.evaluated == ["b.yaml"]


def test_errors_are_values_and_not_kept(tree: Tree) -> None:
    tree.write("b.yaml", "pipeline: [{runs: 'echo ${{package.versoin}}'}]\n")
    tree.write("c.yaml", "nonsense: 1\n")
    for _ in range(2):
        found = tree.reports()
        assert [name for name, report in found.items() if report.has_errors] == ["b.yaml", "c.yaml"]
        assert [one.code for one in found["b.yaml"].findings if one.severity == "error"] == ["undefined-variable"]
        assert [package.name for package in found["b.yaml"].summaries[0].packages] == ["b"]
        assert found["c.yaml"].findings[0].code == "unknown-key"
    assert tree.evaluated == ["b.yaml", "c.yaml"]


def test_a_request_that_is_no_quantity_is_an_error(tree: Tree) -> None:
    (tree.root / "packages/b.yaml").write_text(
        "package: {name: b, version: 1, resources: {memory: much}}\npipeline: [{runs: make}]\n"
    )
    report = tree.reports()["b.yaml"]
    assert report.has_errors
    (error,) = [one for one in report.findings if one.severity == "error"]
    assert (error.code, error.message) == ("settings", "not a size: 'much'")
    assert error.file.endswith("packages/b.yaml: resources.memory")


def test_what_the_user_sets_counts(tree: Tree) -> None:
    tree.reports()
    options = {arch.apk: PlanOptions(packages=("gdb",)) for arch in BOTH.arches}
    found = tree.reports(TreeSpec(BOTH.arches, options))
    assert tree.evaluated == ["a.yaml", "b.yaml"]
    assert found["b.yaml"].summaries[0].world == ("gdb",)
    tree.reports()
    assert tree.evaluated == []  # that of before is still there


def test_a_part_of_a_directory_leaves_the_rest_kept(tree: Tree) -> None:
    tree.write("c.yaml")
    before = tree.reports()
    (tree.root / "packages/c.yaml").unlink()
    path = tree.write("b.yaml", "pipeline: [{runs: other}]\n")
    time.sleep(0.06)
    (report,) = summarise_tree([path], BOTH, 1, tree.root / "cache")
    assert tree.evaluated[-1] == "b.yaml"
    assert tree.reports() == {"a.yaml": before["a.yaml"], "b.yaml": report}
    assert tree.evaluated == []
    (page,) = (tree.root / "cache/summaries").iterdir()
    assert '"c.yaml"' not in page.read_text()  # its recipe is gone


def test_a_damaged_page_is_made_anew(tree: Tree) -> None:
    expected = tree.reports()
    (page,) = (tree.root / "cache/summaries").iterdir()
    page.write_text("{}")
    assert tree.reports() == expected
    assert tree.evaluated == ["a.yaml", "b.yaml"]
