"""`melpy variables`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import BUILD_OPTION, PATH, read_settings, setting_options
from melpy.cli.report import print_json
from melpy.cli.table import Column, print_table
from melpy.errors import RecipeError, hint_near

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from melpy.plan.model import Evaluation

_COLUMNS = (Column("Variable"), Column("Value", least=20), Column("From", rank=1, least=20))
_LONGEST = 60  # characters of a value that a table shows


@click.command(
    cls=Command,
    short_help="Show every variable of a recipe, and who says it.",
    examples={
        "melpy variables packages/hello.yaml": "what its steps may name",
        "melpy variables packages/hello.yaml --package hello-doc": "what a subpackage sees",
    },
)
@click.argument("recipe", type=PATH)
@setting_options("arch", "pipeline-dirs", "vars-file", "ranges")
@BUILD_OPTION
@click.option("--package", metavar="NAME", help="What this subpackage sees; the main package by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(recipe: Path, options: tuple[str, ...], package: str | None, as_json: bool, **flags: Any) -> None:
    """Show every variable that `${{…}}` may name in a recipe: its value, and who says it.

    The inputs of pipelines come on top, in the pipelines' own texts. Of several architectures the first is shown.
    """
    from melpy.cli.planning import make_options, pipeline_directories  # noqa: PLC0415  # --help does not need it
    from melpy.plan.library import library_for  # noqa: PLC0415  # likewise
    from melpy.plan.planner import examine_recipe  # noqa: PLC0415  # likewise
    from melpy.recipe.load import load_recipe  # noqa: PLC0415  # likewise

    settings = read_settings(flags, [recipe])
    arch = settings.arch[0]
    library = library_for(recipe, pipeline_directories(settings))
    found, _ = examine_recipe(load_recipe(recipe), arch, library, make_options(arch, settings, options))
    scope = _scope(found, package)
    rows = [(name, scope[name], _origin(name, found)) for name in sorted(scope)]
    if as_json:
        data = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        print_json(data)
        return
    print_table(_COLUMNS, [(name, _shown(value), origin) for name, value, origin in rows])


def _scope(found: Evaluation, package: str | None) -> Mapping[str, str]:
    names = [plan.name for plan in found.packages]
    if package is None:
        return found.scopes[0]
    if package not in names:
        hint = hint_near(package, names, f"it makes {', '.join(names)}")
        raise RecipeError(f"makes no package {package!r}", where=str(found.recipe.path), hint=hint)
    return found.scopes[names.index(package)]


def _origin(name: str, found: Evaluation) -> str:
    origin = found.origins.get(name)
    if origin is not None:
        return str(origin.document.place(origin.path))
    root = name.partition(".")[0]
    words = {"range": "the item of its range", "options": "build options"}
    architecture = f"architecture {found.arch}"
    return words.get(root, architecture if root in {"build", "host", "cross"} else "melpy")


def _shown(value: str) -> str:
    line = value.replace("\n", "⏎")
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
