"""`melpy config`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from melpy.cli.help import Command
from melpy.cli.option import OPTIONS, read_settings, setting_options
from melpy.cli.report import print_json
from melpy.cli.table import Column, print_table

_COLUMNS = (
    Column("Setting"),
    Column("Value", least=16),
    Column("From", rank=1, least=16),
    Column("What it is for", rank=2, least=30),
)


@click.command(
    cls=Command,
    short_help="Show each setting, and where its value comes from.",
    examples={
        "melpy config": "the settings of this directory",
        "melpy config packages/hello.yaml --json": "those for a recipe, for programs",
    },
)
@click.argument("place", type=click.Path(path_type=Path, exists=True), default=Path())
@setting_options(*OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(place: Path, as_json: bool, **flags: Any) -> None:  # settings
    """Show each setting, and where its value comes from.

    PLACE is a recipe or directory; melpy.toml is looked for from there upwards.
    """
    settings = read_settings(flags, [place])
    if as_json:
        data = {key: {"value": value.text, "origin": value.origin} for key, value in settings.values.items()}
        print_json(data)
        return
    rows = [
        (
            key,
            " ".join(value.text) if isinstance(value.text, tuple) else value.text,
            value.origin.replace(f"{Path.cwd()}/", ""),
            value.setting.help,
        )
        for key, value in settings.values.items()
    ]
    print_table(_COLUMNS, rows)  # docs/reference/settings.md says the rest
