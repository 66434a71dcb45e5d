"""The last commit of a recipe, as git itself says it, whatever is remembered of the history."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.engine.history import find_revision, find_revisions
from tests.factories.git import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("a.yaml", "b.yaml", "pipelines/c.yaml", "d/patch", "d/deep/e", "*.yaml", 'ü\t"\\\n.yaml', "-f.yaml")


class History:
    """A repository that grows at random: commits, branches, merges that take either side, both or neither."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.upstream = Upstream(directory)
        self.chance = random.Random(seed)  # the same commits each time
        self.count = 0
        self.branches = ["main"]
        self.change()

    def change(self) -> None:
        for name in self.chance.sample(NAMES, self.chance.choice((1, 1, 1, 2))):
            self.write(name)
        self.commit()

    def write(self, name: str) -> None:
        self.count += 1
        path = self.upstream.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(self.count % 5))  # now and then what it was before
        if self.chance.random() < 0.1:
            path.unlink()

    def commit(self) -> None:
        # Clocks of committers go as they like.
        self.upstream.hour = max(0, self.upstream.hour + self.chance.choice((1, 1, 1, 5, -3)))
        self.upstream.git("add", "--all")
        self.upstream.git("commit", "--quiet", "--allow-empty", "--message", "change")

    def merge(self) -> None:
        other = self.chance.choice(self.branches)
        strategy = self.chance.choice((["-X", "ours"], ["-X", "theirs"], ["-s", "ours"]))
        git = [
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "merge",
            "--quiet",
            "--no-ff",
            "--no-commit",
        ]
        subprocess.run([*git, *strategy, other], cwd=self.upstream.directory, capture_output=True, check=False)
        if self.chance.random() < 0.3:
            self.write(self.chance.choice(NAMES))
        self.commit()

    def branch(self) -> None:
        name = f"branch-{len(self.branches)}"
        self.branches.append(name)
        self.upstream.git("checkout", "--quiet", "-b", name)

    def switch(self) -> None:
        self.upstream.git("checkout", "--quiet", self.chance.choice(self.branches))

    def grow(self) -> None:
        steps: tuple[Callable[[], None], ...] = (
            self.change,
            self.change,
            self.merge,
            self.merge,
            self.branch,
            self.switch,
        )
        self.chance.choice(steps)()

    def last(self, *names: str) -> str:
        return self.upstream.git("--literal-pathspecs", "log", "-1", "--format=%H %ct", "--", *names)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_is_what_git_says(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path / "repository", seed)
    top = history.upstream.directory
    for _ in range(40):
        history.grow()
        # A directory without files is in no commit.
        there = [
            name for name in (*NAMES, "d", "d/deep") if any(p.is_file() for p in (top / name, *(top / name).rglob("*")))
        ]
        for name in history.chance.sample(there, min(3, len(there))):
            found = find_revision([top / name], tmp_path / "cache")
            assert f"{found.commit} {found.epoch}" == (history.last(name) or " 0"), name
            assert find_revision([top / name]) == found
        if history.chance.random() < 0.2:
            groups = [[top / name] for name in there] + [[top / name for name in there]]
            together = find_revisions(groups, tmp_path / "other")
            assert together == find_revisions(groups, tmp_path / "other")  # remembered
            assert together == tuple(find_revision(group) for group in groups)
    assert {path.parent.name for path in (tmp_path / "cache").rglob("*") if path.is_file()} == {"history"}


def test_of_several_paths_the_newest_commit_of_the_line_counts(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "repository")
    upstream.commit(a__yaml="1", b__yaml="1")
    newer = upstream.commit(b__yaml="2")
    upstream.commit(c__yaml="1")
    top = upstream.directory
    assert find_revision([top / "a.yaml", top / "b.yaml"], tmp_path / "cache").commit == newer
    assert find_revision([top / "b.yaml", top / "a.yaml"], tmp_path / "cache").path == "b.yaml"


def test_a_remembered_history_is_not_walked_again(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "repository")
    old = upstream.commit(old__yaml="1")
    stream = "".join(
        f"commit refs/heads/main\ncommitter a <a@example.org> {1600000000 + number} +0000\ndata 1\nx\n"
        f"{f'from {old}{chr(10)}' if number == 0 else ''}M 644 inline other.yaml\ndata <<.\n{number}\n.\n\n"
        for number in range(12_000)
    )
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"], cwd=upstream.directory, input=stream, text=True, check=True
    )
    top, cache = upstream.directory, tmp_path / "cache"
    told: list[int] = []
    assert find_revision([top / "old.yaml"], cache, told.append).commit == old
    assert told == [5000, 10000]
    upstream.git("reset", "--quiet", "--hard")
    new = upstream.commit(new__yaml="1")
    told.clear()
    assert find_revision([top / "old.yaml"], cache, told.append).commit == old
    assert find_revision([top / "new.yaml"], cache, told.append).commit == new
    assert told == []


def test_what_is_not_in_head_is_not_looked_for(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "repository")
    upstream.commit(a__yaml="1", b__yaml="1")
    upstream.git("rm", "--quiet", "b.yaml")
    upstream.commit(a__yaml="2")
    upstream.write(b__yaml="1", new__yaml="1")
    for name in ("b.yaml", "new.yaml"):
        found = find_revision([upstream.directory / name], tmp_path / "cache")
        assert (found.commit, found.problem) == ("", "the recipe is not committed")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"form": 2}', '{"form": 2, "last": 3, "commits": 4}', "\xff"])
def test_a_damaged_memory_is_made_anew(tmp_path: Path, damage: str) -> None:
    upstream = Upstream(tmp_path / "repository")
    commit = upstream.commit(a__yaml="1")
    assert find_revision([upstream.directory / "a.yaml"], tmp_path / "cache").commit == commit
    (memory,) = (tmp_path / "cache/history").iterdir()
    whole = memory.read_bytes()
    memory.write_bytes(damage.encode("latin-1"))
    assert find_revision([upstream.directory / "a.yaml"], tmp_path / "cache").commit == commit
    assert memory.read_bytes() == whole


def test_a_memory_that_others_may_write_does_not_count(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "repository")
    commit = upstream.commit(a__yaml="1")
    find_revision([upstream.directory / "a.yaml"], tmp_path / "cache")
    (memory,) = (tmp_path / "cache/history").iterdir()
    memory.write_text(memory.read_text().replace(commit, "0" * 40))
    os.chmod(memory, 0o666)  # noqa: PTH101  # as an attacker would
    assert find_revision([upstream.directory / "a.yaml"], tmp_path / "cache").commit == commit


def test_a_history_that_is_cut_off_is_not_remembered(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "repository")
    old = upstream.commit(a__yaml="1")
    upstream.commit(b__yaml="1")
    subprocess.run(["git", "clone", "--quiet", "--depth=1", upstream.url, tmp_path / "clone"], check=True)
    recipe = tmp_path / "clone/a.yaml"
    assert "shallow" in find_revision([recipe], tmp_path / "cache").problem
    subprocess.run(["git", "-C", tmp_path / "clone", "fetch", "--quiet", "--unshallow"], check=True)
    assert find_revision([recipe], tmp_path / "cache").commit == old
