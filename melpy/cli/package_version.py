"""`melpy package-version`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from melpy.cli.help import Command
from melpy.cli.option import PATH

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    "package-version",
    cls=Command,
    short_help="Print name, version and release of recipes.",
    examples={
        "melpy package-version packages/hello.yaml": "print hello-2.10-r0",
    },
)
@click.argument("recipes", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
def command(recipes: tuple[Path, ...]) -> None:
    """Print `<name>-<version>-r<epoch>` of recipes, one a line.

    Without arguments, ./melange.yaml is meant. That of a single recipe ends without a newline unless it goes to a
    terminal, as melange's does.
    """
    from melpy.arch import host_arch  # noqa: PLC0415  # --help does not need it
    from melpy.cli.planning import default_recipe, load_recipes  # noqa: PLC0415  # likewise
    from melpy.plan.fault import Faults  # noqa: PLC0415  # likewise
    from melpy.plan.variable import arch_variables, recipe_variables  # noqa: PLC0415  # likewise

    lines = []
    faults = Faults()
    for recipe in load_recipes(recipes or default_recipe("package-version")):
        variables, _ = recipe_variables(recipe, arch_variables(host_arch()), {}, faults)
        lines.append(f"{variables['package.name']}-{variables['package.full-version']}")
    faults.raise_found()
    click.echo("\n".join(lines), nl=len(lines) > 1 or sys.stdout.isatty())
