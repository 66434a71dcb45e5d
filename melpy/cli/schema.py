"""`melpy schema`."""

from __future__ import annotations

import click

from melpy.cli.report import print_json


@click.command(short_help="Print the JSON schema of recipes or pipelines.")
@click.argument("kind", type=click.Choice(["recipe", "pipeline"]), default="recipe")
def command(kind: str) -> None:
    """Print the JSON schema of recipes, or of pipeline definitions, for editors that check and complete YAML."""
    from melpy.recipe.schema import json_schema  # noqa: PLC0415  # --help does not need it

    print_json(json_schema(kind))
