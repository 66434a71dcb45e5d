"""Sources from git: fetched into mirrors, verified, checked out."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from melpy import events
from melpy.codec import replace
from melpy.credential import Login
from melpy.errors import DigestMismatchError, StepFailedError, ToolMissingError, UnreachableError
from melpy.plan.git import ALL, GitSource
from melpy.source.checkout import check_out
from melpy.source.git import Pinned, fetch_git, find_git
from melpy.source.mirror import check_mirror
from melpy.source.place import SourcePlaces
from melpy.source.rewrite import parse_rewrite, sort_rewrites
from tests.factories.git import DATE, Upstream, serve
from tests.factories.recipe import git_inputs
from tests.factories.server import Reply, Request, running_server, serve_directory

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = 1600000000


@pytest.fixture(autouse=True)
def _git(require: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    require("git")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


class Place:
    """An upstream, a cache, and a directory for checkouts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cache = directory / "cache/git"
        self.upstream = Upstream(directory / "upstream/hello.git")
        self.tape = events.Tape()
        self.count = 0

    def source(self, **inputs: str) -> GitSource:
        given = {key.replace("_", "-"): value for key, value in inputs.items()}
        return GitSource.from_inputs(git_inputs(**{"repository": self.upstream.url, **given}))

    def fetch(self, **inputs: str) -> Pinned:
        return fetch_git(self.source(**inputs), self.cache, self.tape, "job", self.places())

    def places(self, *rewrites: str, offline: bool = False) -> SourcePlaces:
        return SourcePlaces(
            rewrites=sort_rewrites(map(parse_rewrite, rewrites)), local=(self.directory,), offline=offline
        )

    def tree(self, pinned: Pinned) -> Path:
        self.count += 1
        directory = self.directory / f"tree-{self.count}"
        check_out(pinned, directory, EPOCH, lambda _: None)
        return directory

    def checkout(self, **inputs: str) -> Path:
        return self.tree(self.fetch(**inputs))

    def fetched(self) -> list[str]:
        """Return what was fetched from where since this was last asked."""
        texts = [event.text for event in self.tape.events if isinstance(event, events.Note)]
        self.tape.events.clear()
        return [text for text in texts if text.startswith("fetching ")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ask(tree: Path, *arguments: str) -> str:
    """Return what git says in a checkout, to somebody who trusts nothing but it."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], cwd=tree, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names(tree: Path) -> list[str]:
    """Return the files of a working tree, but for git's own."""
    found = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    return sorted(str(path) for path in found if not {".git", ".gitmodules"} & set(path.parts))


@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag(place: Place, annotated: bool) -> None:
    commit = place.upstream.commit(readme="one")
    place.upstream.tag("v1", annotated=annotated)
    place.upstream.commit(readme="two")
    tree = place.checkout(tag="v1", expected_commit=commit)
    assert (tree / "readme").read_text() == "one"
    assert ask(tree, "rev-parse", "HEAD") == commit
    assert ask(tree, "describe", "--tags", "--exact-match", "--dirty") == "v1"
    assert ask(tree, "status", "--porcelain") == ""
    assert ask(tree, "rev-list", "--count", "HEAD") == "1"
    assert ask(tree, "cat-file", "-t", "v1") == ("tag" if annotated else "commit")


def test_the_tag_object_may_be_what_is_expected(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    oid = place.upstream.tag("v1", annotated=True)
    pinned = place.fetch(tag="v1", expected_commit=oid.upper())
    assert (pinned.commit, pinned.tag_object) == (commit, oid)
    assert ask(place.tree(pinned), "rev-parse", "HEAD") == commit


def test_a_tag_wins_over_a_branch_of_its_name(place: Place) -> None:
    commit = place.upstream.commit(readme="tagged")
    place.upstream.tag("both")
    place.upstream.git("checkout", "-q", "-b", "both")
    place.upstream.commit(readme="branch")
    assert place.fetch(tag="both", expected_commit=commit).commit == commit


def test_a_moved_tag_is_refused(place: Place) -> None:
    expected = place.upstream.commit(readme="one")
    moved = place.upstream.commit(readme="bad")
    place.upstream.tag("v1")
    with pytest.raises(DigestMismatchError, match=f"tag 'v1' is at commit {moved}, the recipe expects {expected}"):
        place.fetch(tag="v1", expected_commit=expected)
    with pytest.raises(DigestMismatchError):  # and is not believed the second time
        place.fetch(tag="v1", expected_commit=expected)


def test_a_second_time_nothing_is_fetched(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    place.upstream.tag("v1")
    place.fetch(tag="v1", expected_commit=commit)
    assert place.fetched() == [f"fetching {place.upstream.url}"]
    shutil.rmtree(place.upstream.directory)
    tree = place.checkout(tag="v1", expected_commit=commit)
    assert (tree / "readme").read_text() == "one"
    assert place.fetched() == []


def test_a_branch_may_have_gone_on(place: Place) -> None:
    first = place.upstream.commit(readme="one")
    place.upstream.tag("v0")
    second = place.upstream.commit(readme="two")
    place.upstream.commit(readme="three")
    place.upstream.tag("later")
    tree = place.checkout(branch="main", expected_commit=second)
    assert (tree / "readme").read_text() == "two"
    assert ask(tree, "rev-list", "HEAD").split() == [second, first]
    assert ask(tree, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert ask(tree, "describe", "--tags") == f"v0-1-g{second[:7]}"
    assert ask(tree, "tag") == "v0"  # what came later is not there
    assert ask(tree, "for-each-ref", "--format=%(refname)", "refs/remotes") == "refs/remotes/origin/main"


def test_a_commit_of_another_branch_is_refused(place: Place) -> None:
    place.upstream.commit(readme="one")
    place.upstream.git("checkout", "-q", "-b", "other")
    other = place.upstream.commit(readme="other")
    with pytest.raises(DigestMismatchError, match="branch 'main' is at"):
        place.fetch(branch="main", expected_commit=other)
    assert place.fetch(branch="other", expected_commit=other).commit == other
    with pytest.raises(DigestMismatchError, match="branch 'main' is at"):  # though the mirror has it now
        place.fetch(branch="main", expected_commit=other)


def test_with_a_depth_the_branch_must_be_at_the_commit(place: Place) -> None:
    first = place.upstream.commit(readme="one")
    second = place.upstream.commit(readme="two")
    third = place.upstream.commit(readme="three")
    with pytest.raises(DigestMismatchError) as caught:
        place.fetch(branch="main", expected_commit=second, depth="2")
    assert "depth: -1" in str(caught.value.hint)
    tree = place.checkout(branch="main", expected_commit=third, depth="2")
    assert ask(tree, "rev-list", "HEAD").split() == [third, second]
    tree = place.checkout(branch="main", expected_commit=first, depth="-1")
    assert ask(tree, "rev-list", "HEAD") == first


def test_a_tip_must_be_the_tip_when_it_is_first_fetched(place: Place) -> None:
    first = place.upstream.commit(readme="one")
    wanted = {"branch": "main", "expected_commit_is_branch_tip": "true"}
    tree = place.checkout(**wanted, expected_commit=first)
    assert ask(tree, "rev-list", "--count", "HEAD") == "1"
    second = place.upstream.commit(readme="two")
    place.upstream.commit(readme="three")
    with pytest.raises(DigestMismatchError, match="branch 'main' is at") as caught:
        place.fetch(**wanted, expected_commit=second)
    assert "went on" in str(caught.value.hint)
    assert place.fetch(**wanted, expected_commit=first).commit == first


def test_without_branch_and_tag_it_is_head(place: Place) -> None:
    place.upstream.commit(readme="one")
    place.upstream.git("checkout", "-q", "-b", "trunk")
    commit = place.upstream.commit(readme="trunk")
    tree = place.checkout(expected_commit=commit)
    assert (tree / "readme").read_text() == "trunk"
    assert ask(tree, "rev-parse", "HEAD") == commit
    with pytest.raises(DigestMismatchError, match="HEAD is at"):
        place.fetch(expected_commit="0" * 40)


def test_what_is_not_pinned_is_fetched_each_time_and_said_so(place: Place) -> None:
    place.upstream.commit(readme="one")
    with serve(place.upstream) as url:
        wanted = {"repository": url, "branch": "main"}
        assert (place.checkout(**wanted) / "readme").read_text() == "one"
        assert any("is not verified" in event.text for event in place.tape.events if isinstance(event, events.Warning))
        second = place.upstream.commit(readme="two")
        assert (place.checkout(**wanted) / "readme").read_text() == "two"
    for more in ({}, {"expected_commit": second, "depth": "1"}):  # what came unverified verifies nothing
        with pytest.raises(UnreachableError, match="git cannot fetch"):
            place.fetch(**wanted, **more, max_retries="0")


def test_a_server_that_cuts_no_history_off_gives_all_of_it(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    commit = place.upstream.commit(readme="two")
    place.upstream.tag("v1")
    place.upstream.git("update-server-info")
    with serve(place.upstream) as url:
        tree = place.checkout(repository=url, tag="v1", expected_commit=commit)
    assert ask(tree, "rev-list", "HEAD") == commit
    tree = place.checkout(repository=url, tag="v1", expected_commit=commit)  # now without the server
    assert ask(tree, "describe", "--tags", "--exact-match") == "v1"


def test_a_repository_of_this_machine_is_used_by_commit_only(place: Place) -> None:
    place.upstream.commit(readme="secret")
    for repository in (place.upstream.url, str(place.upstream.directory)):
        with pytest.raises(UnreachableError, match="by commit only"):
            place.fetch(repository=repository, branch="main")
    assert not place.cache.exists()


def test_a_path_is_a_repository_too(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    tree = place.checkout(repository=str(place.upstream.directory), branch="main", expected_commit=commit)
    assert (tree / "readme").read_text() == "one"


def test_a_ref_does_not_pass_for_an_abbreviated_commit(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    place.upstream.tag("1234567")
    wanted = {"branch": "main", "expected_commit": commit, "cherry_picks": "main/1234567: bad"}
    with pytest.raises(UnreachableError, match="has no commit 1234567"):
        place.fetch(**wanted)


@pytest.mark.parametrize("inputs", [{"tag": "nope"}, {"branch": "nope"}])
def test_what_the_repository_does_not_have(place: Place, inputs: dict[str, str]) -> None:
    place.upstream.commit(readme="one")
    with pytest.raises(UnreachableError, match=r"has no (tag|branch) 'nope'"):
        place.fetch(**inputs, expected_commit="1" * 40)


def test_a_repository_that_is_not_there_is_not_asked_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits for what will not come"))
    shutil.rmtree(place.upstream.directory)
    with pytest.raises(UnreachableError, match="no such file or directory") as caught:
        place.fetch(tag="v1", expected_commit="0" * 40)
    assert caught.value.where == place.upstream.url


def test_a_server_that_does_not_answer_is_asked_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    source = place.source(
        repository="http://127.0.0.1:9/x.git", max_retries="4", initial_backoff="2", max_backoff="5", tag="v1"
    )
    with pytest.raises(UnreachableError):
        fetch_git(source, place.cache, place.tape, places=place.places())
    assert len(pauses) == 4
    for pause, least in zip(pauses, (2, 4, 5, 5), strict=True):
        assert least <= pause <= 2 * least


def test_files_have_the_time_of_the_commit_and_modes_of_their_own(place: Place) -> None:
    place.upstream.write(dir___file="x", tool="#!/bin/sh\n")
    (place.upstream.directory / "tool").chmod(0o755)
    (place.upstream.directory / "link").symlink_to("dir/file")
    commit = place.upstream.commit()
    old = os.umask(0o077)
    try:
        tree = place.checkout(branch="main", expected_commit=commit)
    finally:
        os.umask(old)
    found = {path: path.lstat() for path in (tree, *tree.rglob("*"))}
    modes = {str(path.relative_to(tree)): info.st_mode & 0o777 for path, info in found.items()}
    assert (modes["tool"], modes["dir"], modes["dir/file"], modes[".git"]) == (0o755, 0o755, 0o644, 0o755)
    times = {info.st_mtime for path, info in found.items() if path.name != "index"}
    assert times == {DATE + 3600}
    assert ask(tree, "diff-index", "HEAD") == ""  # without looking at the files anew


def test_a_checkout_needs_the_mirror_no_more(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    tree = place.checkout(branch="main", expected_commit=commit)
    shutil.rmtree(place.cache)
    shutil.rmtree(place.upstream.directory)
    assert ask(tree, "fsck", "--strict") == ""
    assert ask(tree, "show", "HEAD:readme") == "one"
    assert not (tree / ".git/objects/info/alternates").exists()
    content = b"".join(path.read_bytes() for path in tree.rglob("*") if path.is_file())
    assert str(place.cache).encode() not in content
    assert list((tree / ".git").glob("logs")) == []


def test_two_checkouts_are_the_same(place: Place) -> None:
    for number in range(5):
        place.upstream.commit(**{f"dir___file{number}": "x" * number})
    wanted = {"branch": "main", "expected_commit": place.upstream.head()}
    first, second = place.checkout(**wanted), place.checkout(**wanted)
    for path in first.rglob("*"):
        other = second / path.relative_to(first)
        assert path.lstat().st_mode == other.lstat().st_mode
        if path.is_file() and path.name != "index":
            assert path.read_bytes() == other.read_bytes(), path


def test_sparse_paths(place: Place) -> None:
    commit = place.upstream.commit(readme="", a___x="", a___b___y="", b___z="", c___d___e="", c___f="")
    tree = place.checkout(branch="main", expected_commit=commit, sparse_paths="a/b\nc")
    assert names(tree) == ["a/b/y", "a/x", "c/d/e", "c/f", "readme"]
    assert ask(tree, "status", "--porcelain") == ""


def test_cherry_picks(place: Place) -> None:
    place.upstream.commit(readme="one\n", other="")
    commit = place.upstream.commit(readme="one\ntwo\n")
    place.upstream.tag("v1")
    place.upstream.git("checkout", "-q", "-b", "fixes/1", "main")
    first = place.upstream.commit("first fix", other="fixed\n")
    second = place.upstream.commit("second fix", other="fixed\nagain\n")
    place.upstream.git("checkout", "-q", "main")
    picks = f"# fixes\nfixes/1/{first}: the first # really\n\nfixes/1/{second[:12]}: the second\n"
    wanted = {"tag": "v1", "expected_commit": commit, "cherry_picks": picks}
    tree = place.checkout(**wanted)
    assert (tree / "other").read_text() == "fixed\nagain\n"
    head = ask(tree, "rev-parse", "HEAD")
    assert ask(tree, "log", "-2", "--format=%s|%an|%cn|%ct|%at") == (
        f"second fix|author|melpy|{EPOCH}|{DATE + 4 * 3600}\nfirst fix|author|melpy|{EPOCH}|{DATE + 3 * 3600}"
    )
    assert f"(cherry picked from commit {first})" in ask(tree, "log", "-1", "--format=%b", "HEAD~1")
    assert ask(tree, "rev-parse", "HEAD~2") == commit
    assert ask(tree, "status", "--porcelain") == ""
    shutil.rmtree(place.upstream.directory)
    assert ask(place.checkout(**wanted), "rev-parse", "HEAD") == head


def test_a_cherry_pick_onto_a_whole_history_leaves_it_whole(place: Place) -> None:
    first = place.upstream.commit(readme="one\n", other="")
    commit = place.upstream.commit(readme="one\ntwo\n")
    fix = place.upstream.commit("fix", other="fixed\n")
    place.upstream.commit(readme="three\n")
    tree = place.checkout(branch="main", expected_commit=commit, cherry_picks=f"{fix}: a fix")
    assert (tree / "other").read_text() == "fixed\n"
    assert ask(tree, "rev-list", "HEAD~1").split() == [commit, first]
    assert ask(tree, "fsck", "--no-dangling") == ""


def test_cherry_picks_that_fail(place: Place) -> None:
    commit = place.upstream.commit(readme="one\n")
    place.upstream.tag("v1")
    place.upstream.commit(readme="two\n")
    conflict = place.upstream.commit(readme="three\n")
    wanted = {"tag": "v1", "expected_commit": commit}
    with pytest.raises(StepFailedError, match="cannot be cherry-picked") as caught:
        place.checkout(**wanted, cherry_picks=f"main/{conflict}: bad")
    assert any("CONFLICT" in line for line in caught.value.details)
    with pytest.raises(UnreachableError, match="has no commit 1234567 to cherry-pick"):
        place.fetch(**wanted, cherry_picks="main/1234567: none")
    with pytest.raises(UnreachableError, match="has no commit") as missing:
        place.fetch(**wanted, cherry_picks=f"{'1' * 40}: none")
    assert "branch/commit" in str(missing.value.hint)


def with_submodules(place: Place) -> tuple[str, str, str]:
    """Give the upstream a submodule with a submodule, named by relative URLs; return the three commits."""
    inner = Upstream(place.directory / "upstream/inner")
    innermost = inner.commit(deep="deep")
    middle = Upstream(place.directory / "upstream/middle.git")
    (middle.directory / ".gitmodules").write_text('[submodule "in"]\n\tpath = in\n\turl = ../inner\n')
    middle.git("update-index", "--add", "--cacheinfo", f"160000,{innermost},in")
    middle.git("add", ".gitmodules")
    middle.git("commit", "-q", "-m", "middle")
    inside = middle.head()
    middle.commit(gone="on")
    upstream = place.upstream
    (upstream.directory / ".gitmodules").write_text('[submodule "the mid"]\n\tpath = lib/mid\n\turl = ../middle.git\n')
    upstream.write(readme="top")
    upstream.git("add", "readme", ".gitmodules")
    upstream.git("update-index", "--add", "--cacheinfo", f"160000,{inside},lib/mid")
    upstream.git("commit", "-q", "-m", "top")
    return upstream.head(), inside, innermost


@pytest.mark.parametrize(("shallow", "jobs"), [("true", "1"), ("false", "3")])
def test_submodules(place: Place, shallow: str, jobs: str) -> None:
    commit, inside, innermost = with_submodules(place)
    wanted = {"branch": "main", "expected_commit": commit, "recurse_submodules": "true"}
    wanted |= {"shallow_submodules": shallow, "submodule_jobs": jobs}
    place.fetch(**wanted)
    shutil.rmtree(place.directory / "upstream")
    tree = place.checkout(**wanted)
    shutil.rmtree(place.cache)
    assert names(tree) == ["lib/mid/in/deep", "readme"]
    assert ask(tree / "lib/mid", "rev-parse", "HEAD") == inside
    assert ask(tree / "lib/mid/in", "rev-parse", "HEAD") == innermost
    assert ask(tree, "status", "--porcelain") == ""
    states = ask(tree, "submodule", "status", "--recursive").splitlines()
    assert [line.split()[1] for line in states] == ["lib/mid", "lib/mid/in"]
    assert not any(line.startswith(("-", "+")) for line in states)


def test_submodules_are_left_out_unless_asked_for(place: Place) -> None:
    commit, _, _ = with_submodules(place)
    assert names(place.checkout(branch="main", expected_commit=commit)) == ["readme"]


def test_a_cherry_pick_that_takes_the_place_of_a_submodule(place: Place) -> None:
    commit, _, _ = with_submodules(place)
    upstream = place.upstream
    upstream.git("rm", "-q", "--cached", "lib/mid")
    upstream.write(lib___mid___file="file")
    pick = upstream.commit()
    wanted = {"branch": "main", "expected_commit": commit, "recurse_submodules": "true"}
    with pytest.raises(StepFailedError, match="where submodule 'lib/mid' goes"):
        place.checkout(**wanted, cherry_picks=f"{pick}: vendored")


def test_a_submodule_outside_of_sparse_paths_is_left_out(place: Place) -> None:
    commit, _, _ = with_submodules(place)
    wanted = {"branch": "main", "expected_commit": commit, "recurse_submodules": "true", "sparse_paths": "doc"}
    assert names(place.checkout(**wanted)) == ["readme"]


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% {there}", "--upload-pack=touch {there}", "-x", "fd::7", "ftp://example.org/x", "a b"]
)
def test_hostile_submodules(place: Place, url: str) -> None:
    there = place.directory / "planted"
    text = f'[submodule "x"]\n\tpath = x\n\turl = "{url.format(there=there)}"\n'
    (place.upstream.directory / ".gitmodules").write_text(text)
    place.upstream.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    place.upstream.git("add", ".gitmodules")
    place.upstream.git("commit", "-q", "-m", "bad")
    with pytest.raises(UnreachableError):
        place.fetch(branch="main", expected_commit=place.upstream.head(), recurse_submodules="true")
    assert not there.exists()


def test_gitmodules_reads_no_file_of_this_machine(place: Place) -> None:
    commit = "1" * 40
    elsewhere = place.directory / "elsewhere"
    elsewhere.write_text('[submodule "x"]\n\tpath = x\n\turl = https://example.org/planted\n')
    (place.upstream.directory / ".gitmodules").write_text(f"[include]\n\tpath = {elsewhere}\n")
    place.upstream.git("update-index", "--add", "--cacheinfo", f"160000,{commit},x")
    place.upstream.git("add", ".gitmodules")
    place.upstream.git("commit", "-q", "-m", "bad")
    found = place.fetch(branch="main", expected_commit=place.upstream.head(), recurse_submodules="true")
    assert found.submodules == ()
    warnings = [event.text for event in place.tape.events if isinstance(event, events.Warning)]
    assert [text for text in warnings if ".gitmodules has no URL for 'x'" in text]


def test_gitmodules_that_git_cannot_read(place: Place) -> None:
    commit = place.upstream.commit(__gitmodules="[submodule\n")
    with pytest.raises(UnreachableError, match=r"its \.gitmodules cannot be read"):
        place.fetch(branch="main", expected_commit=commit, recurse_submodules="true")


def test_nothing_of_a_repository_is_run(place: Place) -> None:
    there = place.directory / "planted"
    (place.upstream.directory / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    upstream = place.upstream
    upstream.write(readme="one\n", other="")
    config = (
        f'[filter "evil"]\n\tsmudge = touch {there}\n\tclean = touch {there}\n[core]\n\tfsmonitor = touch {there}\n'
    )
    (upstream.directory / ".gitconfig").write_text(config)
    commit = upstream.commit()
    for hook in (
        "post-checkout",
        "post-commit",
        "post-merge",
        "pre-push",
        "reference-transaction",
        "post-index-change",
    ):
        path = upstream.directory / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {there}\n")
        path.chmod(0o755)
    fix = "main"
    there.unlink(missing_ok=True)
    tree = place.checkout(branch=fix, expected_commit=commit, depth="1")
    assert (tree / "readme").read_text() == "one\n"
    assert not there.exists()
    assert list((tree / ".git/hooks").iterdir()) == []


def test_settings_of_the_user_do_not_count(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[core]\n\tautocrlf = true\n[user]\n\tname = me\n[init]\n\ttemplateDir = /tmp\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_WORK_TREE", "/nonexistent")
    commit = place.upstream.commit(readme="a\nb\n")
    tree = place.checkout(branch="main", expected_commit=commit)
    assert (tree / "readme").read_bytes() == b"a\nb\n"


def test_a_lock_that_was_left_is_no_obstacle(place: Place) -> None:
    first = place.upstream.commit(readme="one")
    mirror = place.fetch(branch="main", expected_commit=first).mirror
    (mirror / "packed-refs.lock").touch()
    (mirror / "shallow.lock").touch()
    second = place.upstream.commit(readme="two")
    assert place.fetch(branch="main", expected_commit=second).commit == second


def test_a_mirror_that_was_left_half_made_is_no_obstacle(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    mirror = place.fetch(branch="main", expected_commit=commit).mirror
    (mirror / "melpy").unlink()
    (mirror / "config.lock").touch()
    assert place.fetch(branch="main", expected_commit=commit).commit == commit


def test_without_git(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    source = place.source(tag="v1")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissingError, match="git is not installed") as caught:
        fetch_git(source, place.cache, place.tape, places=place.places())
    assert "apt-get install git" in str(caught.value.hint)


def test_one_mirror_for_all_whole_histories(place: Place) -> None:
    first = place.upstream.commit(readme="one")
    second = place.upstream.commit(readme="two")
    mirrors = {place.fetch(branch="main", expected_commit=commit).mirror for commit in (first, second)}
    assert len(mirrors) == 1
    assert place.source(branch="main", expected_commit=first).depth == ALL


def parallel(place: Place, wanted: dict[str, Any]) -> str:
    return place.fetch(**wanted).commit


def test_several_at_the_same_time(place: Place) -> None:
    from concurrent.futures import ThreadPoolExecutor

    commit = place.upstream.commit(readme="one")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: parallel(place, {"branch": "main", "expected_commit": commit}), range(4)))
    assert found == [commit] * 4
    assert len(place.fetched()) == 1


def rewritten(place: Place, directory: Path, **inputs: str) -> Pinned:
    """Fetch what a recipe has from a server that nobody reaches, from a directory of clones."""
    place.tape.events.clear()
    rewrite = f"https://upstream.invalid/={directory}"
    source = place.source(**{"repository": "https://upstream.invalid/team/hello.git", **inputs})
    return fetch_git(source, place.cache, place.tape, "job", place.places(rewrite, offline=True))


def clone(place: Place, *options: str, name: str = "hello") -> Path:
    """Clone the upstream into a directory of clones; return that directory."""
    directory = place.directory / "clones"
    (directory / "team").mkdir(parents=True, exist_ok=True)
    place.upstream.git("clone", "--quiet", *options, place.upstream.url, str(directory / "team" / name))
    return directory


@pytest.mark.parametrize(
    ("name", "options"), [("hello", []), ("hello.git", ["--bare"]), ("hello", ["--mirror"]), ("hello.git", [])]
)
def test_a_clone_stands_for_upstream(place: Place, name: str, options: list[str]) -> None:
    place.upstream.commit(readme="one")
    place.upstream.git("checkout", "--quiet", "-b", "stable")
    old = place.upstream.commit(readme="two")
    place.upstream.tag("v1", annotated=True)
    place.upstream.commit(readme="three")
    place.upstream.git("checkout", "--quiet", "main")
    clones = clone(place, *options, name=name)
    for inputs in ({"tag": "v1"}, {"branch": "stable"}):
        pinned = rewritten(place, clones, expected_commit=old, **inputs)
        tree = place.tree(pinned)
        assert (tree / "readme").read_text() == "two"
        assert ask(tree, "remote", "get-url", "origin") == "https://upstream.invalid/team/hello.git"
        assert str(clones) not in "".join(path.read_text() for path in (tree / ".git").rglob("config"))
    assert rewritten(place, clones, branch="stable", expected_commit=old).origin == ""


def test_a_checkout_is_the_same_wherever_it_was_fetched(place: Place) -> None:
    place.upstream.commit(readme="one")
    place.upstream.tag("v1", annotated=True)
    commit = place.upstream.commit(readme="two")
    place.upstream.commit(readme="three")
    clones = clone(place)
    rewrite = f"{place.upstream.directory.parent.as_uri()}/={clones / 'team'}"
    inputs = {"branch": "main", "expected_commit": commit}
    direct = place.tree(fetch_git(place.source(**inputs), place.directory / "one", place.tape, places=place.places()))
    found = fetch_git(place.source(**inputs), place.directory / "two", place.tape, places=place.places(rewrite))
    assert found.origin == (clones / "team/hello").as_uri()
    other = place.tree(found)
    for arguments in (["describe"], ["log", "--format=%H"], ["for-each-ref"], ["config", "--list", "--local"]):
        assert ask(direct, *arguments) == ask(other, *arguments)


def test_a_clone_may_stand_anywhere_for_a_commit(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    place.upstream.commit(readme="two")
    clones = clone(place)
    assert rewritten(place, clones, expected_commit=commit).commit == commit
    with pytest.raises(DigestMismatchError, match="HEAD is at commit"):
        place.fetch(expected_commit=commit)  # upstream itself must be there


def test_a_tip_must_be_the_tip_of_a_clone_too(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    place.upstream.commit(readme="two")
    with pytest.raises(DigestMismatchError, match="branch 'main' is at commit"):
        rewritten(
            place, clone(place), branch="main", expected_commit=commit, **{"expected-commit-is-branch-tip": "true"}
        )


def test_a_clone_that_lacks_it_is_told_of_and_upstream_asked(place: Place) -> None:
    place.upstream.commit(readme="one")
    clones = clone(place)
    commit = place.upstream.commit(readme="two")
    rewrite = f"{place.upstream.directory.parent.as_uri()}/={clones / 'team'}"
    source = place.source(branch="main", expected_commit=commit)
    pinned = fetch_git(source, place.cache, place.tape, places=place.places(rewrite))
    assert (pinned.commit, pinned.origin) == (commit, place.upstream.url)
    notes = [event.text for event in place.tape.events if isinstance(event, events.Note)]
    assert any(note.startswith(f"{(clones / 'team/hello').as_uri()}: ") for note in notes)


def test_a_clone_that_was_cut_off_serves_where_no_whole_history_is_asked_for(place: Place) -> None:
    place.upstream.commit(readme="one")
    commit = place.upstream.commit(readme="two")
    clones = clone(place, "--depth=1")
    with pytest.raises(UnreachableError, match="melpy is offline") as caught:
        rewritten(place, clones, branch="main", expected_commit=commit)
    assert caught.value.details == (f"{(clones / 'team/hello').as_uri()}: does not have the whole history",)
    assert rewritten(place, clones, branch="main", expected_commit=commit, depth="1").commit == commit


def test_nobody_has_it(place: Place) -> None:
    place.upstream.commit(readme="one")
    clones = clone(place)
    with pytest.raises(UnreachableError, match="melpy is offline") as caught:
        rewritten(place, clones, tag="v2", expected_commit="1" * 40)
    assert caught.value.details == (f"{(clones / 'team/hello').as_uri()}: has no tag 'v2'",)


def test_what_is_not_pinned_does_not_come_from_a_clone_of_this_machine(place: Place) -> None:
    place.upstream.commit(readme="one")
    clones = clone(place)
    with pytest.raises(UnreachableError, match="melpy is offline") as caught:
        rewritten(place, clones, branch="main")
    refused = "a file of this machine is fetched by digest only"
    assert caught.value.details == (f"{(clones / 'team/hello').as_uri()}: {refused}",)


def test_submodules_and_cherry_picks_come_from_clones_too(place: Place) -> None:
    lib = Upstream(place.directory / "upstream/lib")
    code = lib.commit(code="lib")
    place.upstream.git("submodule", "--quiet", "add", lib.url, "lib")
    place.upstream.git("config", "-f", ".gitmodules", "submodule.lib.url", "../../other/lib.git")
    commit = place.upstream.commit(readme="one")
    place.upstream.git("checkout", "--quiet", "-b", "fixes")
    fix = place.upstream.commit("a fix", fixed="yes")
    place.upstream.git("checkout", "--quiet", "main")
    clones = clone(place)
    with pytest.raises(UnreachableError, match="offline"):
        rewritten(place, clones, branch="main", expected_commit=commit, **{"recurse-submodules": "true"})
    lib.git("clone", "--quiet", "--bare", lib.url, str(clones / "other/lib.git"))
    picks = f"fixes/{fix[:12]}: a fix"
    pinned = rewritten(
        place,
        clones,
        branch="main",
        expected_commit=commit,
        **{"recurse-submodules": "true", "cherry-picks": picks},
    )
    tree = place.tree(pinned)
    assert (tree / "fixed").read_text() == "yes"
    assert (ask(tree / "lib", "rev-parse", "HEAD"), (tree / "lib/code").read_text()) == (code, "lib")
    assert ask(tree / "lib", "remote", "get-url", "origin") == "https://upstream.invalid/other/lib.git"


@pytest.mark.parametrize("url", ["{clones}/secret", "file://{clones}/secret", "../../../secret", "https://x.org/../s"])
def test_a_submodule_is_not_led_out_of_the_clones(place: Place, url: str) -> None:
    secret = Upstream(place.directory / "clones/secret")
    secret.commit(code="secret")
    place.upstream.git("submodule", "--quiet", "add", secret.url, "lib")
    place.upstream.git("config", "-f", ".gitmodules", "submodule.lib.url", url.format(clones=secret.directory.parent))
    commit = place.upstream.commit(readme="one")
    clones = clone(place) / "team"
    (clones / "team").symlink_to(".")
    with pytest.raises(UnreachableError):
        rewritten(place, clones, branch="main", expected_commit=commit, **{"recurse-submodules": "true"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a clone to somebody else")
def test_a_clone_may_belong_to_somebody_else(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    clones = clone(place)
    for path in (clones / "team", *(clones / "team").rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    assert rewritten(place, clones, branch="main", expected_commit=commit).commit == commit


def test_what_the_cache_has_is_found_and_checked(place: Place) -> None:
    commit = place.upstream.commit(readme="one")
    source = place.source(branch="main", expected_commit=commit)
    assert find_git(source, place.cache) is None
    assert not place.cache.exists()
    place.fetch(branch="main", expected_commit=commit)
    pinned = find_git(source, place.cache)
    assert pinned is not None
    assert pinned.commit == commit
    check_mirror(pinned.mirror, source.repository)
    assert find_git(place.source(branch="main", expected_commit="1" * 40), place.cache) is None
    assert find_git(place.source(branch="main"), place.cache) is None
    (pack,) = pinned.mirror.glob("objects/pack/*.pack")
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 255
    pack.write_bytes(data)
    with pytest.raises(DigestMismatchError, match="is damaged") as caught:
        check_mirror(pinned.mirror, source.repository)
    assert str(pinned.mirror) in (caught.value.hint or "")


def guarded(place: Place, user: str, password: str) -> Callable[[Request], Reply]:
    """Answer with the upstream's files to whoever has its login."""
    files = serve_directory(place.upstream.directory.parent)

    def answer(request: Request) -> Reply:
        if request.headers.get("authorization") != Login(user, password).header:
            return Reply(401, {"WWW-Authenticate": 'Basic realm="private"'})
        return files(replace(request, path=request.path.partition("?")[0]))

    return answer


def give_http_auth(home: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_AUTH", f"basic:{host.partition(':')[0]}:me:p%s'$(w) :\\")


def give_netrc(home: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = "p%s'$(w) :\\".replace("\\", "\\\\")
    (home / ".netrc").write_text(f'machine {host.partition(":")[0]} login me password "{quoted}"\n')
    (home / ".netrc").chmod(0o600)


def give_helper(home: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "answer").write_text("username=me\npassword=p%s'$(w) :\\\n")
    (home / ".gitconfig").write_text(f'[credential "http://{host}"]\n\thelper = "!cat {home}/answer #"\n')


@pytest.mark.parametrize("give", [give_http_auth, give_netrc, give_helper])
def test_a_private_repository(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, give: Callable[..., None]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("HTTP_AUTH", "NETRC", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    commit = place.upstream.commit(readme="private")
    with running_server(guarded(place, "me", "p%s'$(w) :\\")) as server:
        url = f"{server.uri}/hello.git/.git"
        with pytest.raises(UnreachableError) as caught:
            place.fetch(repository=url, expected_commit=commit)
        assert "HTTP_AUTH is basic:HOST:USER:PASSWORD" in str(caught.value.hint)
        assert "a credential helper of git" in str(caught.value.hint)
        give(home, server.uri.removeprefix("http://"), monkeypatch)
        tree = place.checkout(repository=url, expected_commit=commit, branch="main")
    assert (tree / "readme").read_text() == "private"
    # Nothing of it is kept where a step, a package or the next user could see it.
    kept = [path for top in (tree, place.cache) for path in top.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"p%s" in path.read_bytes()]
    assert "p%s" not in repr(place.tape.events)


def test_a_login_is_for_its_host_only(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine example.org login me password word\ndefault login any password word\n")
    commit = place.upstream.commit(readme="private")
    with running_server(guarded(place, "me", "word")) as server:
        with pytest.raises(UnreachableError):
            place.fetch(repository=f"{server.uri}/hello.git/.git", expected_commit=commit)
        # git 2.47 tells that it has none: an empty user with an empty password.
        given = {request.headers.get("authorization", "") for request in server.requests}
        assert given <= {"", Login("", "").header}


def test_an_unknown_host_is_asked_for_once(place: Place) -> None:
    with pytest.raises(UnreachableError, match="git cannot fetch from it"):
        place.fetch(repository="https://host.invalid/hello.git", tag="v1", expected_commit="0" * 40)
    assert place.fetched() == ["fetching https://host.invalid/hello.git"]
    assert not [note for note in place.tape.events if "trying again" in str(note)]
