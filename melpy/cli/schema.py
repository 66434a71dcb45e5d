"""`melpy schema`."""

from __future__ import annotations

import click

from melpy.cli.help import Command
from melpy.cli.report import print_json


@click.command(
    cls=Command,
    short_help="Print the JSON schema of recipes or pipelines.",
    examples={
        "melpy schema > recipe.schema.json": "for the recipes that an editor shows",
        "melpy schema pipeline > pipeline.schema.json": "for definitions of pipelines",
    },
)
@click.argument("kind", type=click.Choice(["recipe", "pipeline"]), default="recipe")
def command(kind: str) -> None:
    """Print the JSON schema of recipes, or of pipeline definitions, for editors that check and complete YAML."""
    from melpy.recipe.schema import json_schema  # noqa: PLC0415  # --help does not need it

    print_json(json_schema(kind))
