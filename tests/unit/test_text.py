"""Foreign text drives neither terminals nor CI services."""

from __future__ import annotations

import json

import pytest

from melpy.cli.report import print_json, render_error, render_warning
from melpy.errors import RecipeError
from melpy.text import printable, printable_line, quote_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text\tand a tab", "plain text\tand a tab"),
        ("a\x1b[31mred\x1b[0m\x07\r\n", "ared"),
        ("abc\u202edcb\u2066x\u2069", r"abc\u202edcb\u2066x\u2069"),
        ("\u200e\u200f\u061c", r"\u200e\u200f\u061c"),
        ("##[error]x ##vso[task.setvariable variable=a]b", r"##\[error]x ##vso\[task.setvariable variable=a]b"),
        ("##teamcity[testStarted name='a']", r"##teamcity\[testStarted name='a']"),
        ("#\x00#[error]", r"##\[error]"),
        ("## a heading [1]", "## a heading [1]"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    ["::add-mask::x", "  ::error::x", "\u00a0::error::x", "\x1b[0m::error::x", "+++ group", "--- group", "~~~ x"],
)
def test_a_line_does_not_begin_with_a_command(text: str) -> None:
    assert printable_line(text) == f"| {printable(text)}"


def test_other_lines_stay_as_they_are() -> None:
    assert printable_line("  a::b") == "  a::b"


def test_a_quoted_line_is_marked_and_cut() -> None:
    assert quote_line("a\x1b[2Jb") == "| ab"
    assert quote_line("x" * 10, 4) == "| xxxx…"


def test_no_line_of_an_error_is_a_command() -> None:
    error = RecipeError("is bad\n::error::x", where="a", details=["::add-mask::y", "##[group]z"], hint="h\n::w")
    assert render_error(error) == [
        "error: a: is bad",
        "| ::error::x",
        "| ::add-mask::y",
        r"##\[group]z",
        "hint: h",
        "| ::w",
    ]
    assert not any(line.lstrip().startswith("::") for line in render_warning(error))


def test_json_says_the_same_without_commands(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"a": "##vso[task.x]", "b": "## [x]"}
    print_json(data)
    text = capsys.readouterr().out
    assert "##vso[" not in text
    assert json.loads(text) == data
