"""The Go pipelines, with a Go that writes down how it was called."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import look

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factories.bench import Bench

OUT = "/home/build/melange-out/hello"
BUILDS = ["go/build", "go/build/v2"]
PLAIN = {"packages": ".", "output": "hello"}
LEVELS = ("GOAMD64", "GOARM64", "GOEXPERIMENT", "GOMODCACHE")


def build_argv(
    *rest: str, output: str = "usr/bin/hello", tags: str = "", ldflags: str = "-w ", mode: str = "default"
) -> tuple[str, ...]:
    options = ("-o", f"{OUT}/{output}", "-tags", f"netgo,osusergo{tags}", "-ldflags", ldflags, "-trimpath")
    return ("go", "build", *options, "-buildmode", mode, *rest)


@pytest.fixture
def go(bench: Bench, require: Callable[..., None]) -> Bench:
    require("git", "scanelf", "strip")
    bench.tool("go")
    bench.add({"go.mod": "module hello\n"})
    return bench


@pytest.mark.parametrize("pipeline", BUILDS)
def test_a_plain_build(go: Bench, pipeline: str) -> None:
    assert go.use(pipeline, PLAIN).status == 0
    (call,) = go.calls
    assert call.argv == build_argv(".")
    assert call.directory == "/home/build"
    assert [call.environment[name] for name in LEVELS] == ["v2", "v8.0", "", "/var/cache/melange/gomodcache"]


@pytest.mark.parametrize("pipeline", BUILDS)
def test_all_inputs_of_a_build(go: Bench, pipeline: str) -> None:
    go.add({"a b/go.mod": "module hello\n"})
    inputs = {
        "packages": "./cmd/one ./cmd/two\n",
        "output": "my hello",
        "tags": "one,two",
        "modroot": "a b",
        "prefix": "usr/local",
        "install-dir": "libexec/x",
        "ldflags": "-X main.a=$(echo 1 2)\n-X 'main.b=c d' -X main.c=\"$HOME\"",
        "strip": "-s",
        "experiments": "jsonv2",
        "extra-args": '-cover -gcflags="all=-N -l"',
        "amd64": "v3",
        "arm64": "v9.0",
        "buildmode": "pie",
    }
    assert go.use(pipeline, inputs).status == 0
    (call,) = go.calls
    assert call.argv == build_argv(
        *("-cover", "-gcflags=all=-N -l", "./cmd/one", "./cmd/two"),
        output="usr/local/libexec/x/my hello",
        tags=",one,two",
        ldflags="-s -X main.a=1 2\n-X 'main.b=c d' -X main.c=/home/build",
        mode="pie",
    )
    assert call.directory == "/home/build/a b"
    assert [call.environment[name] for name in LEVELS[:3]] == ["v3", "v9.0", "jsonv2"]


def test_the_second_version_has_defaults_and_strips(go: Bench, made: Path) -> None:
    (go.workspace / "program").write_bytes(made.read_bytes())
    go.tool("go", f"mkdir -p {OUT}/usr/bin", f"cp program {OUT}/usr/bin/hello")
    assert go.use("go/build/v2").status == 0
    assert go.argvs == [build_argv(".", output="usr/bin/")]
    assert b"debug_info" in made.read_bytes()
    assert b"debug_info" not in (go.out() / "usr/bin/hello").read_bytes()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Path:
    require("cc")
    directory = tmp_path_factory.mktemp("made")
    (directory / "a.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-g", "a.c", "-o", "a"], cwd=directory, check=True)
    return directory / "a"


@pytest.mark.parametrize("pipeline", BUILDS)
@pytest.mark.parametrize("ignore", ["true", "false"])
def test_files_that_git_does_not_track(go: Bench, pipeline: str, ignore: str) -> None:
    go.tool("go", "git -c safe.directory='*' status --porcelain > /home/build/seen")
    go.variables = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "alias.x", "GIT_CONFIG_VALUE_0": "status"}
    go.add({".config/git/ignore": "seen\nmelange-out\n"})
    subprocess.run(["git", "init", "-q"], cwd=go.workspace, check=True)
    subprocess.run(["git", "add", ".config"], cwd=go.workspace, check=True)
    before = look(go.workspace / ".config")
    assert go.use(pipeline, {**PLAIN, "ignore-untracked-files": ignore}).status == 0
    untracked = {"true": [], "false": ["?? go.mod"]}[ignore]
    assert (go.workspace / "seen").read_text().splitlines() == ["A  .config/git/ignore", *untracked]
    assert look(go.workspace / ".config") == before
    assert list((go.changed / "tmp").glob("*")) == []
    assert ("GIT_CONFIG_KEY_1" in go.calls[0].environment) == (ignore == "true")


@pytest.mark.parametrize("pipeline", BUILDS)
def test_a_build_without_a_module(go: Bench, pipeline: str) -> None:
    go.add({"sub/x": ""})
    result = go.use(pipeline, {**PLAIN, "modroot": "sub"})
    assert (result.status, result.lines, go.calls) == (1, [f"{pipeline}: there is no go.mod in sub"], [])


@pytest.mark.parametrize("pipeline", [*BUILDS, "go/install"])
def test_a_build_that_fails(go: Bench, pipeline: str) -> None:
    go.tool("go", "exit 7")
    assert go.use(pipeline, {"package": "x"} if pipeline == "go/install" else PLAIN).status == 7
    assert list((go.changed / "tmp").glob("*")) == []


@pytest.mark.parametrize("pipeline", [*BUILDS, "go/install"])
def test_a_command_that_fails_in_the_options_of_the_linker(go: Bench, pipeline: str) -> None:
    inputs = {"package": "x"} if pipeline == "go/install" else PLAIN
    assert go.use(pipeline, {**inputs, "ldflags": "-X main.v=$(git rev-parse nosuch)"}).status == 128
    assert go.calls == []


def test_options_of_the_linker_are_those_before_modules_are_updated(go: Bench) -> None:
    go.add({"go.mod.local": "module other\n"})
    assert go.use("go/build", {**PLAIN, "ldflags": "-X main.m=$(cut -d' ' -f2 go.mod)"}).status == 0
    assert "-w -X main.m=hello" in go.calls[0].argv


def test_modules_are_updated_first(go: Bench) -> None:
    go.add({"go.mod.local": "module local\n", "sub/go.mod": "module sub\n"})
    go.tool("go", 'if [ "$1" = build ]; then cat go.mod; ls; fi')
    inputs = {**PLAIN, "deps": "a@v1\nb@v2", "tidy": "true", "vendor": "true", "modroot": "sub"}
    result = go.use("go/build", inputs)
    assert (result.status, result.lines) == (0, ["module local", "go.mod"])
    assert [argv[1:] for argv in go.argvs[:-1]] == [
        ("mod", "tidy"),
        ("get", "a@v1"),
        ("get", "b@v2"),
        ("mod", "tidy"),
        ("mod", "vendor"),
    ]
    assert go.argvs[-1] == build_argv(".")


@pytest.mark.parametrize(
    ("inputs", "before"),
    [
        ({"vendor": "true"}, []),
        ({"tidy": "true"}, [("mod", "tidy")]),
        ({"deps": "a@v1"}, [("get", "a@v1"), ("mod", "tidy")]),
    ],
)
def test_what_is_not_asked_for_is_not_done(go: Bench, inputs: dict[str, str], before: list[tuple[str, ...]]) -> None:
    assert go.use("go/build", {**PLAIN, **inputs}).status == 0
    assert [argv[1:] for argv in go.argvs[:-1]] == before


def test_install(go: Bench) -> None:
    go.tool("go", 'echo one > "$GOBIN/one"', 'chmod 755 "$GOBIN/one"', 'echo two > "$GOBIN/a b"')
    go.add({"usr/local/bin/there": "there"}, "hello")
    inputs = {"package": "example.com/x/cmd/...", "version": "v1.2.3", "prefix": "usr/local", "tags": "t"}
    assert go.use("go/install", {**inputs, "ldflags": "-X main.v=1", "experiments": "e"}).status == 0
    (call,) = go.calls
    options = ("-tags", "netgo,osusergo,t", "-ldflags", "-w -X main.v=1", "-trimpath")
    assert call.argv == ("go", "install", *options, "example.com/x/cmd/...@v1.2.3")
    assert [call.environment[name] for name in LEVELS[:3]] == ["v2", "v8.0", "e"]
    assert look(go.out()) == {
        "usr/local/bin/one": "0755 one\n",
        "usr/local/bin/a b": "two\n",
        "usr/local/bin/there": "there",
    }
    assert list((go.changed / "tmp").glob("*")) == []


def test_install_of_the_module_at_hand_that_has_no_program(go: Bench) -> None:
    result = go.use("go/install", {"package": "./cmd/x"})
    assert (result.status, result.lines) == (1, ["go/install: ./cmd/x holds no program"])
    assert go.argvs[0][-2:] == ("-trimpath", "./cmd/x")


def test_bump(go: Bench) -> None:
    go.tool("gobump")
    go.add({"sub/go.mod": ""})
    assert go.use("go/bump", {"deps": "a@v1\n  b@v2\n"}).status == 0
    inputs = {"deps": "a@v1", "replaces": "c=d@v3\ne=f@v4", "modroot": "sub", "go-version": "1.25", "work": "true"}
    given = {"tidy": "false", "show-diff": "true", "tidy-compat": "1.24"}
    assert go.use("go/bump", {**inputs, **given}).status == 0
    assert go.argvs == [
        (
            *("gobump", "--packages", "a@v1 b@v2", "--replaces", "", "--tidy=true", "--show-diff=false"),
            *("--go-version=", "--compat=", "--work=false"),
        ),
        (
            *("gobump", "--packages", "a@v1", "--replaces", "c=d@v3 e=f@v4", "--tidy=false", "--show-diff=true"),
            *("--go-version=1.25", "--compat=1.24", "--work=true"),
        ),
    ]
    assert [call.directory for call in go.calls] == ["/home/build", "/home/build/sub"]


def test_coverage(go: Bench) -> None:
    go.tool("go", "echo 'main.go:3: main 100.0%'", "echo 'total    (statements)  66.7%'")
    result = go.use("go/covdata", {"cover-dir": "/home/build/my data"})
    assert (result.status, result.lines) == (0, ["Statements coverage: 66.7%"])
    assert go.argvs == [("go", "tool", "covdata", "func", "-i", "/home/build/my data")]


def test_no_coverage(go: Bench) -> None:
    result = go.use("go/covdata")
    assert (result.status, result.lines) == (1, ["go/covdata: there is no coverage in /home/build"])
    go.tool("go", "exit 2")
    assert go.use("go/covdata").status == 2
