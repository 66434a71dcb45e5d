"""`melpy check`."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.option import PATH, read_arches, read_settings, setting_options
from melpy.cli.report import count_text, paint_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.engine.tree import Finding


@click.command(short_help="Check recipes for everything that is wrong with them.")
@click.argument("paths", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
@setting_options("arch", "pipeline-dirs", "env-files", "vars-file")
@click.option("--build-option", "options", multiple=True, metavar="NAME", help="Turn on an option of the recipes.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How findings are printed; github makes annotations of a workflow run.",
)
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="How many processes work; one for each core.")
def command(paths: tuple[Path, ...], options: tuple[str, ...], form: str, jobs: int | None, **flags: Any) -> int:
    """Load, render and plan recipes, and print everything that is wrong with them.

    A directory means its recipes: the *.yaml in it that are not hidden. Without any, the current directory is meant.
    Nothing is built, nothing is downloaded.
    """
    from melpy.cli.planning import make_tree_spec  # noqa: PLC0415  # --help does not need it
    from melpy.engine.tree import find_clashes, merge_findings, survey_recipes  # noqa: PLC0415  # likewise
    from melpy.recipe.load import find_recipes  # noqa: PLC0415  # likewise

    paths = paths or (Path(),)
    settings = read_settings(flags, paths)
    arches = read_arches(settings.items("arch"))
    files = find_recipes(paths)
    spec = make_tree_spec(settings, arches, options)
    reports = list(survey_recipes(files, spec, jobs or os.cpu_count() or 1))
    found = [finding for report in reports for finding in report.findings]
    findings = merge_findings([*found, *find_clashes(reports)], arches)
    names = [arch.apk for arch in arches]
    _PRINTERS[form](findings, names)
    if form != "json":
        left = sum(1 for report in reports if not report.arches and not report.findings)
        click.echo(_summary(findings, len(files), names, left), err=True)
    statuses = {finding.exit_status for finding in findings if finding.exit_status}
    return statuses.pop() if len(statuses) == 1 else _MIXED if statuses else 0


_MIXED = 11
"""Exit status of faults of several kinds, that of `recipe-invalid`."""


def _summary(findings: Sequence[Finding], files: int, arches: Sequence[str], left: int) -> str:
    counts = [
        count_text(len(some), severity)
        for severity in ("error", "warning")
        if (some := [finding for finding in findings if finding.severity == severity])
    ]
    others = f" ({left} for none of them, and not looked into)" if left else ""
    return f"{count_text(files, 'recipe')} for {', '.join(arches)}{others}: {', '.join(counts) or 'nothing wrong'}"


def _print_text(findings: Sequence[Finding], arches: Sequence[str]) -> None:  # noqa: ARG001  # the printers' signature
    lines: list[str] = []
    for finding in findings:
        only = f" (on {', '.join(finding.arches)})" if finding.arches else ""
        lines += [f"{finding.severity}: {finding.place}: {finding.message}{only}", *finding.details]
        lines += [f"hint: {finding.hint}"] if finding.hint else []
    paint_lines(lines)


def _print_json(findings: Sequence[Finding], arches: Sequence[str]) -> None:
    data = [
        {**dataclasses.asdict(finding), "arches": list(finding.arches) or list(arches), "details": None}
        for finding in findings
    ]
    for item in data:
        del item["details"], item["exit_status"]
    click.echo(json.dumps(data, indent=1, ensure_ascii=False))


def _print_github(findings: Sequence[Finding], arches: Sequence[str]) -> None:  # noqa: ARG001  # likewise
    """Print workflow commands. Source: GitHub's documentation of workflow commands and the runner's escapes."""
    for finding in findings:
        place = f"file={_property(finding.file)}"
        place += f",line={finding.line},col={finding.column}" if finding.line else ""
        hint = f"\n{finding.hint}" if finding.hint else ""
        message = _escape(finding.message + hint)
        click.echo(f"::{finding.severity} {place},title={_property(finding.code)}::{message}")


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


_PRINTERS = {"text": _print_text, "json": _print_json, "github": _print_github}
