"""`melpy compile`."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import BUILD_OPTION, PATH, Count, read_settings, setting_options
from melpy.cli.progress import track
from melpy.cli.report import count_text, finding_error, print_json_text, print_text
from melpy.errors import FaultsError, OutputError, RecipeError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.config.model import Settings


@click.command(
    cls=Command,
    short_help="Print compiled recipes: what they evaluate to, as JSON.",
    examples={
        "melpy compile packages/hello.yaml --arch x86_64": "print it",
        "melpy compile packages/ --arch x86_64 --output-dir compiled": "one file for each recipe",
    },
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
@setting_options("arch", "packages", "pipeline-dirs", "env-files", "vars-file", "ranges")
@BUILD_OPTION
@click.option("--output-dir", type=PATH, metavar="DIR", help="Write <recipe file>.json for each recipe instead.")
@click.option("-j", "--jobs", type=Count(1), metavar="N", help="How many processes work; one for each core.")
def command(
    paths: tuple[Path, ...], options: tuple[str, ...], output_dir: Path | None, jobs: int | None, **flags: Any
) -> None:
    """Print what recipes evaluate to for one architecture, as JSON in the form of `melange compile`.

    Templates are rendered, ranges expanded, pipelines inlined; packages that steps need are among those of the
    environment. Without arguments, ./melange.yaml is meant. Several recipes need --output-dir, where recipes that are
    not meant for the architecture are left out.
    """
    from melpy.cli.planning import default_recipe  # noqa: PLC0415  # --help does not need it
    from melpy.recipe.load import find_recipes  # noqa: PLC0415  # likewise

    paths = paths or default_recipe("compile")
    settings = read_settings(flags, paths)
    arches = settings.arch
    if len(arches) != 1:
        names = ", ".join(arch.apk for arch in arches)
        raise SettingsError(f"a recipe is compiled for one architecture, not for {names}", hint="name one with --arch")
    files = find_recipes(paths)
    if output_dir:
        if output_dir.exists() and not output_dir.is_dir():
            raise OutputError("is not a directory", where=str(output_dir), hint="--output-dir names a directory")
        counts = Counter(file.name for file in files)
        twice = next((name for name, count in counts.items() if count > 1), None)
        if twice:
            hint = "compile one directory at a time"
            raise SettingsError(f"several recipes are called {twice}, and would be written to one file", hint=hint)
        output_dir.mkdir(parents=True, exist_ok=True)
        _compile_tree(files, arches[0], settings, options, output_dir, jobs or os.cpu_count() or 1)
    elif len(files) == 1:
        _compile_one(files[0], arches[0], settings, options)
    else:
        hint = "give --output-dir, where each gets a file of its own"
        raise SettingsError(f"{len(files)} recipes cannot be printed as one", hint=hint)


def _compile_one(file: Path, arch: Arch, settings: Settings, options: tuple[str, ...]) -> None:
    from melpy.cli.planning import make_options, pipeline_directories  # noqa: PLC0415  # see above
    from melpy.plan.compiled import compile_recipe, compiled_text  # noqa: PLC0415  # likewise
    from melpy.plan.library import library_for  # noqa: PLC0415  # likewise
    from melpy.plan.planner import evaluate_recipe, is_for  # noqa: PLC0415  # likewise
    from melpy.recipe.load import load_recipe  # noqa: PLC0415  # likewise

    recipe = load_recipe(file)
    if not is_for(recipe, arch):
        wanted = ", ".join(recipe.model.package.target_architecture)
        raise RecipeError(f"is not meant for {arch.apk}", where=str(file), hint=f"its target-architecture is {wanted}")
    library = library_for(file, pipeline_directories(settings))
    found = evaluate_recipe(recipe, arch, library, make_options(arch, settings, options))
    print_json_text(compiled_text(compile_recipe(found)))


def _compile_tree(
    files: tuple[Path, ...], arch: Arch, settings: Settings, options: tuple[str, ...], output_dir: Path, jobs: int
) -> None:
    from melpy.cli.planning import make_tree_spec  # noqa: PLC0415  # see above
    from melpy.engine.tree import merge_findings, survey_recipes  # noqa: PLC0415  # likewise

    spec = make_tree_spec(settings, (arch,), options, output_dir)
    reports = list(track(survey_recipes(files, spec, jobs), len(files), "recipes"))
    found = merge_findings(finding for report in reports for finding in report.findings)
    errors = [finding for finding in found if finding.severity == "error"]
    faulty = {report.file for report in reports if any(finding.exit_status for finding in report.findings)}
    done = sum(1 for report in reports if report.arches and report.file not in faulty)
    left = sum(1 for report in reports if not report.arches and report.file not in faulty)
    others = f", {left} not meant for {arch.apk}" if left else ""
    print_text(f"{count_text(done, 'recipe')} compiled into {output_dir}{others}", err=True)
    if errors:
        raise FaultsError([finding_error(finding) for finding in errors])
