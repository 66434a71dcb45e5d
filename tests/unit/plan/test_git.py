"""What a git-checkout step asks for."""

from __future__ import annotations

import pytest

from melpy.errors import FaultsError
from melpy.plan.form import plan_digest
from melpy.plan.git import ALL, CherryPick, GitSource, InputError, Patience, check_repository, repository_url
from tests.factories.recipe import git_inputs, plan

URL = "https://example.org/team/hello.git"
COMMIT = "1234567890abcdef1234567890abcdef12345678"


def source(**given: str) -> GitSource:
    inputs = {key.replace("_", "-"): value for key, value in given.items()}
    return GitSource.from_inputs(git_inputs(**{"repository": URL, **inputs}))


def complaint(**given: str) -> InputError:
    with pytest.raises(InputError) as caught:
        source(**given)
    return caught.value


def test_defaults() -> None:
    assert source() == GitSource(URL)
    assert source().patience == Patience(3, 2, 60)


def test_the_inputs_are_those_of_melange() -> None:
    assert git_inputs() == {
        "repository": "",
        "destination": ".",
        "branch": "",
        "tag": "",
        "expected-commit": "",
        "expected-commit-is-branch-tip": "false",
        "depth": "unset",
        "recurse-submodules": "false",
        "shallow-submodules": "false",
        "submodule-jobs": "1",
        "cherry-picks": "",
        "sparse-paths": "",
        "max-retries": "3",
        "initial-backoff": "2",
        "max-backoff": "60",
        "type-hint": "",
        "reason": "",
    }


@pytest.mark.parametrize(
    ("given", "depth"),
    [
        ({}, 1),
        ({"tag": "v1", "expected_commit": COMMIT}, 1),
        ({"branch": "main"}, 1),
        ({"expected_commit": COMMIT}, 1),
        ({"branch": "main", "expected_commit": COMMIT}, ALL),
        ({"branch": "main", "expected_commit": COMMIT, "expected_commit_is_branch_tip": "true"}, 1),
        ({"branch": "main", "expected_commit": COMMIT, "depth": "7"}, 7),
        ({"depth": "-1"}, ALL),
    ],
)
def test_depth(given: dict[str, str], depth: int) -> None:
    assert source(**given).depth == depth


@pytest.mark.parametrize(
    ("text", "picks"),
    [
        ("", ()),
        ("\n  # nothing\n\n", ()),
        ("1234567: fix", (CherryPick("1234567"),)),
        (
            f"3.10/{COMMIT.upper()}: fixes: this\n a/b/abcdef0: that # and more",
            (CherryPick(COMMIT, "3.10"), CherryPick("abcdef0", "a/b")),
        ),
    ],
)
def test_cherry_picks(text: str, picks: tuple[CherryPick, ...]) -> None:
    assert source(cherry_picks=text).cherry_picks == picks


@pytest.mark.parametrize(
    "text",
    ["1234567", "1234567:", "1234567: # fix", "main: fix", "123456: fix", f"{COMMIT}0: x", "-x/1234567: fix", "/: fix"],
)
def test_cherry_picks_that_are_none(text: str) -> None:
    error = complaint(cherry_picks=f"abcdef0: good\n{text}\n")
    assert error.key == "cherry-picks"


def test_sparse_paths() -> None:
    assert source(sparse_paths=" a/b\n/c/ d//e").sparse_paths == ("a/b", "c", "d/e")


@pytest.mark.parametrize("text", ["..", "a/../b", "-x", '"a"', "a*", "!a", "/", "a\\b"])
def test_sparse_paths_that_are_none(text: str) -> None:
    assert complaint(sparse_paths=text).key == "sparse-paths"


@pytest.mark.parametrize("key", ["branch", "tag"])
@pytest.mark.parametrize(
    "value",
    ["-x", "--upload-pack=x", "a..b", "a b", "a:b", "^a", "a~1", "a^{}", "a.lock", "/a", "a/", "@{u}", "a\nb"],
)
def test_refs_that_are_none(key: str, value: str) -> None:
    error = complaint(**{key: value})
    assert (error.key, error.message) == (key, f"not a {key}: {value!r}")


@pytest.mark.parametrize("value", ["main", "v1.0", "release/1.x", "a-b_c", "cpython-3.10+git", "ünï", "v1@2"])
def test_refs(value: str) -> None:
    assert source(branch=value).branch == value


@pytest.mark.parametrize(
    "repository",
    [
        URL,
        "http://example.org/x",
        "git://example.org:9418/x",
        "ssh://git@example.org:22/x.git",
        "git@example.org:team/x.git",
        "file:///srv/x",
        "file:///srv/with%20space",
        "/srv/x",
    ],
)
def test_repositories(repository: str) -> None:
    problem = check_repository(repository)
    assert problem is None or "%20" in repository


@pytest.mark.parametrize(
    "repository",
    [
        "--upload-pack=touch x",
        "-x",
        "ext::sh -c x",
        "ext::sh%20-c",
        "fd::3",
        "ext://x::https://example.org",
        "https::https://example.org/x",
        "HTTPS://example.org/x",
        "ftp://example.org/x",
        "https:///x",
        "https://",
        "https://[x/y",
        "ssh://-oProxyCommand=x/y",
        "ssh://git@-oProxyCommand=x/y",
        "-oProxyCommand=x:y",
        "file://host/x",
        "file:x",
        "../x",
        "x",
        "https://example.org/a b",
        "https://example.org/a%0ab",
        "/srv/x\n",
    ],
)
def test_repositories_that_are_none(repository: str) -> None:
    assert complaint(repository=repository).key == "repository"


@pytest.mark.parametrize(
    ("given", "key", "words"),
    [
        ({"branch": "a", "tag": "b"}, "tag", "not both"),
        ({"expected_commit_is_branch_tip": "true", "branch": "a"}, "expected-commit-is-branch-tip", "expected-commit"),
        (
            {"expected_commit_is_branch_tip": "true", "expected_commit": COMMIT},
            "expected-commit-is-branch-tip",
            "needs branch",
        ),
        (
            {"expected_commit_is_branch_tip": "true", "tag": "v1", "expected_commit": COMMIT},
            "expected-commit-is-branch-tip",
            "for branches",
        ),
        ({"expected_commit_is_branch_tip": "yes"}, "expected-commit-is-branch-tip", "true or false"),
        ({"recurse_submodules": "True"}, "recurse-submodules", "true or false"),
        ({"shallow_submodules": "1"}, "shallow-submodules", "true or false"),
        ({"depth": "0"}, "depth", "from 1, -1 or unset"),
        ({"depth": "all"}, "depth", "from 1, -1 or unset"),
        ({"submodule_jobs": "0"}, "submodule-jobs", "from 1"),
        ({"max_retries": "-1"}, "max-retries", "from 0"),
        ({"initial_backoff": "2s"}, "initial-backoff", "from 0"),
        ({"max_backoff": "99999999"}, "max-backoff", "from 0"),
    ],
)
def test_inputs_that_cannot_be(given: dict[str, str], key: str, words: str) -> None:
    error = complaint(**given)
    assert error.key == key
    assert words in error.message


@pytest.mark.parametrize(
    ("repository", "name", "url"),
    [
        (URL, "hello", URL),
        ("https://example.org/x/", "x", "https://example.org/x/"),
        ("git@example.org:x.git", "x", "ssh://git@example.org/x.git"),
        ("/srv/x", "x", "file:///srv/x"),
    ],
)
def test_names_and_urls(repository: str, name: str, url: str) -> None:
    found = source(repository=repository)
    assert (found.name, repository_url(repository)) == (name, url)


def test_versions_and_materials() -> None:
    assert [source(**given).version for given in ({}, {"branch": "main"}, {"tag": "v1"})] == ["HEAD", "main", "v1"]
    assert source(tag="v1", expected_commit=COMMIT.upper()).material == {
        "uri": f"git+{URL}@{COMMIT}",
        "gitCommit": COMMIT,
    }
    assert source(tag="v1").material == {"uri": f"git+{URL}@v1", "gitCommit": ""}


RECIPE = f"""\
pipeline:
  - uses: git-checkout
    with:
      repository: https://example.org/${{{{package.name}}}}
      tag: v${{{{package.version}}}}
      expected-commit: {COMMIT}
  - uses: fetch
    with: {{uri: "https://example.org/x", expected-sha256: {"a" * 64}}}
"""


def test_a_plan_has_it_among_its_sources() -> None:
    found = plan(RECIPE)
    assert found.sources[0] == GitSource("https://example.org/hello", tag="v1.2.3", commit=COMMIT)
    assert found.packages[0].steps[0].native == "git-checkout"
    assert "git" in found.environment.packages
    data = found.to_json()["sources"]
    assert isinstance(data, list)
    assert data[0]["commit"] == COMMIT
    assert data[0]["patience"] == {"retries": 3, "initial": 2, "longest": 60}


def test_the_digest_of_a_plan_depends_on_it() -> None:
    assert plan_digest(plan(RECIPE)) != plan_digest(plan(RECIPE.replace(COMMIT, "f" * 40)))


def test_a_fault_is_told_at_its_place() -> None:
    with pytest.raises(FaultsError) as caught:
        plan(RECIPE.replace("tag: v", "branch: -"))
    assert str(caught.value).endswith("hello.yaml:9:15: not a branch: '-1.2.3'")
