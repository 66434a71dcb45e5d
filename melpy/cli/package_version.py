"""`melpy package-version`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from melpy.cli.option import PATH

if TYPE_CHECKING:
    from pathlib import Path


@click.command("package-version", short_help="Print name, version and release of recipes.")
@click.argument("recipes", nargs=-1, required=True, type=PATH, metavar="RECIPE|DIRECTORY...")
def command(recipes: tuple[Path, ...]) -> None:
    """Print `<name>-<version>-r<epoch>` of recipes, one a line.

    That of a single recipe ends without a newline unless it goes to a terminal, as melange's does.
    """
    from melpy.arch import host_arch  # noqa: PLC0415  # --help does not need it
    from melpy.plan.fault import Faults  # noqa: PLC0415  # likewise
    from melpy.plan.variable import arch_variables, recipe_variables  # noqa: PLC0415  # likewise
    from melpy.recipe.load import find_recipes, load_recipe  # noqa: PLC0415  # likewise

    lines = []
    for path in find_recipes(recipes):
        faults = Faults()
        variables, _ = recipe_variables(load_recipe(path), arch_variables(host_arch()), {}, faults)
        faults.raise_found()
        lines.append(f"{variables['package.name']}-{variables['package.full-version']}")
    click.echo("\n".join(lines), nl=len(lines) > 1 or sys.stdout.isatty())
