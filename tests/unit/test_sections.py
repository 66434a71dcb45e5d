"""The help of commands with many options, and of pipelines."""

from __future__ import annotations

import click
import pytest

from melpy.cli.main import cli
from melpy.plan.library import Library


@pytest.mark.parametrize("name", ["build", "lock", "plan"])
def test_help_has_each_option_once_below_a_heading(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = command.get_help(click.Context(command, info_name=name))
    assert "\nOptions:" not in text
    assert "\nWhat is built:\n  --arch ARCH" in text
    for param in command.params:
        if isinstance(param, click.Option):
            starts = [line for line in text.splitlines() if line.startswith("  -") and param.opts[-1] in line.split()]
            assert len(starts) == 1, param.opts


def test_every_input_of_a_pipeline_says_what_it_means() -> None:
    library = Library()
    silent = [
        f"{name}: {key}"
        for name in library.names
        for key, one in library.find(name).model.inputs.items()
        if not one.description.strip()
    ]
    assert not silent
