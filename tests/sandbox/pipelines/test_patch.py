"""patch and git-am with the real programs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import EPOCH, look

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factories.bench import Bench

TEXT = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"
OWN = " (a recipe's own belong into the directory of its name, beside it)"


def difference(old: str, new: str, *, file: str = "a/text", text: str = TEXT) -> str:
    """Return a patch that replaces one line."""
    lines = text.splitlines()
    index = lines.index(old)
    before, after = lines[max(0, index - 3) : index], lines[index + 1 : index + 4]
    body = [f" {line}" for line in before] + [f"-{old}", f"+{new}"] + [f" {line}" for line in after]
    size = len(before) + 1 + len(after)
    start = index - len(before) + 1
    return "\n".join([f"--- {file}", f"+++ {file}", f"@@ -{start},{size} +{start},{size} @@", *body, ""])


@pytest.fixture(autouse=True)
def _tools(require: Callable[..., None]) -> None:
    require("patch", "git")


def patched(bench: Bench) -> str:
    return (bench.workspace / "text").read_text()


@pytest.mark.parametrize("patches", ["one.patch two.patch", "one.patch\n  sub/../two.patch\n"])
def test_patches_are_applied_in_order(bench: Bench, patches: str) -> None:
    second = TEXT.replace("one", "ONE")
    bench.add({"text": TEXT, "sub/x": ""})
    bench.add({"one.patch": difference("one", "ONE"), "two.patch": difference("ONE", "first", text=second)})
    result = bench.use("patch", {"patches": patches})
    assert (result.status, patched(bench)) == (0, TEXT.replace("one", "first"))
    assert [line for line in result.lines if line.startswith("patch: ")] == [
        f"patch: {name}" for name in patches.split()
    ]


def test_a_series_wins_and_may_have_comments(bench: Bench) -> None:
    bench.add({"text": TEXT, "a b.patch": difference("one", "ONE"), "last.patch": difference("seven", "SEVEN")})
    bench.add({"not.patch": "garbage", "my series": "# first\n\na b.patch\n   \n#not.patch\nlast.patch  \r\n"})
    result = bench.use("patch", {"series": " my series\n", "patches": "not.patch"})
    assert (result.status, patched(bench)) == (0, TEXT.replace("one", "ONE").replace("seven", "SEVEN"))


def test_a_series_may_end_without_a_line_break(bench: Bench) -> None:
    bench.add({"text": TEXT, "a.patch": difference("one", "ONE"), "b.patch": difference("seven", "SEVEN")})
    bench.add({"series": "a.patch\nb.patch"})
    assert bench.use("patch", {"series": "series"}).status == 0
    assert patched(bench) == TEXT.replace("one", "ONE").replace("seven", "SEVEN")


@pytest.mark.parametrize(
    ("line", "file", "name"),
    [
        ("a.patch -p1", "a/text", "a.patch"),
        ("a.patch -p0", "text", "a.patch"),
        ("\ta.patch\t -p2 \t# why", "a/b/text", "a.patch"),
        ("a.patch -pab\r", "a/text", "a.patch"),
        ("a.patch # a comment -p7", "a/b/c/text", "a.patch"),
        ("a.patch#1 -p2", "a/b/text", "a.patch#1"),
        ("  my own.patch   -p2", "a/b/text", "my own.patch"),
        ("fix #12.patch", "a/b/c/text", "fix #12.patch"),
        ("-p1", "a/b/c/text", "-p1"),
        ("* -p1", "a/text", "*"),
    ],
)
def test_lines_of_a_series(bench: Bench, line: str, file: str, name: str) -> None:
    bench.add({"text": TEXT, name: difference("one", "ONE", file=file), "series": f"{line}\n"})
    result = bench.use("patch", {"series": "series", "strip-components": "3"})
    assert (result.status, patched(bench)) == (0, TEXT.replace("one", "ONE"))
    assert [text for text in result.lines if text.startswith("patch: ")] == [f"patch: {name}"]


def test_an_option_is_for_its_own_line(bench: Bench) -> None:
    bench.add({"text": TEXT, "a.patch": difference("ONE", "one", text=TEXT.replace("one", "ONE"))})
    bench.add({"b.patch": difference("seven", "SEVEN", file="a/b/text")})
    bench.add({"series": "a.patch -p1 -R\nb.patch\n"})
    assert bench.use("patch", {"series": "series", "strip-components": "2"}).status == 0
    assert patched(bench) == TEXT.replace("one", "ONE").replace("seven", "SEVEN")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.patch --dry-run", "a series has an option that is not known: --dry-run"),
        ("a.patch -o/etc/passwd -p1", "a series has an option that is not known: -o/etc/passwd"),
        ("a.patch -p1x", "-p of a series must be a number, found '1x'"),
        ("a.patch b.patch", f"there is no patch a.patch b.patch{OWN}"),
        ("gone.patch -p1", f"there is no patch gone.patch{OWN}"),
        ("#", "there are no patches to apply; give patches or series"),
        (" # a.patch", "there are no patches to apply; give patches or series"),
    ],
)
def test_lines_of_a_series_that_are_none(bench: Bench, line: str, message: str) -> None:
    bench.add({"a.patch": "", "b.patch": "", "series": f"{line}\n"})
    result = bench.use("patch", {"series": "series"})
    assert (result.status, result.lines) == (1, [f"patch: {message}"])


def test_components_are_removed_from_names(bench: Bench) -> None:
    bench.add({"text": TEXT, "a.patch": difference("one", "ONE", file="deep/er/text")})
    assert bench.use("patch", {"patches": "a.patch", "strip-components": "2"}).status == 0
    assert patched(bench) == TEXT.replace("one", "ONE")


def test_context_may_differ_as_far_as_is_allowed(bench: Bench) -> None:
    bench.add({"text": TEXT.replace("two", "2"), "a.patch": difference("four", "FOUR")})
    assert bench.use("patch", {"patches": "a.patch", "fuzz": "0"}).status == 1
    assert patched(bench) == TEXT.replace("two", "2")
    assert bench.use("patch", {"patches": "a.patch"}).status == 0
    assert patched(bench) == TEXT.replace("two", "2").replace("four", "FOUR")


@pytest.mark.parametrize("inputs", [{"patches": "a.patch b.patch"}, {"series": "series"}])
def test_a_patch_that_does_not_apply_ends_the_step(bench: Bench, inputs: dict[str, str]) -> None:
    bench.add({"text": "other\n", "a.patch": difference("one", "ONE"), "b.patch": difference("seven", "SEVEN")})
    bench.add({"series": "a.patch\nb.patch\n"})
    result = bench.use("patch", inputs)
    assert result.status == 1
    assert "patch: b.patch" not in result.lines


def test_the_working_directory_counts(bench: Bench) -> None:
    bench.add({"sub/text": TEXT, "a.patch": difference("one", "ONE")})
    text = "pipeline: [{uses: patch, working-directory: sub, with: {patches: ../a.patch}}]"
    assert bench.run(text).status == 0
    assert (bench.workspace / "sub/text").read_text() == TEXT.replace("one", "ONE")


HOSTILE = ["$(touch${IFS}x).patch", "`touch x`", "a;touch", "a|b", "a&b", "a<b", "a>b", "a'b", "${HOME}"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_with_shell_characters_are_refused(bench: Bench, name: str) -> None:
    bench.add({"list": f"{name}\n"})
    first = name.split(maxsplit=1)[0]
    for inputs, message in (
        ({"patches": name}, f"patch: not a name of a patch: {first}"),
        ({"series": "list"}, f"patch: not a name of a patch: {name}"),
        ({"series": name}, f"patch: not a name of a series: {name}"),
    ):
        result = bench.use("patch", inputs)
        assert (result.status, result.lines) == (1, [message])
    assert look(bench.workspace) == {"list": f"{name}\n", "melange-out/hello": "empty"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "there are no patches to apply; give patches or series"),
        ({"patches": " \n"}, "there are no patches to apply; give patches or series"),
        ({"series": "empty"}, "there are no patches to apply; give patches or series"),
        ({"series": "gone"}, "there is no series gone"),
        ({"patches": "gone.patch"}, f"there is no patch gone.patch{OWN}"),
        ({"patches": "a", "strip-components": "one"}, "strip-components must be a number, found 'one'"),
        ({"patches": "a", "strip-components": "-1"}, "strip-components must be a number, found '-1'"),
        ({"patches": "a", "fuzz": "2;id"}, "fuzz must be a number, found '2;id'"),
    ],
)
def test_what_patch_cannot_do(bench: Bench, inputs: dict[str, str], message: str) -> None:
    bench.add({"empty": "# nothing\n\n", "a": ""})
    result = bench.use("patch", inputs)
    assert (result.status, result.lines) == (1, [f"patch: {message}"])


IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.com")


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "safe.directory=*", *IDENTITY, "-C", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def repository(bench: Bench) -> None:
    """Make a repository whose two latest commits are patches only."""
    bench.add({"text": TEXT})
    git(bench.workspace, "init", "-q")
    git(bench.workspace, "config", "user.name", "B")
    git(bench.workspace, "config", "user.email", "b@example.com")
    git(bench.workspace, "add", "text")
    git(bench.workspace, "commit", "-qm", "first", "--date=@1600000000 +0000")
    for old, new in (("one", "ONE"), ("seven", "SEVEN")):
        bench.add({"text": patched(bench).replace(old, new)})
        git(bench.workspace, "commit", "-qam", f"say {new}", "--date=@1600000000 +0100")
    git(bench.workspace, "format-patch", "-q", "-2", "-o", "patches")
    git(bench.workspace, "reset", "-q", "--hard", "HEAD~2")


def test_patches_become_commits(bench: Bench) -> None:
    repository(bench)
    result = bench.use("git-am", {"patches": "patches/0001-say-ONE.patch\n patches/0002-say-SEVEN.patch\n"})
    assert (result.status, result.lines) == (0, ["Applying: say ONE", "Applying: say SEVEN"])
    assert patched(bench) == TEXT.replace("one", "ONE").replace("seven", "SEVEN")
    log = git(bench.workspace, "log", "-2", "--format=%s|%an|%at|%cn|%ct")
    assert log.splitlines() == [f"say {word}|A|1600000000|B|{EPOCH}" for word in ("SEVEN", "ONE")]


def test_the_date_of_commits_can_be_given(bench: Bench) -> None:
    repository(bench)
    bench.variables = {"GIT_COMMITTER_DATE": "@1650000000 +0200"}
    assert bench.use("git-am", {"patches": "patches/0001-say-ONE.patch"}).status == 0
    assert git(bench.workspace, "log", "-1", "--format=%ct") == "1650000000"


def test_a_patch_that_is_no_mail_fails(bench: Bench) -> None:
    repository(bench)
    bench.add({"bad.patch": "garbage\n"})
    assert bench.use("git-am", {"patches": "bad.patch"}).status != 0
    assert git(bench.workspace, "log", "--format=%s") == "first"


def test_git_am_wants_patches(bench: Bench) -> None:
    result = bench.use("git-am", {"patches": " \n"})
    assert (result.status, result.lines) == (1, ["git-am: there are no patches to apply"])
