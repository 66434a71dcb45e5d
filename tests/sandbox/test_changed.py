"""Which builds changed since a revision, in real repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from melpy.cli.report import render_error
from melpy.engine.changed import find_changed
from melpy.errors import MelpyError, UsageError
from melpy.graph.model import Summary
from tests.factories.git import Upstream


@pytest.fixture
def tree(tmp_path: Path) -> Upstream:
    """Recipes a to e; a has files of its own, and all but e use a pipeline."""
    upstream = Upstream(tmp_path / "tree")
    files = {f"packages___{name}__yaml": "1" for name in "abcde"}
    upstream.commit(**files, packages___a___fix__patch="1", pipelines___one__yaml="1", README="1")
    upstream.tag("v1")
    return upstream


def summaries(upstream: Upstream, names: str = "abcde") -> list[Summary]:
    found = []
    for name in names:
        file = upstream.directory / f"packages/{name}.yaml"
        directory = file.with_suffix("")
        pipelines = () if name == "e" else (str(upstream.directory / "pipelines/one.yaml"),)
        own = str(directory) if directory.is_dir() else ""
        found.append(Summary(str(file), name, "1-r0", "x86_64", directory=own, pipelines=pipelines))
    return found


def changed(upstream: Upstream, since: str = "v1", names: str = "abcde") -> dict[str, str]:
    return {build.recipe: file for build, file in find_changed(summaries(upstream, names), since).items()}


def test_nothing(tree: Upstream) -> None:
    tree.commit(README="2")
    assert changed(tree) == {}


def test_committed_staged_unstaged_and_untracked_changes_count(tree: Upstream) -> None:
    tree.commit(packages___b__yaml="2")
    tree.write(packages___c__yaml="2")
    tree.git("add", "packages/c.yaml")
    tree.write(packages___d__yaml="2", packages___f__yaml="1", packages___e___new___file="1")
    assert changed(tree, names="abcdef") == {
        "b": "packages/b.yaml",
        "c": "packages/c.yaml",
        "d": "packages/d.yaml",
        "e": "packages/e/new/file",
        "f": "packages/f.yaml",
    }
    assert changed(tree, "HEAD", "abcdef").keys() == set("cdef")


def test_a_change_that_was_taken_back_is_none(tree: Upstream) -> None:
    tree.commit(packages___b__yaml="2")
    tree.commit(packages___b__yaml="1")
    assert changed(tree) == {}


def test_the_files_of_a_recipe(tree: Upstream) -> None:
    patch = tree.directory / "packages/a/fix.patch"
    patch.chmod(0o755)
    assert changed(tree) == {"a": "packages/a/fix.patch"}
    patch.unlink()
    patch.parent.rmdir()
    assert changed(tree) == {"a": "packages/a/fix.patch"}


def test_a_pipeline_of_ones_own(tree: Upstream) -> None:
    tree.commit(pipelines___one__yaml="2")
    assert changed(tree) == dict.fromkeys("abcd", "pipelines/one.yaml")


def test_ignored_files_do_not_count(tree: Upstream) -> None:
    tree.commit(__gitignore="*.log\n")
    tree.write(packages___a___x__log="1")
    assert changed(tree) == {}


def test_commits_of_others_are_no_change_of_a_branch(tree: Upstream) -> None:
    tree.git("checkout", "-q", "-b", "work")
    tree.commit(packages___b__yaml="2")
    tree.git("checkout", "-q", "main")
    tree.commit(packages___c__yaml="2")
    tree.git("checkout", "-q", "work")
    assert changed(tree, "main") == {"b": "packages/b.yaml"}


def test_names_of_every_kind(tree: Upstream) -> None:
    odd = tree.directory / "packages/a" / os.fsdecode(b'\xff "\\\n\t')
    odd.write_text("1")
    assert changed(tree) == {"a": str(odd.relative_to(tree.directory))}
    tree.git("add", "--all")
    assert changed(tree).keys() == {"a"}


def test_a_recipe_that_is_a_symlink(tree: Upstream) -> None:
    (tree.directory / "more").mkdir()
    (tree.directory / "packages/g.yaml").symlink_to("../more/real.yaml")
    tree.commit(more___real__yaml="1")
    tree.tag("v2")
    assert changed(tree, "v2", "g") == {}
    tree.commit(more___real__yaml="2")
    assert changed(tree, "v2", "g") == {"g": "more/real.yaml"}


def test_pipelines_in_another_repository(tree: Upstream, tmp_path: Path) -> None:
    other = Upstream(tmp_path / "other")
    other.commit(one__yaml="1")
    other.tag("v1")
    (one,) = summaries(tree, "e")
    from melpy.codec import replace

    one = replace(one, pipelines=(str(other.directory / "one.yaml"),))
    assert find_changed([one], "v1") == {}
    other.commit(one__yaml="2")
    assert find_changed([one], "v1") == {one.id: "one.yaml"}


def test_no_program_of_the_repository_is_run(tree: Upstream, tmp_path: Path) -> None:
    """A stranger's tree may name filters, monitors and drivers in its configuration."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    tree.commit(__gitattributes="*.yaml filter=x diff=x\n*.patch filter=y\n")
    for key in ("filter.x.clean", "filter.y.process", "diff.x.command", "diff.x.textconv", "core.fsmonitor"):
        tree.git("config", key, str(trap))
    tree.git("config", "filter.x.required", "true")
    tree.write(packages___b__yaml="2", packages___a___fix__patch="2")
    assert changed(tree) == {"a": "packages/a/fix.patch", "b": "packages/b.yaml"}
    assert not (tmp_path / "sprung").exists()


def told(error: MelpyError) -> str:
    return "\n".join(render_error(error))


def test_an_unknown_revision(tree: Upstream) -> None:
    with pytest.raises(UsageError) as caught:
        changed(tree, "mian")
    assert told(caught.value) == (
        f"error: {tree.directory}: --changed-since: there is no commit 'mian' in this repository\n"
        "hint: did you mean 'main'?"
    )
    with pytest.raises(UsageError, match="there is no commit '--output=x'"):
        changed(tree, "--output=x")


def test_recipes_in_no_repository(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("1")
    with pytest.raises(UsageError) as caught:
        find_changed([Summary(str(tmp_path / "a.yaml"), "a", "1-r0", "x86_64")], "v1")
    assert told(caught.value) == (
        f"error: {tmp_path}/a.yaml: is in no git repository that git lets this user read\n"
        "hint: keep recipes in a git repository, or leave --changed-since out"
    )
