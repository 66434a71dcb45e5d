"""The pipelines of Maven, LLVM and xcover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import look

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factories.bench import Bench

CACHE = "/var/cache/melange/m2repository"


def test_maven_is_configured(bench: Bench) -> None:
    assert bench.use("maven/configure-mirror").status == 0
    for directory in (bench.changed / "root/.m2", bench.workspace / ".m2"):
        assert sorted(path.name for path in directory.iterdir()) == ["repository", "settings.xml"]
        assert str((directory / "repository").readlink()) == CACHE
        assert "<mirrorOf>central</mirrorOf>" in (directory / "settings.xml").read_text()
    assert (bench.changed / CACHE[1:]).is_dir()
    # Once more, with what is there now.
    before = look(bench.workspace)
    assert bench.use("maven/configure-mirror").status == 0
    assert look(bench.workspace) == before


def test_settings_of_ones_own_are_kept(bench: Bench) -> None:
    bench.add({".m2/settings.xml": "mine", ".m2/repository/kept": "kept"})
    assert bench.use("maven/configure-mirror").status == 0
    assert look(bench.workspace / ".m2") == {"settings.xml": "mine", "repository/kept": "kept"}
    assert "central" in (bench.changed / "root/.m2/settings.xml").read_text()


def test_maven_without_cache(bench: Bench) -> None:
    (bench.directory / "layer/var/cache/melange").rmdir()
    bench.tool("pombump")
    bench.add({"pom.xml": ""})
    assert bench.use("maven/configure-mirror").status == 0
    assert bench.use("maven/pombump").status == 0
    assert sorted(path.name for path in (bench.workspace / ".m2").iterdir()) == ["settings.xml"]
    assert not (bench.changed / CACHE[1:]).exists()


def test_pombump(bench: Bench) -> None:
    bench.tool("pombump", "echo new")
    bench.tool("mvn")
    bench.add({"pom.xml": "old\n"})
    result = bench.use("maven/pombump")
    assert (result.status, result.lines) == (0, [])
    assert bench.argvs == [("pombump", "pom.xml")]
    assert (bench.workspace / "pom.xml").read_text() == "new\n"
    assert str((bench.workspace / ".m2/repository").readlink()) == CACHE
    assert str((bench.changed / "root/.m2/repository").readlink()) == CACHE
    assert not (bench.workspace / ".m2/settings.xml").exists()


def test_all_inputs_of_pombump(bench: Bench) -> None:
    bench.tool("pombump", "echo new")
    bench.tool("mvn", "echo tree")
    bench.add({"a b/pom.xml": "old\n", "d.yaml": "", "p q.yaml": "", "pombump-deps.yaml": ""})
    inputs = {
        "patch-file": "d.yaml",
        "properties-file": "p q.yaml",
        "dependencies": "a@b@1 c@d@2",
        "properties": "x@1",
        "pom": "a b/pom.xml",
        "debug": "true",
        "show-dependency-tree": "true",
    }
    result = bench.use("maven/pombump", inputs)
    assert result.status == 0
    assert result.lines[0] == "tree"
    assert {"-old", "+new"} <= set(result.lines)
    assert bench.argvs == [
        ("mvn", "dependency:tree"),
        (
            *("pombump", "a b/pom.xml", "--patch-file", "d.yaml", "--properties-file", "p q.yaml"),
            *("--dependencies", "a@b@1 c@d@2", "--properties", "x@1"),
        ),
    ]
    assert look(bench.workspace / "a b") == {"pom.xml": "new\n"}


def test_files_of_pombump_that_are_there(bench: Bench) -> None:
    bench.tool("pombump")
    bench.add({"pom.xml": "", "pombump-deps.yaml": "", "pombump-properties.yaml": ""})
    assert bench.use("maven/pombump").status == 0
    files = ("--patch-file", "./pombump-deps.yaml", "--properties-file", "./pombump-properties.yaml")
    assert bench.argvs == [("pombump", "pom.xml", *files)]


def test_a_pombump_that_fails_leaves_the_project(bench: Bench) -> None:
    bench.tool("pombump", "echo half", "exit 5")
    bench.add({"pom.xml": "old\n"})
    assert bench.use("maven/pombump").status == 5
    assert (bench.workspace / "pom.xml").read_text() == "old\n"


HEAD = "Filename    Regions  Missed Regions  Cover  Functions  Missed Functions  Executed  Lines  Missed Lines  Cover"
TOTAL = "TOTAL       100      40             60.00%  20         5                 75.00%    300    30            90.00%"


@pytest.fixture
def llvm(bench: Bench) -> Bench:
    bench.tool("llvm-profdata")
    bench.tool("llvm-cov", f"echo '{HEAD}'", f"echo '{TOTAL}'")
    bench.add({"default_1.profraw": "", "default_2 3.profraw": "", "a b": ""})
    return bench


def report(program: str, ignored: str = "") -> list[tuple[str, ...]]:
    merge = ("llvm-profdata", "merge", "--sparse", "default_1.profraw", "default_2 3.profraw")
    options = ("--summary-only", "--instr-profile=default.profdata", f"--ignore-filename-regex={ignored}")
    return [
        (*merge, "--output", "default.profdata"),
        ("llvm-cov", "report", *options, "--object", program),
    ]


@pytest.mark.parametrize(("given", "found"), [("a b", "a b"), ("llvm-cov", "/opt/tools/llvm-cov")])
def test_coverage_of_a_program(llvm: Bench, given: str, found: str) -> None:
    result = llvm.use("llvm/covreport", {"object": given, "ignore-filename-regex": "^(a|b) c$"})
    assert (result.status, result.lines) == (0, ["Statements coverage: 75.00%"])
    assert llvm.argvs == report(found, "^(a|b) c$")


def test_coverage_of_the_packages_first_program(llvm: Bench) -> None:
    llvm.tool("apk", "echo 'hello-1 contains:'", "echo usr/share/doc", "echo usr/bin/one", "echo usr/bin/two")
    assert llvm.use("llvm/covreport").status == 0
    assert llvm.argvs == [("apk", "info", "-L", "hello"), *report("/usr/bin/one")]


@pytest.mark.parametrize("given", ["", "gone"])
def test_coverage_of_nothing(llvm: Bench, given: str) -> None:
    llvm.tool("apk", "exit 1")
    result = llvm.use("llvm/covreport", {"object": given})
    assert (result.status, result.lines) == (1, ["llvm/covreport: no program is found; name one with object"])


def test_a_report_that_fails(llvm: Bench) -> None:
    llvm.tool("llvm-cov", "exit 6")
    assert llvm.use("llvm/covreport", {"object": "a b"}).status == 6


def test_xcover(bench: Bench) -> None:
    bench.tool("xcover")
    assert bench.use("xcover/profile", {"executable-path": "/usr/bin/x"}).status == 0
    for name in ("wait", "status", "stop"):
        assert bench.use(f"xcover/{name}").status == 0
    assert bench.use("xcover/wait", {"wait-timeout": "5"}).status == 0
    assert bench.argvs == [
        (
            *(
                "xcover",
                "run",
                "--path",
                "/usr/bin/x",
                "--exclude=",
                "--include=",
                "--scope=project",
                "--log-level=info",
            ),
            *("--verbose=false", "--status", "--detach"),
        ),
        ("xcover", "wait", "--timeout", "60s"),
        ("xcover", "wait", "--timeout", "60s"),
        ("xcover", "status"),
        ("xcover", "stop"),
        ("xcover", "wait", "--timeout", "5s"),
    ]


def test_all_inputs_of_xcover(bench: Bench) -> None:
    bench.tool("xcover")
    inputs = {
        "executable-path": "/a b",
        "exclude-functions": r"^runtime\\.",
        "include-functions": "^(a|b)$",
        "scope": "binary",
        "log-level": "debug",
        "verbose": "true",
        "wait-timeout": "7",
    }
    assert bench.use("xcover/profile", inputs).status == 0
    assert bench.argvs == [
        (
            *("xcover", "run", "--path", "/a b", r"--exclude=^runtime\.", "--include=^(a|b)$", "--scope=binary"),
            *("--log-level=debug", "--verbose=true", "--status", "--detach"),
        ),
        ("xcover", "wait", "--timeout", "7s"),
    ]


@pytest.mark.parametrize("pipeline", ["profile", "wait", "status", "stop"])
def test_an_xcover_that_fails(bench: Bench, pipeline: str) -> None:
    bench.tool("xcover", "exit 8")
    assert bench.use(f"xcover/{pipeline}", {"executable-path": "/x"} if pipeline == "profile" else None).status == 8
    assert len(bench.calls) == 1


@pytest.mark.parametrize(
    ("coverage", "wanted", "status"),
    [("9.5", "", 0), ("9.5", "10", 1), ("10", "9.5", 0), ("100", "9", 0), ("17", "17.0", 0), ("0", "", 0)],
)
def test_xcover_ensures(bench: Bench, require: Callable[..., None], coverage: str, wanted: str, status: int) -> None:
    require("jq")
    bench.add({"xcover-report.json": f'{{"cov_by_func": {coverage}}}'})
    result = bench.use("xcover/ensure", {"min-coverage": wanted})
    complaint = [f"xcover/ensure: that is less than the {wanted} % that are wanted"] if status else []
    assert (result.status, result.lines) == (status, [f"Coverage is {coverage} %", *complaint])


@pytest.mark.parametrize("text", ["{}", "garbage", ""])
def test_xcover_without_coverage(bench: Bench, require: Callable[..., None], text: str) -> None:
    require("jq")
    bench.add({"xcover-report.json": text} if text else {})
    result = bench.use("xcover/ensure")
    assert (result.status, result.lines[-1]) == (
        1,
        "xcover/ensure: there is no cov_by_func in xcover-report.json",
    )
