"""Options that choose what is built."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from melpy.cli.selection import (
    EXAMPLES,
    find_warnings,
    read_quarantine,
    read_selection,
    read_targets,
    selection_options,
)
from melpy.engine.selection import SelectionOptions
from melpy.errors import UsageError
from melpy.graph.model import Summary
from melpy.graph.selection import Filters, Selection, Shard

if TYPE_CHECKING:
    from melpy.engine.quarantine import Quarantine

EXPIRED = '[[quarantine]]\nrecipe = "curl"\nreason = "why"\nuntil = 2020-01-01\n'


def flags(*arguments: str) -> dict[str, Any]:
    """Return what a command with the options is called with."""
    seen: dict[str, Any] = {}

    @click.command()
    @click.argument("targets", nargs=-1)
    @selection_options
    def command(**found: Any) -> None:
        seen.update(found)

    result = CliRunner().invoke(command, arguments)
    if result.exit_code:
        raise UsageError(result.output)
    return seen


def test_what_the_options_say() -> None:
    assert read_selection(flags()) == SelectionOptions()
    line = "x --changed-since v1 --missing --exclude a --exclude b* --rdeps --shard 2/4 --only"
    assert read_selection(flags(*line.split())) == SelectionOptions(
        "v1", missing=True, filters=Filters(rdeps=True, exclude=("a", "b*"), shard=Shard(2, 4), only=True)
    )


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples(line: str) -> None:
    assert flags(*shlex.split(line)[2:])["targets"]


@pytest.mark.parametrize("part", ["0/4", "5/4", "1", "1/", "a/b", "-1/2", "1/0"])
def test_a_part_of_nothing(part: str) -> None:
    with pytest.raises(UsageError, match="is no part of a whole: write 1/4 for the first of four"):
        flags(f"--shard={part}")


def test_a_filter_alone_is_about_the_recipes_found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changed = SelectionOptions(changed_since="v1")
    with pytest.raises(UsageError, match="no directory of recipes is named, and none is found here"):
        read_targets([], changed, None)
    Path("packages").mkdir()
    Path("packages/x86_64.apk").write_text("")
    Path("one.yaml").write_text("")
    assert read_targets([], changed, None).directories == (Path(),)
    Path("packages/two.yaml").write_text("")
    assert read_targets([], changed, None).directories == (Path("packages"),)
    Path("below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert read_targets([], changed, tmp_path / "melpy.toml").directories == (tmp_path / "packages",)
    monkeypatch.setattr("sys.stdin", io.StringIO("curl\n"))
    assert [name.where for name in read_targets(["-"], changed, None).names] == ["standard input:1"]


def read(*arguments: str, settings: Path | None = None) -> Quarantine | None:
    return read_quarantine(flags(*arguments), settings)


def test_the_quarantine_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read() is None
    Path("quarantine.toml").write_text(EXPIRED)
    found = read()
    assert found
    (warning,) = find_warnings(Selection(), [], found)
    assert warning.message.startswith("the quarantine of curl ended on 2020-01-01")
    Path("settings").mkdir()
    assert read(settings=Path("settings/melpy.toml")) is None
    assert read("--quarantine", "quarantine.toml", settings=Path("settings/melpy.toml")) == found
    assert read("--no-quarantine") is None


def test_a_pattern_that_matches_nothing(tmp_path: Path) -> None:
    (warning,) = find_warnings(Selection(unmatched=("crul",)), [Summary("x", "curl", "1-r0", "x86_64")], None)
    assert (warning.message, warning.hint) == ("--exclude crul matches no recipe", "did you mean 'curl'?")
