"""`melpy query`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import BUILD_OPTION, PATH, read_settings, setting_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    cls=Command,
    short_help="Answer a question about a recipe, asked as a template.",
    examples={
        "melpy query hello.yaml '{{ package.name }} {{ package.full_version }}'": "name and version",
        "melpy query hello.yaml '{% for sub in subpackages %}{{ sub.name }} {% endfor %}'": "the subpackages",
        "melpy query hello.yaml '{{range .Subpackages}}{{.Name}} {{end}}'": "the same, as melange has it",
    },
)
@click.argument("recipe", type=PATH)
@click.argument("template")
@setting_options("arch", "pipeline-dirs", "vars-file", "ranges")
@BUILD_OPTION
def command(recipe: Path, template: str, options: tuple[str, ...], **flags: Any) -> None:
    """Answer a question about a recipe: TEMPLATE, filled in from what the recipe evaluates to.

    Templates are Jinja's; those that melange takes work too. `melpy compile` shows what there is to ask for.
    """
    from melpy.cli.planning import make_options, pipeline_directories  # noqa: PLC0415  # --help does not need it
    from melpy.plan.compiled import describe_recipe  # noqa: PLC0415  # likewise
    from melpy.plan.library import library_for  # noqa: PLC0415  # likewise
    from melpy.plan.planner import examine_recipe  # noqa: PLC0415  # likewise
    from melpy.plan.query import answer_query  # noqa: PLC0415  # likewise
    from melpy.recipe.load import load_recipe  # noqa: PLC0415  # likewise

    settings = read_settings(flags, [recipe])
    arch = settings.arch[0]
    library = library_for(recipe, pipeline_directories(settings))
    # A question may be about one part while another is faulty.
    found, _ = examine_recipe(load_recipe(recipe), arch, library, make_options(arch, settings, options))
    data = describe_recipe(found)
    model = found.recipe.model
    data["package"]["full-version"] = found.variables["package.full-version"]
    data["vars"] = {
        name.removeprefix("vars."): value for name, value in found.variables.items() if name.startswith("vars.")
    }
    data["var-transforms"] = [transform.model_dump(by_alias=True) for transform in model.var_transforms]
    data["options"] = {name: option.model_dump(by_alias=True) for name, option in model.options.items()}
    click.echo(answer_query(template, data))
