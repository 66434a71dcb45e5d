"""Help: options in sections, and examples that are true."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from melpy.cli.help import FEW, SECTIONS, Command
from melpy.cli.main import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent.parent


def all_commands() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {key}", one) for key, one in command.commands.items())


ALL = dict(all_commands())


def help_of(name: str, columns: int) -> str:
    """Return what a terminal of some columns is given."""
    command = ALL[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        return command.get_help(click.Context(command, info_name=f"melpy {name}", **command.context_settings))


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_examples_that_it_understands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    examples = ALL[name].examples  # type: ignore[attr-defined]  # whoever lacks it fails here
    assert examples
    for line in examples:
        program, *words = shlex.split(line.partition(" > ")[0])
        assert program == "melpy"
        context: click.Context | None = None
        command: click.Command = cli
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(cli), words[0])
            assert found is not None, line
            command, words = found, words[1:]
        context = command.make_context(line, words)  # a UsageError is a wrong example
        assert context.command is command


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("name", ALL)
def test_help_fits(name: str, columns: int) -> None:
    text = help_of(name, columns)
    examples = ALL[name].examples  # type: ignore[attr-defined]  # as above
    lines = [line for line in text.splitlines() if line.strip() not in examples]
    # click lets the names of options stand as they are, and commands are to be copied.
    assert max(map(len, lines)) <= min(columns, 100), text


def test_many_options_are_in_sections() -> None:
    lines = help_of("build", 80).splitlines()
    headings = [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [*SECTIONS, "Examples"]
    section = lines[lines.index("When a step fails:") : lines.index("Settings and caches:")]
    assert [line.split()[0].rstrip(",") for line in section if line.startswith("  --")] == [
        "--keep",
        "--from-step",
        "--debug",
    ]


def test_each_option_is_shown_once() -> None:
    for name, command in ALL.items():
        text = help_of(name, 100)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.help:
                flags = ", ".join(parameter.opts)
                shown = [line for line in text.splitlines() if line.startswith(f"  {flags}")]
                assert len(shown) >= 1, (name, flags)


def test_few_options_stand_together() -> None:
    text = help_of("query", 80)
    assert sum(line.startswith("  -") for line in text.splitlines()) <= FEW
    assert [line for line in text.splitlines() if line.endswith(":")] == ["Options:", "Examples:"]


def test_every_section_has_an_option() -> None:
    known = {parameter.name for command in ALL.values() for parameter in command.params} | {"help"}
    assert all(name in known for section in SECTIONS.values() for name in section)
    assert all(isinstance(command, Command) for name, command in ALL.items() if name not in {"source", "store"})
