"""The end of a run over several jobs, in words, as a table, and as JSON: what became of the jobs, and why.

Input: one `JobReport` for each job. What may be long is cut, and says what has the rest.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from melpy.arch import NOARCH
from melpy.build.cause import find_cause
from melpy.cli.board import OUTCOMES
from melpy.cli.ci import GITHUB, find_service, render_error_annotations
from melpy.cli.report import count_text, has_color, near_path, short_list
from melpy.cli.table import Column, print_table
from melpy.errors import BuildsFailedError, FaultsError
from melpy.text import printable_line, seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from melpy.engine.model import BuiltPackage, JobReport
    from melpy.errors import MelpyError

_MOST_FAILURES = 20
_MOST_REASONS = 10
_MOST_DETAILS = 12
_LOOKED_AT = 64 << 10  # bytes at the end of a log that are searched for the cause
_BEGIN = re.compile(r"==> step \d+/\d+: (?!status -?\d)")
"""The line of a log with which a step begins."""
_ALWAYS = ("built", "up-to-date", "failed")


def print_summary(reports: Sequence[JobReport], seconds: float) -> None:
    """Print what became of the jobs of a run: failures, skipped and held back jobs on stderr, the table on stdout.

    Args:
        reports: a report for each job.
        seconds: how long the run took.
    """
    for line in render_summary(reports):
        text = printable_line(line)
        head = text and not text.startswith(" ") and has_color(sys.stderr.isatty())
        click.echo(click.style(text, bold=True) if head else text, err=True)
    columns, rows = make_table(reports)
    print_table(columns, rows)
    made = sum(len(report.packages) for report in reports if report.outcome in {"built", "cached"})
    click.echo(
        f"{count_text(len(reports), 'job')}, {count_text(made, 'new package')} in {seconds_text(seconds)}", err=True
    )
    print_annotations(reports)


def render_summary(reports: Sequence[JobReport]) -> list[str]:
    """Return the lines about all jobs that were not built: which, why, and what to do."""
    failed = [report for report in reports if report.outcome == "failed"]
    lines = ["failed:"] if failed else []
    for report in failed[:_MOST_FAILURES]:
        lines += _describe_failed(report)
    if len(failed) > _MOST_FAILURES:
        lines.append(f"  … and {len(failed) - _MOST_FAILURES} more, which melpy report shows")
    return [
        *lines,
        *_describe_group("skipped", reports),
        *_describe_group("held-back", reports),
        *_describe_group("stopped", reports),
    ]


def _describe_failed(report: JobReport) -> Iterator[str]:
    what = _failed_step(report) or report.because or (str(report.failure) if report.failure else "")
    yield f"  {report.job}: {what}" if what else f"  {report.job}"
    cause = find_report_cause(report)
    if cause and cause not in what:
        yield f"    {cause}"
    if report.log:
        yield f"    log: {near_path(report.log)}"
    details = report.failure.details if report.failure else ()
    if report.failure and report.failure.step.number:
        # The others are the end of the log, which has been searched for its cause.
        yield from (f"    {line.strip()}" for line in details if "--retry-failed" in line)
        yield f"    enter: {enter_command(report)}"
    else:
        yield from (f"    {line.strip()}" for line in details[:_MOST_DETAILS])
        if report.failure and report.failure.hint:
            yield f"    hint: {report.failure.hint}"


def _failed_step(report: JobReport) -> str:
    """Return which step failed and how, without the name of the build, which the line has already."""
    failure = report.failure
    if failure is None or not failure.step.number:
        return ""
    # Where the error points into the recipe, its message begins with the name of the build.
    return failure.message.removeprefix(f"{report.job}: ")


def find_report_cause(report: JobReport) -> str:
    """Return the line that tells the cause of a failure: from the end of its log, else from the error."""
    failure = report.failure
    if failure is None:
        return ""
    if not failure.step.number:
        return failure.message
    tail = _read_tail(report.log) if report.log else []
    return find_cause(tail or [line for line in failure.details if line.lstrip().startswith("| ")])


def _read_tail(log: Path) -> list[str]:
    """Return the last lines of the last step in a log; melpy's own lines begin with `==>`."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOOKED_AT))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    begins = [number for number, line in enumerate(lines) if _BEGIN.match(line)]
    return [line for line in lines[begins[-1] if begins else 0 :] if not line.startswith("==> ")]


def enter_command(report: JobReport) -> str:
    """Return the command that enters the kept build of a failed job."""
    name = report.job.rpartition("/")[0].rsplit("-", 2)[0]
    return render_enter(name, report.arch)


def render_enter(name: str, arch: str) -> str:
    """Return the command that enters the kept build of a recipe; of `noarch`, there is one for all architectures."""
    return f"melpy shell {name}" if arch == NOARCH else f"melpy shell {name} --arch {arch}"


def _describe_group(outcome: str, reports: Sequence[JobReport]) -> Iterator[str]:
    """Yield the jobs of an outcome, grouped by reason, the largest group first."""
    groups: dict[str, list[str]] = {}
    for report in reports:
        if report.outcome == outcome:
            groups.setdefault(report.because, []).append(report.job)
    if groups:
        yield f"{OUTCOMES[outcome]}:"
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    for because, jobs in ordered[:_MOST_REASONS]:
        is_job = outcome == "skipped" and because and " " not in because  # else a sentence, as of a quarantine
        reason = f"because of {because}: " if is_job else f"{because}: " if because else ""
        yield f"  {reason}{short_list(jobs, 3)}"
    rest = ordered[_MOST_REASONS:]
    if rest:
        yield f"  … and {sum(len(jobs) for _, jobs in rest)} more for {count_text(len(rest), 'other reason')}"


def make_table(reports: Sequence[JobReport]) -> tuple[tuple[Column, ...], list[tuple[str, ...]]]:
    """Return the table of outcomes: a row for each that occurs, a column for each architecture and one for all."""
    counts = Counter((report.outcome, report.arch) for report in reports)
    total = Counter(report.outcome for report in reports)
    arches = list(dict.fromkeys(report.arch for report in reports))
    rows = [
        (word, *(str(counts[outcome, arch]) for arch in arches), str(total[outcome]))
        for outcome, word in OUTCOMES.items()
        if total[outcome] or outcome in _ALWAYS
    ]
    columns = (Column("Outcome"), *(Column(arch, rank=1, right=True) for arch in arches), Column("all", right=True))
    return (columns, rows) if len(arches) > 1 else (columns[:2], [row[:2] for row in rows])


def print_annotations(reports: Sequence[JobReport]) -> None:
    """In the log of a GitHub workflow, print an annotation for each failure, at the line of its recipe."""
    if find_service(os.environ) != GITHUB:
        return
    for report in reports:
        if report.failure and report.outcome == "failed":
            for line in render_error_annotations(report.failure, report.file, report.job):
                click.echo(line, err=True)


def check_reports(reports: Sequence[JobReport]) -> None:
    """Raise the error of a run over several jobs in which some failed or were not published.

    Raises:
        BuildsFailedError: some failed, or were held back.
    """
    failed = [report for report in reports if report.outcome == "failed"]
    if failed:
        rest = len(reports) - len(failed)
        stopped = sum(report.outcome == "stopped" for report in reports)
        left = f", and {stopped} not begun after that" if stopped else ""
        raise BuildsFailedError(
            f"{len(failed)} of {count_text(len(reports), 'job')} failed{left}",
            hint="mend them and run the same command again: what was built is not built again;"
            " --retry-failed tries again what failed with the same inputs"
            if rest
            else "melpy report shows what they did",
        )
    held = [report for report in reports if report.outcome == "held-back"]
    if held:
        raise BuildsFailedError(f"{len(held)} of {count_text(len(reports), 'job')} held back", hint=held[0].because)


def report_json(report: JobReport) -> dict[str, object]:
    """Return a report as JSON for programs; keys may be added, but none is taken away."""
    return {
        "job": report.job,
        "file": report.file,
        "arch": report.arch,
        "outcome": report.outcome,
        "because": report.because or None,
        "log": str(report.log) if report.log else None,
        "total-seconds": round(report.seconds, 3),
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.stages},
        "packages": [package_json(package) for package in report.packages],
        "cause": find_report_cause(report) or None,
        "enter": enter_command(report) if report.failure and report.failure.step.number else None,
        "errors": failure_json(report.failure) if report.failure else [],
    }


def package_json(package: BuiltPackage) -> dict[str, object]:
    """Return a package as JSON for programs."""
    info = package.entry.info
    return {
        "name": info.name,
        "version": info.version,
        "arch": info.arch,
        "size": package.entry.size,
        "checksum": package.entry.checksum,
        "depends": list(info.depends),
        "provides": list(info.provides),
        "file": str(package.paths[0]),
        "files": list(map(str, package.paths)),
    }


def failure_json(error: MelpyError) -> list[dict[str, object]]:
    """Return an error as JSON for programs, a list since it may be several faults."""
    faults = error.faults if isinstance(error, FaultsError) else (error,)
    return [
        {
            "code": fault.code,
            "where": str(fault.where) if fault.where else None,
            "message": fault.message,
            "details": list(fault.details),
            "hint": fault.hint,
        }
        for fault in faults
    ]
