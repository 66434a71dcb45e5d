"""Sources of recipes: rewritten, fetched, checked and listed by the command line; servers are real, on the loopback."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from melpy.errors import UnreachableError
from melpy.net import download
from tests.factories.ftp import running_ftp
from tests.factories.git import Upstream
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import Repository, add_busybox, add_program, make_repository
from tests.factories.server import Reply, running_server, serve_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OUT = "${{targets.destdir}}"
GIT_URL = "https://upstream.invalid/team/hello.git"


@pytest.fixture(scope="module")
def git_repository(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Repository:
    require("bwrap", "git", "ldd", "/bin/busybox")
    directory = tmp_path_factory.mktemp("with-git")
    repository = make_repository(directory)
    add_busybox(repository, directory)
    add_program(repository, directory, "git")
    repository.add("wget")
    return repository


@pytest.fixture
def project(tmp_path: Path, git_repository: Repository) -> Project:
    return Project(tmp_path / "project", git_repository)


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    """A clone of a repository whose own server nobody reaches."""
    found = Upstream(tmp_path / "clones/team/hello")
    found.commit(readme="from git")
    return found


def archive(size: int = 5) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        info = tarfile.TarInfo("hello-1/file")
        info.size = size
        tar.addfile(info, io.BytesIO(b"hello"[:size].ljust(size, b"\0")))
    return stream.getvalue()


def fetch_step(uri: str, content: bytes = b"", **inputs: str) -> str:
    digest = {"expected-sha256": hashlib.sha256(content).hexdigest()} if content else {"expected-none": "yes"}
    given = {"uri": uri, **digest, **{key.replace("_", "-"): value for key, value in inputs.items()}}
    return "  - uses: fetch\n    with:\n" + "".join(f"      {key}: {value!r}\n" for key, value in given.items())


def git_step(commit: str, url: str = GIT_URL) -> str:
    return (
        "  - uses: git-checkout\n    with:\n      destination: src\n"
        f"      repository: {url}\n      branch: main\n      expected-commit: {commit}\n"
    )


KEEP = f"  - runs: |\n      mkdir -p {OUT}\n      cp file src/readme {OUT}/\n"


def melpy(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    result = project.melpy(*arguments)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def test_a_build_whose_hosts_cannot_be_reached(project: Project, upstream: Upstream, tmp_path: Path) -> None:
    content = archive()
    files = tmp_path / "files"
    files.mkdir()
    (files / "hello-1.tar.gz").write_bytes(content)
    steps = fetch_step("https://files.invalid/gnu/hello-1.tar.gz", content) + git_step(upstream.head()) + KEEP
    project.write("one.yaml", shell_recipe(runs="true", tail=steps))
    plan = melpy(project, "plan", "one.yaml", "--json").stdout
    settings = (project.directory / "melpy.toml").read_text()
    rewrites = 'rewrites = ["https://files.invalid/gnu/=../files", "https://upstream.invalid/=../clones/"]\n'
    (project.directory / "melpy.toml").write_text(settings + rewrites)
    result = melpy(project, "build", "one.yaml")
    assert result.returncode == 0, result.stderr
    assert f"fetching {(files / 'hello-1.tar.gz').as_uri()}\n" in result.stderr
    # What is recorded is what the recipe says.
    assert melpy(project, "plan", "one.yaml", "--json").stdout == plan
    (package,) = project.packages().values()
    with tarfile.open(fileobj=io.BytesIO(package), ignore_zeros=True) as tar:
        packed = {item.name: tar.extractfile(item).read().decode(errors="replace") for item in tar if item.isreg()}  # type: ignore[union-attr]
    assert (packed["file"], packed["readme"]) == ("hello", "from git")
    assert {source["uri"] for source in json.loads(packed[".melpy.json"])["sources"]} == {
        "https://files.invalid/gnu/hello-1.tar.gz",
        f"git+{GIT_URL}@{upstream.head()}",
    }
    assert str(tmp_path / "files") not in "".join(packed.values())
    assert str(tmp_path / "clones") not in "".join(packed.values())
    # Once fetched, sources are kept by the recipe's URL.
    (project.directory / "melpy.toml").write_text(settings)
    assert melpy(project, "build", "--offline", "one.yaml").returncode == 0


def test_what_of_an_archive_is_not_unpacked_is_told(project: Project, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("./hello-1/file", "hello-1/file", "other/file", "package.xml"):
            tar.addfile(tarfile.TarInfo(name))
        pipe = tarfile.TarInfo("hello-1/pipe")
        pipe.type = tarfile.FIFOTYPE
        tar.addfile(pipe)
    (tmp_path / "x.tar").write_bytes(stream.getvalue())
    project.write(
        "one.yaml", shell_recipe(runs="true", tail=fetch_step("https://files.invalid/x.tar", stream.getvalue()))
    )
    result = melpy(project, "build", "one.yaml", "--quiet", "--rewrite", f"https://files.invalid/={tmp_path}")
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stderr.splitlines() if "x.tar" in line]
    assert told == [
        "[one-1.0-r0/x86_64] warning: x.tar: devices, pipes and sockets are left out: 'hello-1/pipe'",
        "[one-1.0-r0/x86_64] warning: x.tar: 'file' has two members, of which the last one is unpacked",
        "[one-1.0-r0/x86_64] warning: x.tar: strip-components 1 leaves no name of 'package.xml'",
    ]
    (log,) = (project.out / "logs").rglob("*.log")
    assert "==> warning: x.tar: strip-components 1 leaves no name of 'package.xml'\n" in log.read_text()


def test_sources_go_into_directories_that_an_archive_closed(project: Project, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, mode in (("top/closed", 0o555), ("top/closed/inner", 0o500)):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, mode
            tar.addfile(directory)
    (tmp_path / "closed.tar").write_bytes(stream.getvalue())
    (tmp_path / "x.tar.gz").write_bytes(archive())
    first = fetch_step("https://files.invalid/closed.tar", stream.getvalue())
    second = fetch_step("https://files.invalid/x.tar.gz", archive())
    below = second.replace("uses: fetch\n", "uses: fetch\n    working-directory: closed/inner\n")
    look = "  - runs: ls -ld closed closed/inner closed/inner/*\n"
    project.write("one.yaml", shell_recipe(runs="true", tail=first + below + look))
    result = melpy(project, "build", "one.yaml", "--verbose", "--rewrite", f"https://files.invalid/={tmp_path}")
    assert result.returncode == 0, result.stderr
    found = [line.split()[-9::8] for line in result.stderr.splitlines() if line.split()[-1].startswith("closed")]
    assert found == [
        ["dr-xr-xr-x", "closed"],
        ["dr-x------", "closed/inner"],
        ["-rw-r--r--", "closed/inner/file"],
        ["-rw-r--r--", "closed/inner/x.tar.gz"],
    ]


def test_places_are_tried_in_order_and_upstream_at_last(project: Project, tmp_path: Path) -> None:
    content = archive()
    (tmp_path / "one").mkdir()
    (tmp_path / "served").mkdir()
    (tmp_path / "served/x.tar.gz").write_bytes(content)
    with running_server(serve_directory(tmp_path / "served")) as server:
        project.write("one.yaml", shell_recipe(tail=fetch_step(f"{server.uri}/x.tar.gz", content)))
        flags = ["--rewrite", f"{server.uri}/={tmp_path}/one", "--rewrite", f"{server.uri}={server.uri}/other"]
        result = melpy(project, "source", "fetch", *flags)
        assert result.returncode == 0, result.stderr
        assert server.paths == ["/other/x.tar.gz", "/x.tar.gz"]
        assert "1 source of 1 recipe: 1 in the cache\n" in result.stderr
        server.answer = lambda _: Reply(404)
        other = melpy(project, "source", "fetch", "--cache-dir", "other", *flags)
    assert other.returncode == 40
    assert f"error: {server.uri}/x.tar.gz: the server answers 404\n" in other.stderr
    assert f"file://{tmp_path}/one/x.tar.gz: no such file or directory\n" in other.stderr
    assert f"{server.uri}/other/x.tar.gz: the server answers 404\nwanted by one.yaml\nhint: " in other.stderr


@pytest.fixture
def recipes(project: Project, upstream: Upstream, tmp_path: Path) -> Path:
    """A directory: a file, the same file and a repository, a file that nobody has, a recipe with a mistake."""
    content = archive()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/x.tar.gz").write_bytes(content)
    step = fetch_step("https://files.invalid/x.tar.gz", content)
    project.write("melpy.toml", (project.directory / "melpy.toml").read_text().replace("arch =", "# arch ="))
    project.environment["MELPY_ARCH"] = "x86_64 aarch64"
    project.environment["MELPY_REWRITES"] = (
        f"https://files.invalid/={tmp_path}/files https://upstream.invalid/={tmp_path}/clones"
    )
    project.write("many/a.yaml", shell_recipe("a", tail=step))
    only = git_step(upstream.head()).replace("  - uses", "  - if: ${{build.arch}} == 'aarch64'\n    uses")
    project.write("many/b.yaml", shell_recipe("b", tail=step + only))
    project.write("many/c.yaml", shell_recipe("c", tail=fetch_step("https://files.invalid/none", b"x")))
    project.write("many/d.yaml", shell_recipe("d", runs="${{nothing}}"))
    project.write("many/e.yaml", shell_recipe("e", tail=fetch_step("https://files.invalid/x.tar.gz?today")))
    return project.directory / "many"


def listed(project: Project) -> dict[str, Any]:
    data = json.loads(melpy(project, "source", "list", "many", "--json").stdout)
    assert [fault["code"] for fault in data["faults"]] == ["undefined-variable"]
    return {source["uri"]: source for source in data["sources"]}


@pytest.mark.usefixtures("recipes")
def test_a_directory_of_recipes(project: Project, upstream: Upstream, tmp_path: Path) -> None:
    before = listed(project)
    assert not any(source["cached"] for source in before.values())
    assert not (project.directory / "cache").exists()
    result = melpy(project, "source", "fetch", "many", "--jobs", "3", "--offline")
    assert result.returncode == 40, result.stderr
    assert "error: https://files.invalid/none: is not in the cache, and melpy is offline\n" in result.stderr
    assert "wanted by many/c.yaml\n" in result.stderr
    assert "error: many/d.yaml:" in result.stderr
    assert f"file://{tmp_path}/files/x.tar.gz: a file of this machine is fetched by digest only\n" in result.stderr
    assert "4 sources of 5 recipes: 2 in the cache, 2 not\n" in result.stderr
    after = listed(project)
    file, git = after["https://files.invalid/x.tar.gz"], after[GIT_URL]
    assert file["recipes"] == {"many/a.yaml": ["x86_64", "aarch64"], "many/b.yaml": ["x86_64", "aarch64"]}
    assert (file["cached"], file["size"]) == (True, len(archive()))
    assert (git["recipes"], git["commit"], git["cached"]) == ({"many/b.yaml": ["aarch64"]}, upstream.head(), True)
    table = melpy(project, "source", "list", "many")
    assert table.returncode == 15
    rows = [line.split() for line in table.stdout.splitlines()]
    assert ["c.yaml", "file", "https://files.invalid/none", rows[4][3], "all", "no"] in rows
    assert ["e.yaml", "file", "https://files.invalid/x.tar.gz?today", "none", "all", "never"] in rows
    assert [
        "b.yaml",
        "git",
        GIT_URL,
        upstream.head()[:12],
        "(main)",
        "aarch64",
        git["size"] and rows[3][-2],
        "B",
    ] in rows


@pytest.mark.usefixtures("recipes")
def test_what_is_kept_is_checked(project: Project, tmp_path: Path) -> None:
    (project.directory / "many/c.yaml").unlink()
    (project.directory / "many/d.yaml").unlink()
    missing = melpy(project, "source", "verify", "many")
    assert missing.returncode == 40
    assert missing.stderr.count("is not in the cache\n") == 2
    fetched = melpy(project, "source", "fetch", "many", "-q", "--offline")
    assert (fetched.returncode, fetched.stderr.count("error: ")) == (40, 1), fetched.stderr
    assert "wanted by many/e.yaml\n" in fetched.stderr
    good = melpy(project, "source", "verify", "many")
    assert good.returncode == 0, good.stderr
    assert "3 sources of 3 recipes: 2 as they should be, 1 with nothing to check against\n" in good.stderr
    (kept,) = (project.directory / "cache/sources").glob("sha256:*")
    kept.write_bytes(b"damaged")
    bad = melpy(project, "source", "verify", "many", "--json")
    assert bad.returncode == 41
    errors = {source["uri"]: source["error"] for source in json.loads(bad.stdout)["sources"]}
    assert errors[GIT_URL] is None
    assert errors["https://files.invalid/x.tar.gz"]["code"] == "digest-mismatch"
    (project.directory / "many/e.yaml").unlink()
    assert melpy(project, "source", "fetch", "many").returncode == 0
    assert melpy(project, "source", "verify", "many").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["fetch", "none.yaml"], 10, "error: none.yaml: no such recipe\n"),
        (["fetch", "--rewrite", "x"], 20, "error: --rewrite: does not begin with the beginning of a URL: 'x'\n"),
        (["fetch", "--cache-dir", "one.yaml/cache"], 22, "cannot write: not a directory\n"),
        (["fetch", "--jobs", "0"], 2, "Invalid value for '-j'"),
        (["fech"], 2, "did you mean 'fetch'?"),
        ([], 2, "Usage: melpy source"),
    ],
)
def test_wrong_input(project: Project, arguments: list[str], status: int, message: str) -> None:
    project.write("one.yaml", shell_recipe())
    result = melpy(project, "source", *arguments)
    assert (result.returncode, message in result.stderr) == (status, True), result.stderr


def test_timeout_and_retry_limit(project: Project) -> None:
    content = archive()
    step = fetch_step("{}/x.tar.gz", content, timeout="0.2", retry_limit="2")

    def slow(_: object) -> Reply:
        time.sleep(1)
        return Reply(200, {}, content)

    with running_server(slow) as server:
        project.write("one.yaml", shell_recipe(tail=step.format(server.uri)))
        result = melpy(project, "source", "fetch", "one.yaml")
        assert result.returncode == 40
        assert "it does not answer in time" in result.stderr
        assert server.paths == ["/x.tar.gz", "/x.tar.gz"]
        project.write("one.yaml", shell_recipe(tail=step.format(server.uri).replace("'0.2'", "'20'")))
        assert melpy(project, "source", "fetch", "one.yaml").returncode == 0


@pytest.mark.parametrize(("key", "value"), [("timeout", "soon"), ("retry-limit", "-1"), ("strip-components", "x")])
def test_inputs_that_are_no_numbers(project: Project, key: str, value: str) -> None:
    project.write("one.yaml", shell_recipe(tail=fetch_step("https://files.invalid/x", b"x", **{key: value})))
    result = melpy(project, "check", "one.yaml")
    assert result.returncode == 17
    assert f"{key} must be a number, found {value!r}" in result.stdout


def test_ftp(project: Project) -> None:
    content = archive(300_000)
    with running_ftp({"/pub/x y.tar.gz": content}) as uri:
        project.write("one.yaml", shell_recipe(tail=fetch_step(f"{uri}/pub/x%20y.tar.gz", content)))
        result = melpy(project, "source", "fetch", "one.yaml")
        assert result.returncode == 0, result.stderr
        with pytest.raises(UnreachableError, match="the server answers 550 no such file"):
            download(f"{uri}/none", io.BytesIO())
        with pytest.raises(UnreachableError, match="is larger than the 10 bytes"):
            download(f"{uri}/pub/x%20y.tar.gz", io.BytesIO(), limit=10)
        with pytest.raises(UnreachableError, match="newline"):
            download(f"{uri}/a%0D%0ADELE%20b", io.BytesIO(), retries=0)
    with pytest.raises(UnreachableError, match="the connection is refused"):
        download(f"{uri}/none", io.BytesIO(), retries=0)


def test_an_archive_that_becomes_too_much(project: Project) -> None:
    content = archive(3_000_000)
    project.write("x.tar.gz", "")
    (project.directory / "x.tar.gz").write_bytes(content)
    uri = (project.directory / "x.tar.gz").as_uri()
    project.write("one.yaml", shell_recipe(tail=fetch_step(uri, content) + f"  - runs: mkdir -p {OUT}\n"))
    result = melpy(project, "build", "one.yaml", "--unpack-limit", "2MB")
    assert result.returncode == 42
    assert "becomes more than the 2000000 bytes that it may become" in result.stderr
    assert "hint: if it is to be trusted, allow more with unpack-limit in melpy.toml or --unpack-limit" in result.stderr
    assert melpy(project, "build", "one.yaml").returncode == 0
