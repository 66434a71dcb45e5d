"""`melpy check`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.ci import render_annotation
from melpy.cli.help import Command
from melpy.cli.option import BUILD_OPTION, PATH, Count, read_settings, setting_options
from melpy.cli.progress import track
from melpy.cli.report import count_text, paint_lines, print_json, print_text, short_list
from melpy.errors import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.engine.tree import Finding
    from melpy.errors import RecipeNotFoundError


@click.command(
    cls=Command,
    short_help="Check recipes for everything that is wrong with them.",
    examples={
        "melpy check packages/": "all recipes of a directory, and the pipelines beside them",
        "melpy check --format github --arch x86_64,aarch64 packages/": "annotations of a GitHub workflow",
    },
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
@setting_options("arch", "pipeline-dirs", "env-files", "vars-file", "ranges")
@BUILD_OPTION
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How findings are printed; github makes annotations of a workflow run.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("-j", "--jobs", type=Count(1), metavar="N", help="How many processes work; one for each core.")
def command(paths: tuple[Path, ...], options: tuple[str, ...], form: str, jobs: int | None, **flags: Any) -> int:
    """Load, render and plan recipes, and print everything that is wrong with them.

    A directory means its recipes: the *.yaml in it that are not hidden. Without any, the current directory is meant.
    Nothing is built, nothing is downloaded.
    """
    from melpy.cli.planning import make_tree_spec  # noqa: PLC0415  # --help does not need it
    from melpy.codec import replace  # noqa: PLC0415  # likewise
    from melpy.engine.tree import (  # noqa: PLC0415  # likewise
        find_circles,
        find_clashes,
        merge_findings,
        survey_pipelines,
        survey_recipes,
    )
    from melpy.plan.library import BESIDE  # noqa: PLC0415  # likewise

    paths = paths or (Path(),)
    settings = read_settings(flags, paths)
    arches = settings.arch
    files, found = _find_files(paths)
    spec = replace(make_tree_spec(settings, arches, options), whole=False)
    reports = list(track(survey_recipes(files, spec, jobs or os.cpu_count() or 1), len(files), "recipes"))
    found += [finding for report in reports for finding in report.findings]
    beside = [path / BESIDE for path in paths if (path / BESIDE).is_dir()]
    directories = {path.resolve(): path for path in (*beside, *spec.pipeline_dirs)}
    pipelines = survey_pipelines(directories.values())
    findings = merge_findings([*found, *find_clashes(reports), *find_circles(reports, spec), *pipelines])
    names = [arch.apk for arch in arches]
    _PRINTERS[form](findings, names)
    if form != "json":
        left = [report.file for report in reports if not report.arches and not report.findings]
        print_text(_summary(findings, len(files), names, left), err=True)
    statuses = {finding.exit_status for finding in findings if finding.exit_status}
    return statuses.pop() if len(statuses) == 1 else _MIXED if statuses else 0


_MANY = 5  # findings of the same words that are shown one by one
_MIXED = 11
"""Exit status of faults of several kinds, that of `recipe-invalid`."""


def _find_files(paths: Sequence[Path]) -> tuple[tuple[Path, ...], list[Finding]]:
    """Return the recipes of all places, and a finding for each place that has none."""
    from melpy.engine.tree import describe_fault  # noqa: PLC0415  # --help does not need it
    from melpy.recipe.load import find_recipes  # noqa: PLC0415  # likewise

    missing: list[RecipeNotFoundError] = []
    files = find_recipes(paths, missing)
    return files, [describe_fault(error, str(error.where)) for error in missing]


def _summary(findings: Sequence[Finding], files: int, arches: Sequence[str], left: Sequence[str]) -> str:
    counts = [
        count_text(len(some), severity)
        for severity in ("error", "warning")
        if (some := [finding for finding in findings if finding.severity == severity])
    ]
    others = f" (not meant for any, and not looked into: {short_list(left)})" if left else ""
    return f"{count_text(files, 'recipe')} for {', '.join(arches)}{others}: {', '.join(counts) or 'nothing wrong'}"


def _print_text(findings: Sequence[Finding], arches: Sequence[str]) -> None:
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.message, finding.hint), []).append(finding)
    lines: list[str] = []
    for group in groups.values():
        shown = group if len(group) <= _MANY else group[:1]
        for finding in shown:
            some = finding.arches and set(finding.arches) != set(arches)
            only = f" (on {', '.join(finding.arches)})" if some else ""
            lines += [f"{finding.severity}: {finding.place}: {finding.message}{only}", *finding.details]
            lines += [f"hint: {finding.hint}"] if finding.hint else []
        rest = [str(finding.place) for finding in group[len(shown) :]]
        lines += [f"the same in {count_text(len(rest), 'more place')}: {short_list(rest)}"] if rest else []
    paint_lines(lines)


def _print_json(findings: Sequence[Finding], arches: Sequence[str]) -> None:
    keys = ("severity", "code", "message", "file", "line", "column", "hint")
    data = [
        {**{key: getattr(finding, key) for key in keys}, "arches": list(finding.arches) or list(arches)}
        for finding in findings
    ]
    print_json(data)


def _print_github(findings: Sequence[Finding], arches: Sequence[str]) -> None:  # noqa: ARG001  # likewise
    for finding in findings:
        hint = f"\n{finding.hint}" if finding.hint else ""
        where = Place(finding.file, finding.line, finding.column)
        click.echo(render_annotation(finding.severity, where, finding.code, f"{finding.message}{hint}"))


_PRINTERS = {"text": _print_text, "json": _print_json, "github": _print_github}
