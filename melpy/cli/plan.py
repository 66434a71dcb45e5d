"""`melpy plan`."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import BUILD_OPTION, PATH, read_settings, setting_options
from melpy.cli.report import has_color, print_json, print_text, print_warning, short_list

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    cls=Command,
    short_help="Show what a build would do.",
    examples={
        "melpy plan packages/hello.yaml": "for people",
        "melpy plan --json packages/hello.yaml": "all of it, with the scripts of the steps",
    },
)
@click.argument("recipes", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
@setting_options("arch", "packages", "pipeline-dirs", "env-files", "vars-file", "ranges")
@BUILD_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON: whole plans, with their scripts.")
def command(recipes: tuple[Path, ...], options: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Show what a build would do: one plan for each recipe and architecture, with no template left.

    Without arguments, ./melange.yaml is meant. A plan's digest changes with everything in the recipe and its pipelines
    that its packages depend on.
    """
    from melpy.cli.plan_view import describe_plan  # noqa: PLC0415  # --help does not need it
    from melpy.cli.planning import default_recipe, plan_recipes  # noqa: PLC0415  # likewise
    from melpy.plan.form import plan_digest  # noqa: PLC0415  # likewise

    recipes = recipes or default_recipe("plan")
    settings = read_settings(flags, recipes)
    arches = settings.arch
    loaded, jobs = plan_recipes(recipes, arches, settings, print_warning, options)
    if as_json:
        plans = [{**job.plan.to_json(), "digest": plan_digest(job.plan)} for job in jobs]
        for plan in plans:
            plan["compiled"] = json.loads(str(plan["compiled"]))
        print_json(plans)
        return
    planned = {job.recipe.path for job in jobs}
    left = [str(recipe.path) for recipe in loaded if recipe.path not in planned]
    if left:
        print_text(f"not meant for {', '.join(map(str, arches))}: {short_list(left)}", err=True)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    bold = has_color(terminal)
    for number, job in enumerate(jobs):
        head, *rest = describe_plan(job.plan, width)
        lines = [click.style(head, bold=True) if bold else head, *rest]
        print_text("\n".join([""] * bool(number) + lines))
