"""`melpy plan`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.option import PATH, read_arches, read_settings, setting_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Show what a build would do, as JSON.")
@click.argument("recipes", nargs=-1, required=True, type=PATH, metavar="RECIPE|DIRECTORY...")
@setting_options("arch", "packages", "pipeline-dirs", "env-files", "vars-file")
@click.option("--build-option", "options", multiple=True, metavar="NAME", help="Turn on an option of the recipe.")
def command(recipes: tuple[Path, ...], options: tuple[str, ...], **flags: Any) -> None:  # settings
    """Show what a build would do, as JSON: one plan for each recipe and architecture, no template left."""
    from melpy.cli.planning import load_recipes, make_jobs  # noqa: PLC0415  # --help does not need it

    settings = read_settings(flags, recipes)
    jobs = make_jobs(load_recipes(recipes), read_arches(settings.items("arch")), settings, options)
    plans = [{**job.plan.to_json(), "digest": job.plan.digest()} for job in jobs]
    for plan in plans:
        plan["compiled"] = json.loads(str(plan["compiled"]))
    click.echo(json.dumps(plans, indent=1, ensure_ascii=False))
