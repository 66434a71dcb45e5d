"""Builds of recipes that check out a git repository, in a real sandbox with a real git."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import textwrap
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.git import DATE, Upstream, serve
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import Repository, add_busybox, add_program, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = "${{targets.destdir}}"


@pytest.fixture(scope="module")
def git_repository(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Repository:
    require("bwrap", "git", "ldd", "/bin/busybox")
    directory = tmp_path_factory.mktemp("with-git")
    repository = make_repository(directory)
    add_busybox(repository, directory)
    add_program(repository, directory, "git")
    return repository


@pytest.fixture
def project(tmp_path: Path, git_repository: Repository) -> Project:
    return Project(tmp_path / "project", git_repository)


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    found = Upstream(tmp_path / "upstream" / "hello.git")
    found.commit(readme="one", dir___file="deep")
    return found


def recipe(script: str, before: str = "", *, name: str = "one", working: str = "", **inputs: str) -> str:
    """Return a recipe with a step before, a checkout, and a step after it."""
    given = "".join(f"      {key.replace('_', '-')}: {json.dumps(value)}\n" for key, value in inputs.items())
    where = f"    working-directory: {working}\n" if working else ""
    tail = f"  - uses: git-checkout\n{where}    with:\n{given}  - runs: |\n{textwrap.indent(script, ' ' * 6)}\n"
    return shell_recipe(name, runs=before or "true", tail=tail)


def build(project: Project, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    project.write("one.yaml", text)
    result = project.melpy("build", "one.yaml", *arguments)
    assert "Traceback" not in result.stderr
    return result


def check(result: subprocess.CompletedProcess[str], status: int = 0) -> None:
    assert result.returncode == status, result.stderr


def content(project: Project) -> dict[str, str]:
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        return {item.name: tar.extractfile(item).read().decode(errors="replace") for item in tar if item.isreg()}  # type: ignore[union-attr]


def log(project: Project) -> str:
    return (project.out / "logs/x86_64/one-1.0-r0.log").read_text()


LOOK = f"""\
mkdir -p {OUT}/seen
cp -p readme {OUT}/seen/readme
git describe --tags --dirty > {OUT}/seen/describe
git rev-parse HEAD > {OUT}/seen/commit
git diff-index HEAD > {OUT}/seen/differences
git log -1 --format=%ct > {OUT}/seen/time
busybox stat -c '%U %Y %a' readme > {OUT}/seen/stat
"""


def test_a_tag_is_built_and_git_works_in_the_sandbox(project: Project, upstream: Upstream) -> None:
    commit = upstream.head()
    upstream.tag("v1.0", annotated=True)
    upstream.commit(readme="two")
    text = recipe(LOOK, repository=upstream.url, tag="v${{package.version}}", expected_commit=commit)
    check(build(project, text))
    seen = {name.removeprefix("seen/"): body.strip() for name, body in content(project).items()}
    assert (seen["readme"], seen["describe"], seen["commit"], seen["differences"]) == ("one", "v1.0", commit, "")
    assert seen["time"] == str(DATE + 3600)
    assert seen["stat"] == f"build {DATE + 3600} 644"
    assert f"{upstream.url}: tag v1.0 at commit {commit}, verified\n" in log(project)


def test_the_second_build_needs_no_upstream_and_gives_the_same_bytes(
    project: Project, upstream: Upstream, tmp_path: Path
) -> None:
    commit = upstream.head()
    upstream.tag("v1")
    text = recipe(LOOK, repository=upstream.url, tag="v1", expected_commit=commit)
    check(build(project, text))
    first = project.packages()
    other = Project(tmp_path / "some" / "other place", project.repository)
    other.environment["MELPY_LOCAL_SOURCES"] = str(tmp_path)
    other.write("one.yaml", text)
    result = other.melpy("build", "one.yaml", prefix=("sh", "-c", 'umask 077; exec "$@"', "sh"))
    assert result.returncode == 0, result.stderr
    assert other.packages() == first
    shutil.rmtree(upstream.directory)
    check(build(project, text))
    assert project.packages() == first


def test_a_commit_of_a_branch(project: Project, upstream: Upstream) -> None:
    upstream.tag("v0.9")
    commit = upstream.commit(readme="two")
    upstream.commit(readme="three")
    check(build(project, recipe(LOOK, repository=upstream.url, branch="main", expected_commit=commit)))
    seen = content(project)
    assert seen["seen/describe"].strip() == f"v0.9-1-g{commit[:7]}"
    assert seen["seen/readme"] == "two"


def test_a_commit_that_is_not_the_expected_one_ends_the_build(project: Project, upstream: Upstream) -> None:
    upstream.tag("v1")
    result = build(project, recipe("true", repository=upstream.url, tag="v1", expected_commit="1" * 40))
    check(result, 41)
    told = rf"error: [\w/.-]+\.yaml:\d+:\d+: {upstream.url}: tag 'v1' is at commit \w+, the recipe expects 1+\n"
    assert re.search(rf"{told} +\d+ \| +expected-commit: \"?1+\"?\n.*\nhint: ", result.stderr)
    assert project.packages() == {}


def test_what_is_not_pinned_is_said_to_be(project: Project, upstream: Upstream) -> None:
    with serve(upstream) as url:
        result = build(project, recipe(f"mkdir -p {OUT}", repository=url, branch="main"))
    check(result)
    assert "is not verified, so the result is what main is there today" in result.stderr
    assert f"at commit {upstream.head()}, not verified" in log(project)


def test_what_is_not_pinned_is_looked_for_in_each_run(project: Project, upstream: Upstream) -> None:
    """That all was up to date says nothing of a branch, whatever else is the same; a server that is away neither."""
    copy = f"mkdir -p {OUT}/seen\ncp readme {OUT}/seen/readme"
    project.write("packages/plain.yaml", shell_recipe("plain", runs=f"mkdir -p {OUT}/plain"))

    def outcomes(*flags: str) -> list[str]:
        result = project.melpy("build", "--json", *flags, "packages/", force=False)
        check(result)
        return [job["outcome"] for job in sorted(json.loads(result.stdout), key=lambda job: job["job"])]

    with serve(upstream) as url:
        project.write("packages/one.yaml", recipe(copy, repository=url, branch="main"))
        assert outcomes() == ["built", "built"]
        assert outcomes() == ["up-to-date", "up-to-date"]
        upstream.commit(readme="two")
        assert outcomes() == ["built", "up-to-date"]
    assert content(project)["seen/readme"] == "two"
    project.write("packages/plain.yaml", shell_recipe("plain", runs=f"mkdir -p {OUT}/other"))
    assert outcomes() == ["up-to-date", "built"]
    result = project.melpy("build", "packages/", force=False)
    check(result)
    assert (
        f"git cannot fetch from it; main counts as it was seen last, at commit {upstream.head()[:12]}" in result.stderr
    )
    offline = project.melpy("build", "--offline", "packages/", force=False)
    check(offline)
    assert "counts as" not in offline.stderr
    forced = project.melpy("build", "--offline", "packages/one.yaml")
    check(forced, 40)
    assert "the recipe states no commit, so main is looked for anew, and melpy is offline\n" in forced.stderr
    assert "\nhint: build it without --offline, or give expected-commit\n" in forced.stderr
    # By the rule for recipes, a commit is part of what one is.
    with serve(upstream) as url:
        project.write("packages/one.yaml", recipe(copy, repository=url, branch="main"))
        assert outcomes("--stale", "recipe") == ["built", "up-to-date"]
        assert outcomes("--stale", "recipe") == ["up-to-date", "up-to-date"]
        upstream.commit(readme="three")
        assert outcomes("--stale", "recipe") == ["built", "up-to-date"]
    assert content(project)["seen/readme"] == "three"


def test_a_repository_that_does_not_answer_is_asked_once(project: Project, upstream: Upstream) -> None:
    upstream.git("branch", "other")
    upstream.git("update-server-info")
    with serve(upstream) as url:
        for name, branch in {"one": "main", "two": "other"}.items():
            text = recipe(f"mkdir -p {OUT}", name=name, repository=url, branch=branch)
            project.write(f"packages/{name}.yaml", text)
        check(project.melpy("build", "packages/", force=False))
    result = project.melpy("build", "packages/", force=False)
    check(result)
    assert result.stderr.count(f"fetching {url}\n") == 1
    for branch in ("main", "other"):
        assert f"git cannot fetch from it; {branch} counts as it was seen last, at commit" in result.stderr


@pytest.mark.parametrize("commit", ["", "1" * 40], ids=["tip", "source"])
def test_an_interrupt_does_not_wait_for_a_server(project: Project, commit: str) -> None:
    """And it leaves no git behind, which has a session of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts and says nothing
        url = f"http://127.0.0.1:{server.getsockname()[1]}/silent.git"
        pinned = {"expected_commit": commit} if commit else {}
        project.write("one.yaml", recipe("true", repository=url, branch="main", **pinned))
        with project.begin("build", "one.yaml", marker=url) as process:
            connection, _ = server.accept()  # git has begun
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        assert process.returncode == 130
        assert time.monotonic() - begun < 10
        while begun + 30 > time.monotonic() and _find_processes(url):
            time.sleep(0.1)
        connection.close()
        assert not _find_processes(url)


def _find_processes(word: str) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(place.read_text(errors="replace"))
    return [line for line in found if word in line]


def test_a_repository_of_this_machine_is_used_by_commit_only(project: Project, upstream: Upstream) -> None:
    check(build(project, recipe("true", repository=upstream.url, branch="main")), 40)


def test_the_destination_and_what_is_there_already(project: Project, upstream: Upstream) -> None:
    before = "mkdir -p src/deep/dir\necho mine > src/deep/dir/own\necho old > src/deep/readme"
    script = f"mkdir -p {OUT}\ncd src/deep\ncat dir/own dir/file readme > {OUT}/all"
    text = recipe(
        script, before, repository=upstream.url, branch="main", expected_commit=upstream.head(), destination="src/deep"
    )
    check(build(project, text))
    assert content(project)["all"] == "mine\ndeepone"


@pytest.mark.parametrize(
    ("planted", "destination", "working"),
    [
        ("ln -s {host} link", "link", ""),
        ("ln -s {host} link", "link/deep/er", ""),
        ("ln -s {host} link", ".", "link"),
        ("ln -s {host} dir", ".", ""),
        ("mkdir .git\nln -s {host} .git/objects", ".", ""),
        ("ln -s {host} .git", ".", ""),
        ("echo file > dir", ".", ""),
        ("mkdir -p readme/x", ".", ""),
    ],
)
def test_no_planted_symlink_is_followed(
    project: Project, upstream: Upstream, tmp_path: Path, planted: str, destination: str, working: str
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    text = recipe(
        "true",
        planted.format(host=host),
        working=working,
        repository=upstream.url,
        branch="main",
        expected_commit=upstream.head(),
        destination=destination,
    )
    check(build(project, text), 42)
    assert list(host.iterdir()) == []
    assert project.packages() == {}


def test_a_planted_symlink_in_the_place_of_a_file_is_replaced(
    project: Project, upstream: Upstream, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    host.write_text("host")
    before = f"ln -s {host} readme"
    text = recipe(f"mkdir -p {OUT}\ntest ! -L readme", before, repository=upstream.url, expected_commit=upstream.head())
    check(build(project, text))
    assert host.read_text() == "host"


@pytest.mark.parametrize(
    ("destination", "place"),
    [("..", "/home"), ("/etc", "/etc"), ("../../opt/new/place", "/opt/new/place"), ("/home/builder", "/home/builder")],
)
def test_a_destination_elsewhere_is_in_the_root_of_the_build(
    project: Project, upstream: Upstream, destination: str, place: str
) -> None:
    script = f"mkdir -p {OUT}\ncp {place}/readme {place}/dir/file {OUT}/\ntest ! -e .melpy-outside"
    inputs = {"repository": upstream.url, "branch": "main", "expected_commit": upstream.head()}
    check(build(project, recipe(script, destination=destination, **inputs)))
    assert content(project)["readme"] == "one"
    assert not Path(f"{place}/readme").exists()


def test_a_destination_elsewhere_is_not_reached_through_what_steps_left(project: Project, upstream: Upstream) -> None:
    inputs = {"repository": upstream.url, "branch": "main", "expected_commit": upstream.head(), "destination": "/opt/x"}
    check(build(project, recipe("true", f"ln -s {project.directory} .melpy-outside", **inputs)), 42)
    assert not (project.directory / "opt").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("repository", "--upload-pack=touch planted"),
        ("repository", "ext::sh -c touch% planted"),
        ("repository", "-oProxyCommand=touch"),
        ("repository", "ssh://-oProxyCommand=touch/x"),
        ("branch", "--upload-pack=touch"),
        ("tag", "-x"),
        ("tag", "a:refs/heads/b"),
        ("branch", "+x"),
        ("cherry_picks", "--upload-pack=x/1234567: bad"),
        ("sparse_paths", "--no-cone"),
    ],
)
def test_hostile_inputs(project: Project, upstream: Upstream, key: str, value: str) -> None:
    result = build(project, recipe("true", **{"repository": upstream.url, key: value}))
    assert result.returncode in {17, 40}, result.stderr
    assert not list(project.directory.rglob("planted"))
    assert project.packages() == {}


def test_the_sbom_and_the_inputs_name_the_commit(project: Project, upstream: Upstream) -> None:
    commit = upstream.head()
    text = recipe(f"mkdir -p {OUT}", repository=upstream.url, branch="main", expected_commit=commit)
    check(build(project, text))
    files = content(project)
    sbom: dict[str, Any] = json.loads(files["var/lib/db/sbom/one-1.0-r0.spdx.json"])
    source = next(item for item in sbom["packages"] if item["primaryPackagePurpose"] == "SOURCE")
    assert source["downloadLocation"] == f"git+{upstream.url}@{commit}"
    assert json.loads(files[".melpy.json"])["sources"] == [{"uri": f"git+{upstream.url}@{commit}", "gitCommit": commit}]


def test_the_plan_shows_it(project: Project, upstream: Upstream) -> None:
    project.write("one.yaml", recipe("true", repository=upstream.url, tag="v1", expected_commit="1" * 40))
    result = project.melpy("plan", "one.yaml", "--json")
    assert result.returncode == 0, result.stderr
    assert '"repository": "' + upstream.url in result.stdout
    shown = project.melpy("plan", "one.yaml")
    assert f"  sources      git+{upstream.url}@{'1' * 40}\n" in shown.stdout


def test_submodules_and_cherry_picks(project: Project, upstream: Upstream, tmp_path: Path) -> None:
    lib = Upstream(tmp_path / "upstream/lib")
    lib.commit(code="lib")
    upstream.git("submodule", "--quiet", "add", "../lib", "lib")
    commit = upstream.commit()
    fix = upstream.commit("fix", dir___file="fixed")
    inputs = {"branch": "main", "expected_commit": commit, "recurse_submodules": "true", "destination": "src"}
    inputs["cherry_picks"] = f"main/{fix}: a fix"
    script = (
        f"mkdir -p {OUT}\ncd src\ncat lib/code dir/file > {OUT}/all\ngit -C lib rev-parse HEAD > {OUT}/lib\ngit status"
    )
    check(build(project, recipe(script, repository=upstream.url, **inputs)))
    assert content(project)["all"] == "libfixed"
    assert content(project)["lib"].strip() == lib.head()
    assert "nothing to commit, working tree clean" in log(project)


def test_a_cherry_pick_that_does_not_apply(project: Project, upstream: Upstream) -> None:
    commit = upstream.head()
    upstream.commit(readme="two\n")
    fix = upstream.commit(readme="three\n")
    inputs = {"branch": "main", "expected_commit": commit, "cherry_picks": f"{fix}: bad"}
    result = build(project, recipe("true", repository=upstream.url, **inputs))
    check(result, 60)
    assert "cannot be cherry-picked" in result.stderr
    assert "CONFLICT" in result.stderr


def test_without_git_it_is_said_what_to_install(project: Project, upstream: Upstream, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bwrap", "sh"):
        (programs / name).symlink_to(os.path.realpath(shutil.which(name) or name))
    project.environment["PATH"] = str(programs)
    result = build(project, recipe("true", repository=upstream.url, branch="main"))
    check(result, 52)
    assert "error: git is not installed\nhint: install git" in result.stderr
