"""Typical mistakes of recipe authors: each message names the file, the line where there is one, and what to do."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from melpy.build.frame import SCRIPT, find_ended, find_step_line, step_script
from melpy.plan.model import PlanStep
from tests.factories.project import Project, file_recipe, shell_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRONG = hashlib.sha256(b"what upstream had").hexdigest()
MISSING = "environment for x86_64: no repository has"


def uses(text: str) -> str:
    """Return a recipe with other steps; they begin on line 14."""
    return shell_recipe().partition("  - runs:")[0] + text


def needs(*names: str, name: str = "one") -> str:
    """Return a recipe whose environment has further packages, from line 12 on."""
    return shell_recipe(name).replace("- busybox", "\n      - ".join(["- busybox", *names]))


CASES: dict[str, tuple[str, int, list[str]]] = {
    "a field": (
        shell_recipe().replace("environment:", "enviroment:"),
        13,
        ["packages/one.yaml:8:1: unknown key 'enviroment'", "hint: did you mean 'environment'?"],
    ),
    "a pipeline": (
        uses("  - uses: autoconf/mkae\n"),
        17,
        ["packages/one.yaml:13:11: no pipeline is called 'autoconf/mkae'", "hint: did you mean 'autoconf/make'?"],
    ),
    "a variable": (
        shell_recipe(runs="echo ${{package.versoin}}"),
        15,
        ["packages/one.yaml:14:12: undefined variable", "hint: did you mean 'package.version'?"],
    ),
    "an input": (
        uses("  - uses: fetch\n    with:\n      url: file:///x\n"),
        17,
        ["packages/one.yaml:15:7: pipeline 'fetch' has no input 'url'", "hint: did you mean 'uri'?"],
    ),
    "a tab": (
        uses("  - runs: |\n\tmake\n"),
        12,
        ["packages/one.yaml:14:1: not valid YAML", "hint: indent with blanks; YAML takes no tabs there"],
    ),
    "a version": (
        shell_recipe().replace("1.0", "v1.0-beta"),
        14,
        ["packages/one.yaml:3:12: 'v1.0-beta' is not an APK version", "hint: a version looks like 1.2.3"],
    ),
    "an epoch": (shell_recipe().replace("epoch: 0", "epoch: x"), 14, ["packages/one.yaml:4:10: package.epoch"]),
    "a licence": (
        shell_recipe().replace("MIT", "GPL v2"),
        11,
        ["packages/one.yaml:7:20: expected AND, OR or WITH, found 'v2'", "SPDX expression"],
    ),
    "an unreachable source": (
        uses(f"  - uses: fetch\n    with:\n      uri: http://127.0.0.1:9/x.tar.gz\n      expected-sha256: {WRONG}\n"),
        40,
        ["packages/one.yaml:15:7: http://127.0.0.1:9/x.tar.gz: the connection is refused", "hint: check the URI"],
    ),
    "a package with a near name": (
        needs("bussybox"),
        31,
        [f"packages/one.yaml:12:9: {MISSING} 'bussybox'", "hint: bussybox: did you mean 'busybox'?"],
    ),
    "a package with no near name": (
        needs("libfobar-dev"),
        31,
        [f"packages/one.yaml:12:9: {MISSING} 'libfobar-dev'", "nothing has a similar name; correct it, or add"],
    ),
    "two packages": (
        needs("bussybox", "libfobar-dev"),
        31,
        ["packages/one.yaml:12:9: ", "  at packages/one.yaml:13:9:"],
    ),
    "a failing command": (
        shell_recipe(runs="echo before\nif true; then\n  ls /nowhere\nfi\necho after"),
        60,
        ["packages/one.yaml:16:9: one-1.0-r0/x86_64: step 1 of 1", "16 |         ls /nowhere", "--debug shows each"],
    ),
    "a command over several lines": (
        shell_recipe(runs="echo before\nls /nowhere \\\n  /neither \\\n  /nor"),
        60,
        ["packages/one.yaml:15:7: ", "ls /nowhere"],
    ),
    "a command that is not there": (
        shell_recipe(runs="true\nfrobnicate --all"),
        60,
        [
            "packages/one.yaml:15:7: ",
            "ended with status 127 (a command was not found)",
            "hint: add the package that has frobnicate to environment.contents.packages; or look around",
        ],
    ),
    "a signal": (
        shell_recipe(runs="true\nsh -c 'kill -9 $$'"),
        60,
        ["packages/one.yaml:15:7: ", "ended with status 137, as after SIGKILL (killed)"],
    ),
    "an exit": (shell_recipe(runs="true\nexit 3"), 60, ["packages/one.yaml:15:7: ", "ended with status 3"]),
    "a step of one line": (
        uses("  - name: only\n    runs: 'false'\n"),
        60,
        ["packages/one.yaml:14:11: one-1.0-r0/x86_64: step 1 of 1, 'only', ended with status 1"],
    ),
    "a step of a subpackage": (
        shell_recipe(tail="subpackages:\n  - name: one-doc\n    pipeline:\n      - runs: |\n          mv x y\n"),
        60,
        ["packages/one.yaml:21:11: ", "'one-doc: runs'"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told_with_its_line(project: Project, case: str) -> None:
    recipe, status, words = CASES[case]
    project.write("packages/one.yaml", "")
    (project.directory / "packages/one.yaml").write_text(recipe)
    result = project.melpy("build", "-q", "--only", "packages/one.yaml")
    assert result.returncode == status, result.stderr
    for word in words:
        assert word in result.stderr


def test_a_wrong_digest_is_told_with_its_line(project: Project) -> None:
    upstream = project.write("upstream/file.txt", "something else")
    fetch = f"  - uses: fetch\n    with:\n      uri: file://{upstream}\n      expected-sha256: {WRONG}\n"
    project.write("one.yaml", uses(fetch))
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 41
    assert f"error: one.yaml:16:7: file://{upstream}: has sha256 " in result.stderr


def test_a_pipeline_is_told_with_the_line_that_uses_it_and_its_own(project: Project) -> None:
    project.write(
        "packages/pipelines/my/thing.yaml", "name: thing\npipeline:\n  - runs: |\n      true\n      ls /nowhere\n"
    )
    project.write(
        "packages/pipelines/my/need.yaml", "needs:\n  packages:\n    - busybox\n    - no-such-tool\nruns: 'true'\n"
    )
    project.write("packages/one.yaml", uses("  - uses: my/thing\n"))
    project.write("packages/two.yaml", uses("  - uses: my/need\n").replace("name: one", "name: two"))
    result = project.melpy("build", "packages/one.yaml")
    assert "error: packages/one.yaml:13:5: one-1.0-r0/x86_64: step 1 of 1, 'my/thing'" in result.stderr
    assert "  at packages/pipelines/my/thing.yaml:5:7:\n    5 |       ls /nowhere\n" in result.stderr
    result = project.melpy("build", "packages/two.yaml")
    assert f"error: packages/two.yaml:13:5: {MISSING} 'no-such-tool'" in result.stderr
    assert "  at packages/pipelines/my/need.yaml:4:7:" in result.stderr


def test_a_package_of_the_settings_is_no_line_of_the_recipe(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    result = project.melpy("build", "one.yaml", "--package-append", "no-such-tool")
    assert f"error: one.yaml: {MISSING} 'no-such-tool'" in result.stderr


GREET = """\
subpackages:
  - name: ${{package.name}}-dev
    dependencies:
      provides: ['so:libgreet.so.1=1', 'pc:greet=1']
"""


@pytest.mark.parametrize("name", ["libgreet", "libgreet-dev", "so:libgreet.so.1", "pc:greet", "libgreet>=2"])
def test_what_a_recipe_beside_it_makes_is_told(project: Project, name: str) -> None:
    project.write("packages/libgreet.yaml", shell_recipe("libgreet", tail=GREET))
    project.write("packages/broken.yaml", "libgreet: [")
    project.write("packages/one.yaml", needs(f"'{name}'"))
    result = project.melpy("build", "-q", "--only", "packages/one.yaml")
    assert result.returncode == 31
    assert "hint: packages/libgreet.yaml makes it: build it too, in the same run or before\n" in result.stderr
    assert project.melpy("build", "-q", "packages/libgreet.yaml").returncode == 0


def test_the_faults_of_all_recipes_are_told_at_once(project: Project) -> None:
    project.write("packages/a.yaml", shell_recipe("a", runs="echo ${{package.versoin}}"))
    project.write("packages/b.yaml", shell_recipe("b", head="  dependancies: {}\n"))
    project.write("packages/c.yaml", shell_recipe("c"))
    project.write("packages/d.yaml", shell_recipe("d", tail="subpackages:\n  - name: c\n"))
    project.write("packages/e.yaml", "package: {")
    result = project.melpy("build", "packages")
    assert result.returncode == 11
    for place in ("a.yaml:14:12", "b.yaml:8:3", "d.yaml:18:11: package 'c' is made by two recipes", "e.yaml:2:1"):
        assert f"error: packages/{place}" in result.stderr
    assert "hint: the other is packages/c.yaml:2:9; " in result.stderr
    assert "4 errors" in result.stderr


def test_a_need_with_faults_is_told(project: Project) -> None:
    """The build goes on with the package that was built before, each time with a warning."""
    project.write("packages/base.yaml", file_recipe("base"))
    project.write("packages/user.yaml", file_recipe("user", "base"))
    assert project.melpy("build", "packages/", force=False).returncode == 0
    project.write("packages/base.yaml", "package: [\n")
    for _ in range(2):
        result = project.melpy("build", "packages/user.yaml", force=False)
        assert result.returncode == 0, result.stderr
        assert (
            "warning: packages/base.yaml: has faults, so it does not come along, and user takes what is there\n"
            "hint: melpy check packages/base.yaml shows them\n"
        ) in result.stderr


def test_a_circle_is_found_by_check_and_by_build(project: Project) -> None:
    project.write("packages/a.yaml", needs("b", name="a"))
    project.write("packages/b.yaml", shell_recipe("b", head="  dependencies:\n    runtime:\n      - a\n"))
    project.write("packages/c.yaml", needs("a", name="c"))
    lines = "these recipes need one another: a -> b -> a\n  a needs b: environment b, packages/a.yaml:12:9\n"
    lines += "  b needs a: runtime of b a, packages/b.yaml:10:9\n"
    result = project.melpy("check", "packages")
    assert f"warning: packages/a.yaml:12:9: {lines}" in result.stdout
    assert result.returncode == 0
    result = project.melpy("build", "packages")
    assert f"error: packages/a.yaml:12:9: {lines}" in result.stderr
    assert result.returncode == 30


def _link_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "empty": lambda package, _: package.write_bytes(b""),
    "garbage": lambda package, _: package.write_bytes(b"garbage"),
    "cut in its head": lambda package, _: os.truncate(package, 100),
    "cut in its data": lambda package, _: os.truncate(package, package.stat().st_size - 40),
    "another package": lambda package, other: package.write_bytes(other.read_bytes()),
    "a dangling link": lambda package, _: _link_nowhere(package),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_package_hinders_no_build(project: Project, damage: str) -> None:
    project.write("one.yaml", shell_recipe("one"))
    project.write("two.yaml", shell_recipe("two"))
    project.write("three.yaml", needs("one", name="three"))
    assert project.melpy("build", "one.yaml", "two.yaml").returncode == 0
    package = project.out / "x86_64/one-1.0-r0.apk"
    whole = package.read_bytes()
    DAMAGES[damage](package, project.out / "x86_64/two-1.0-r0.apk")
    result = project.melpy("build", "two.yaml")
    assert result.returncode == 0, result.stderr
    assert f"warning: {package}: " in result.stderr
    assert "; it is left out of the index (" in result.stderr
    result = project.melpy("build", "--only", "three.yaml")
    assert result.returncode == 31
    assert "hint: one.yaml makes it: build it too" in result.stderr
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 0, result.stderr
    assert package.read_bytes() == whole
    assert project.melpy("build", "three.yaml").returncode == 0
    assert project.melpy("verify").returncode == 0


def test_a_directory_in_the_place_of_a_package(project: Project) -> None:
    project.write("one.yaml", shell_recipe("one", tail="subpackages:\n  - name: a-sub\n  - name: z-sub\n"))
    project.write("two.yaml", shell_recipe("two"))
    place = project.out / "x86_64/one-1.0-r0.apk"
    place.mkdir(parents=True)
    (place / "own").touch()
    result = project.melpy("build", "two.yaml")
    assert f"warning: {place}: cannot be read: is a directory; it is left out of the index (move the directory" in (
        result.stderr
    )
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 22
    assert f"error: {place}: a directory is in the package's place: directory not empty\n" in result.stderr
    assert result.stderr.endswith("hint: move it away, and build again\n")
    assert (place / "own").exists()
    (place / "own").unlink()
    assert sorted(path.name for path in place.parent.glob("*.apk")) == ["one-1.0-r0.apk", "two-1.0-r0.apk"]
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 0, result.stderr
    assert place.is_file()
    assert project.melpy("verify").returncode == 0
    index = project.out / "x86_64/APKINDEX.tar.gz"
    index.unlink()
    index.mkdir()
    result = project.melpy("build", "two.yaml")
    assert f"error: {index}: cannot be read: is a directory\nhint: move the directory away\n" in result.stderr


def test_a_damaged_package_that_a_build_needs_is_told(project: Project) -> None:
    project.write("one.yaml", shell_recipe("one"))
    project.write("two.yaml", needs("one", name="two"))
    assert project.melpy("build", "one.yaml").returncode == 0
    (project.out / "x86_64/one-1.0-r0.apk").write_bytes(b"")
    result = project.melpy("build", "--only", "two.yaml")
    assert result.returncode == 34
    assert "hint: build one again, which replaces it\n" in result.stderr
    result = project.melpy("index")
    assert result.returncode == 34
    assert "hint: build it again, or move the file away; until then the index stays as it was\n" in result.stderr


def test_a_damaged_index_is_written_anew(project: Project) -> None:
    project.write("one.yaml", shell_recipe("one"))
    assert project.melpy("build", "one.yaml").returncode == 0
    (project.out / "x86_64/APKINDEX.tar.gz").write_bytes(b"garbage")
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 34
    command = result.stderr.rpartition("hint: write it anew from the packages that are there: melpy ")[2].split()
    assert command[0] == "index"
    assert project.melpy(*command).returncode == 0
    assert project.melpy("build", "one.yaml").returncode == 0


def test_a_full_disk_is_named_once(project: Project, require: Callable[..., None]) -> None:
    require("unshare")
    fill = "mkdir -p ${{targets.destdir}}/usr\nhead -c 900000 /dev/urandom > ${{targets.destdir}}/usr/x"
    project.write("one.yaml", shell_recipe(runs=fill))
    (project.directory / "out").mkdir()
    small = 'mount -t tmpfs -o size=200k none out && exec "$@"'
    result = project.melpy("build", "-q", "one.yaml", prefix=("unshare", "-rm", "sh", "-c", small, "sh"))
    assert result.returncode == 22, result.stderr
    assert result.stderr.count(str(project.out)) == 1
    assert f"error: {project.out}/x86_64: cannot write: no space left on device\n" in result.stderr
    hint = "hint: free space there; of the cache's disk, melpy clean and melpy store prune free what builds left\n"
    assert result.stderr.endswith(hint)


def test_a_missing_date_is_explained_once(project: Project) -> None:
    project.write("packages/one.yaml", shell_recipe("one"))
    project.write("packages/two.yaml", shell_recipe("two"))
    result = project.melpy("build", "packages")
    assert result.stderr.count("so files of its packages are dated 1970-01-01") == 1
    assert "git init, git add, git commit; or set SOURCE_DATE_EPOCH in the environment" in result.stderr
    project.environment["SOURCE_DATE_EPOCH"] = "1700000000"
    assert "1970-01-01" not in project.melpy("build", "packages").stderr


def test_what_is_kept_is_told_and_goes_when_it_is_mended(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs="false"))
    assert project.melpy("build", "one.yaml").returncode == 60
    work = project.directory / "cache/work"
    assert len(list(work.iterdir())) == 1
    project.write("one.yaml", shell_recipe())
    assert project.melpy("build", "one.yaml").returncode == 0
    assert list(work.iterdir()) == []
    result = project.melpy("build", "one.yaml", "--keep")
    (kept,) = work.iterdir()
    assert f"kept: {kept}/workspace; melpy shell one --arch x86_64 enters it" in result.stderr
    assert project.melpy("build", "one.yaml").returncode == 0
    assert kept.is_dir(), "what --keep keeps was asked for"


def test_a_subpackage_that_gets_nothing_is_warned_of(project: Project) -> None:
    tail = "subpackages:\n  - name: one-doc\n    pipeline:\n      - runs: mkdir -p ${{targets.contextdir}}/usr\n"
    project.write("one.yaml", shell_recipe(tail=f"{tail}  - name: one-meta\n"))
    result = project.melpy("build", "one.yaml")
    assert "warning: one-doc: its steps put no file into it" in result.stderr
    assert "one-meta: its steps" not in result.stderr


def test_verify_trusts_the_key_of_the_settings(project: Project, tmp_path: Path) -> None:
    from melpy.apk.signature import write_key_pair

    own, other = write_key_pair(project.directory / "own.rsa", 2048), write_key_pair(tmp_path / "other.rsa", 2048)
    settings = (project.directory / "melpy.toml").read_text()
    signing = f'signing-key = "{project.repository.public_key.with_suffix("")}"'
    project.write("melpy.toml", settings.replace(signing, 'signing-key = "own.rsa"'))
    project.write("one.yaml", shell_recipe())
    assert project.melpy("build", "one.yaml").returncode == 0
    assert project.melpy("verify").returncode == 0
    assert project.melpy("verify", "-k", str(own)).returncode == 0
    result = project.melpy("verify", "-k", str(other))
    assert result.returncode == 33
    assert "own.rsa.pub" in result.stderr


# What runs a step's script, each with the line of the script that a failure is at, or None where it cannot tell.
SHELLS = {"busybox": ["busybox", "sh"], "bash": ["bash"], "bash-posix": ["bash", "--posix"]}
SCRIPTS: dict[str, tuple[str, int]] = {
    "a command": ("true\nfalse\ntrue", 2),
    "in a condition": ("if true; then\n  false\nfi", 2),
    "in a loop": ("for i in 1 2; do\n  false\ndone", 2),
    "in a function, its call": ("f() {\n  false\n}\ntrue\nf", 5),
    "in a subshell": ("true\n(exit 4)", 2),
    "in a substitution": ("true\nx=$(exit 5)", 2),
    "in a pipe": ("true\nfalse | cat", 2),
    "after one that may fail": ("set +e\nfalse\nset -e\nfalse || true\n(exit 3)", 5),
    "after a text of lines": ("cat <<X\na\nb\nX\nfalse", 5),
    "an exit": ("true\nexit 3", 2),
    "an exit in a condition": ("if true; then\n  exit 4\nfi", 2),
    "an exit after a failure that counts not": ("false || true\nset +e\nfalse\nexit  3", 4),
    "an exit after a command": ("true\ntest -f none ||\n  { echo none >&2; exit 1; }\ntrue", 3),
    "an exit in a function, its call": ("f() {\n  exit 5\n}\nf", 4),
    "a variable that is unset": ("true\nset -u; echo $none", 2),
    "a variable that is asked for": ("true\necho ${none:?asked for}", 2),
    "a file to be read that is not there": ("true\n. /none", 2),
    "a program to become that is not there": ("true\nexec /none", 2),
    "a variable that cannot be changed": ("readonly a=1\na=2", 2),
    "what is no shell": ("true\nfalse || true\nif ; then", 3),
}


def run_frame(
    shell: list[str], script: str, tmp_path: Path, *, framed: bool = True
) -> subprocess.CompletedProcess[str]:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    step = PlanStep("step", script, workdir=str(tmp_path))
    text = step_script(step) if framed else f"set -eo pipefail\ncd {tmp_path}\n{script}\nexit 0\n"
    file = tmp_path / "step.sh"
    file.write_text(text)
    return subprocess.run([*shell, str(file)], capture_output=True, text=True, check=False, cwd=tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("case", SCRIPTS)
def test_shells_tell_the_line_of_a_failure(shell: str, case: str, tmp_path: Path) -> None:
    script, line = SCRIPTS[case]
    result = run_frame(SHELLS[shell], script, tmp_path)
    lines = result.stderr.replace(str(tmp_path / "step.sh"), str(SCRIPT)).splitlines()
    ended = [found for text in lines if (found := find_ended(text)) is not None]
    assert result.returncode != 0
    assert len(ended) < 2
    step = PlanStep("step", script, workdir=str(tmp_path))
    told = find_step_line(step, "".join(ended), [text for text in lines if find_ended(text) is None])
    if shell == "busybox" and case == "in a pipe":
        assert told in {line, line - 1}  # busybox counts a pipe from the command before
    else:
        assert told == line, result.stderr


@pytest.mark.parametrize("script", ["exit 3", "true\nexec false", "kill -9 $$"])
def test_a_line_that_is_not_known_is_not_told(script: str, tmp_path: Path) -> None:
    result = run_frame(SHELLS["bash"], f"if false; then exit 3; fi\n{script}", tmp_path)
    assert "in line" not in result.stderr
    step = PlanStep("step", f"if false; then exit 3; fi\n{script}", workdir=str(tmp_path))
    assert find_step_line(step, "".join(filter(None, map(find_ended, result.stderr.splitlines()))), ()) == 0


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "script",
    [
        "trap 'echo own end' EXIT\nfalse",
        "echo good\ntrap 'echo own end' EXIT",
        "set +e\nfalse\necho $? $_\nset -e",
        "echo $-\n(exit 3) || echo $?",
        "set -u\nset +e\n(exit 3)\necho $?",
        "f() { return 3; }\nf || echo $?\nx=$(f) || echo $? $x",
        "exec sh -c 'exit 7'",
        "kill -TERM $$",
        "echo out; echo err >&2; sleep 0 & wait",
    ],
)
def test_the_frame_changes_nothing_for_a_script(shell: str, script: str, tmp_path: Path) -> None:
    framed = run_frame(SHELLS[shell], script, tmp_path)
    plain = run_frame(SHELLS[shell], script, tmp_path, framed=False)
    assert (framed.returncode, framed.stdout, framed.stderr) == (plain.returncode, plain.stdout, plain.stderr)
