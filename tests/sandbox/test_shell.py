"""Scripts that are no shell, judged by a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.cli.report import render_error
from melpy.errors import FaultsError
from melpy.plan.shell import find_syntax_error, is_plausible
from tests.factories.recipe import plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECIPE = """\
package: {name: hello, version: 1.2.3}
pipeline:
  - runs: |
      if true; then
        echo "${{package.name}}
      fi
  - runs: |
      for x in a b; do
        echo "$x"
      fi
  - runs: make && (cd sub
subpackages:
  - name: hello-doc
    pipeline:
      - runs: echo )
"""


@pytest.fixture(autouse=True)
def _bash(require: Callable[..., None]) -> None:
    require("bash")


def test_what_is_said_of_them() -> None:
    with pytest.raises(FaultsError) as caught:
        plan(RECIPE)
    assert render_error(caught.value) == [
        "error: hello.yaml:5:9: not shell: unexpected EOF while looking for matching `\"'",
        '    5 |         echo "${{package.name}}',
        "      |         ^",
        "error: hello.yaml:10:7: not shell: syntax error near unexpected token `fi'",
        "   10 |       fi",
        "      |       ^",
        "error: hello.yaml:11:11: not shell: unexpected end of file",
        "   11 |   - runs: make && (cd sub",
        "      |           ^",
        "error: hello.yaml:15:15: not shell: syntax error near unexpected token `)'",
        "   15 |       - runs: echo )",
        "      |               ^",
        "4 errors",
    ]
    assert caught.value.exit_status == 18


def test_lines_that_values_bring_in_are_not_counted() -> None:
    text = """\
    vars: {multi: "one\\ntwo\\nthree"}
    pipeline:
      - runs: |
          cat <<EOF
          ${{vars.multi}}
          EOF
          if true; then
          done
          echo after
    """
    with pytest.raises(FaultsError, match=r"hello\.yaml:12:7: not shell: .* near unexpected token `done'"):
        plan(text)


def test_a_script_that_the_quick_parser_would_take_long_for() -> None:
    with pytest.raises(FaultsError, match="not shell: "):
        plan("pipeline:\n  - runs: " + "a | " * 20_000 + "\n")


@pytest.mark.parametrize(
    "script",
    [
        "shopt -s extglob\nrm -rf !(keep|this)",
        "echo ${#x} ${x##*/} ${x:+-j ${x}} {{.Version}} }} %} {#",
        "cat <<-EOF\n\tone\n\tEOF\n",
        "cat <<'EOF'\n$(not closed ${{vars.x}\nEOF\n",
        "case $x in (a|b) echo ;; *) ;; esac",
        "[[ $x =~ ^(a|b)$ ]] && echo $((1 << 3))",
        "diff <(ls a) <(ls b)",
        "cd $(apk info | grep MANIFEST$)",
        "f() { local x; x=1; }\nf || exit 1 # a comment\n",
        "echo \\\n  a",
        "",
    ],
)
def test_what_a_shell_takes_is_not_complained_of(script: str) -> None:
    assert is_plausible(script) or find_syntax_error(script) is None


@pytest.mark.parametrize(
    "script", ["if true; then", 'echo "a', "echo )", "for x in a; do", "echo $((1 + 2)", "a && && b"]
)
def test_what_it_does_not_take_is(script: str) -> None:
    assert not is_plausible(script)
    assert find_syntax_error(script) is not None


def test_nothing_of_a_script_is_run(tmp_path: Path) -> None:
    there = tmp_path / "planted"
    assert find_syntax_error(f"touch {there}\n$(touch {there})\nif\n") is not None
    assert not there.exists()


def test_without_bash_every_script_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert find_syntax_error("fi") is None
