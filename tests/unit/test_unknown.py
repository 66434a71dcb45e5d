"""Commands and flags that melpy does not know: near names, and melange's.

tests/golden/melange-flags.json has the flags of melange v0.59, from `melange COMMAND --help`; `rebuild` and
`build --fail-on-lint-warning` are hidden there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from melpy.cli import melange
from melpy.cli.main import COMMANDS, cli
from melpy.cli.unknown import usage_error

GOLDEN = Path(__file__).parent.parent / "golden" / "melange-flags.json"
MELANGE: dict[str, list[str]] = json.loads(GOLDEN.read_text())
HERE = [word for words in (melange.COMMANDS, *melange.FLAGS.values()) for word in words.values() if word.here]


def find_command(path: str) -> click.Command:
    command: click.Command = cli
    for name in path.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found, path
        command = found
    return command


def flags_of(command: click.Command) -> set[str]:
    return {opt for one in command.params if isinstance(one, click.Option) for opt in one.opts} | {"--help"}


def all_flags() -> set[str]:
    commands = [find_command(name) for name in COMMANDS]
    commands += [sub for one in commands if isinstance(one, click.Group) for sub in one.commands.values()]
    return set().union(*map(flags_of, [cli, *commands]))


def test_every_command_of_melange_is_in_the_table() -> None:
    # The hidden one that is gone, and what every program of its kind has.
    assert set(melange.COMMANDS) - {"convert", "help"} == set(MELANGE) - {"melange"}


@pytest.mark.parametrize("command", [name for name in MELANGE if name in melange.FLAGS])
def test_every_flag_of_a_command_is_in_the_table(command: str) -> None:
    # compile tells of all that build has: it takes most of that.
    assert set(MELANGE[command]) <= set(melange.FLAGS[command]) <= {*MELANGE[command], *MELANGE["build"]}


def test_commands_without_flags_in_the_table_do_nothing_here() -> None:
    for command, flags in MELANGE.items():
        if flags and command not in melange.FLAGS:
            word = melange.COMMANDS[command]
            assert not word.here or word.here.removeprefix("melpy ") != command, command


@pytest.mark.parametrize("word", HERE)
def test_what_the_table_names_is_there(word: melange.Word) -> None:
    known = all_flags()
    if word.here.startswith("melpy --"):
        assert word.here.removeprefix("melpy ") in flags_of(cli)
    elif word.here.startswith("melpy "):
        find_command(word.here.removeprefix("melpy "))
    elif word.here.startswith("-"):
        assert word.here in known or f"{word.here}" in {"-k", "-r", "-f"}
    for flag in re.findall(r"(?<!\S)--[a-z-]+", word.note):
        assert flag in known, word
    for command in re.findall(r"melpy ([a-z]+(?: fetch)?)", word.note):
        find_command(command)


@pytest.mark.parametrize("command", ["build", "compile", "index", "keygen", "sign", "sign-index"])
def test_flags_that_are_the_same_are_taken_by_the_command(command: str) -> None:
    own = flags_of(find_command(command))
    same = {flag for flag, word in melange.FLAGS[command].items() if word.here == flag and not flag.startswith("-v")}
    assert same <= own


CASES = {
    ("scan",): "melange's scan is not here: melpy build finds what packages depend on and provide",
    ("update-cache", "x.yaml"): "melange's update-cache is melpy source fetch here",
    ("source", "get"): "melange's source get is melpy source fetch here",
    ("clena",): "did you mean 'clean'?",
    ("source", "ftech"): "did you mean 'fetch'?",
    ("frobnicate",): "commands are bootstrap, build",
    ("build", "--runner", "docker"): "melange's --runner is not here: steps run in bubblewrap",
    ("build", "--sining-key", "x"): "did you mean --signing-key?",
    ("build", "--repository", "x"): "did you mean --repository-append?",
    ("keygen", "--key-size", "2048"): "melange's --key-size is --bits here",
    ("sign", "-k", "x"): "melange's -k is --signing-key here",
    ("--log-level", "debug", "build"): "melange's --log-level is --verbose here",
    ("lock", "--workspace-dir", "x"): "melange's --workspace-dir is --cache-dir here",
    ("sign", "--namespace", "x"): "--namespace is for other commands, such as melpy build",
    ("build", "--zzzzz"): "see melpy build --help",
}


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_what_melpy_does_not_know_is_answered(arguments: tuple[str, ...]) -> None:
    with pytest.raises(click.ClickException) as caught:
        cli.main(list(arguments), prog_name="melpy", standalone_mode=False)
    error = usage_error(caught.value)
    assert error.exit_status == 2
    assert error.hint
    assert error.hint.startswith(CASES[arguments])
