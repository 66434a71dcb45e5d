"""File conflicts between packages from outside and packages of one's own where a cycle begins, told by a dry run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from melpy.apk.model import PackageInfo
from tests.factories.project import Project, file_recipe
from tests.factories.repository import BUSYBOX, add_busybox, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def circle(tmp_path: Path, require: Callable[..., None]) -> Project:
    """A cycle that is cut at `first`: it needs `last`, which needs `middle` and `first`; `middle` needs `first`.

    The first `first`, from outside, has a file that the `middle` of this directory has, too.
    """
    require(str(BUSYBOX), "bwrap")
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    project = Project(tmp_path / "project", repository)
    outside = tmp_path / "outside"
    (outside / "usr/share").mkdir(parents=True)
    (outside / "usr/share/clash").write_text("of the first one\n")
    repository.add("first", outside, version="0-r0")
    project.write("first.yaml", file_recipe("first", "last"))
    project.write(
        "middle.yaml", file_recipe("middle", "first", runs="echo middle > ${{targets.destdir}}/usr/share/clash")
    )
    project.write("last.yaml", file_recipe("last", "first", "middle"))
    return project


def expect(project: Project) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what a dry run says of each recipe, and what it prints on stderr without JSON."""
    run = project.melpy("build", "--dry-run", "--json", ".", force=False)
    assert run.returncode == 0, run.stderr
    plain = project.melpy("build", "--dry-run", ".", force=False)
    return {one["recipe"]: one for one in json.loads(run.stdout)}, plain.stderr.splitlines()


CLASH = "/usr/share/clash is in middle-1.0-r0 of its cycle, built here, and in first-0-r0 from outside"


def test_a_dry_run_tells_a_file_conflict_where_a_cycle_begins(circle: Project) -> None:
    found, told = expect(circle)
    assert [name for name, one in found.items() if one["cut"]] == ["first"]
    assert not any(one["conflicts"] for one in found.values())
    assert "files of 3 packages of cycles are not at hand: conflicts of theirs are told by the run" in told
    run = circle.melpy("build", ".", force=False)
    assert run.returncode == 61
    assert "/usr/share/clash: is in first-0-r0 and middle-1.0-r0" in run.stderr
    # The middle one is in the result cache now, so that its files are known.
    found, told = expect(circle)
    assert {name: one["conflicts"] for name, one in found.items()} == {"first": [], "middle": [], "last": [CLASH]}
    assert f"warning: last-1.0-r0/x86_64: {CLASH}" in told
    # Content that is the same is no conflict.
    same = "echo of the first one > ${{targets.destdir}}/usr/share/clash"
    circle.write("middle.yaml", file_recipe("middle", "first", runs=same))
    assert circle.melpy("build", ".", force=False).returncode == 0
    assert not any(one["conflicts"] for one in expect(circle)[0].values())


def test_a_dry_run_knows_published_packages_and_what_replaces_what(circle: Project) -> None:
    same = "echo of the first one > ${{targets.destdir}}/usr/share/clash"
    circle.write("middle.yaml", file_recipe("middle", "first", runs=same))
    assert circle.melpy("build", ".", force=False).returncode == 0
    # Another first one comes from outside, and none of this is in the store.
    other = circle.directory / "other"
    (other / "usr/share").mkdir(parents=True)
    (other / "usr/share/clash").write_text("of the second one\n")
    circle.repository.add("first", other, version="0-r1")
    circle.write("last.yaml", file_recipe("last", "first", "middle", runs="echo changed"))
    clash = CLASH.replace("first-0-r0", "first-0-r1")
    assert expect(circle)[0]["last"]["conflicts"] == [clash]
    circle.repository.add("first", other, version="0-r2", replaces=("middle",))
    assert expect(circle)[0]["last"]["conflicts"] == []


def test_a_dry_run_tells_an_origin_that_comes_from_both_sides(circle: Project) -> None:
    """`middle-extra` is a package that `middle` made once."""
    same = "echo of the first one > ${{targets.destdir}}/usr/share/clash"
    circle.write("middle.yaml", file_recipe("middle", "first", runs=same))
    assert circle.melpy("build", ".", force=False).returncode == 0
    extra = PackageInfo(name="middle-extra", version="0-r0", arch="x86_64", origin="middle")
    circle.repository.add_all([(extra, circle.directory / "nothing")])
    circle.write("last.yaml", file_recipe("last", "first", "middle", "middle-extra"))
    text = "middle-extra-0-r0 of middle is from outside, and other packages of it are built here"
    assert expect(circle)[0]["last"]["conflicts"] == [text]
