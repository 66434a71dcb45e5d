"""`melpy build`."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy import events
from melpy.cli.help import Command
from melpy.cli.option import (
    BUILD_OPTION,
    DISTRIBUTION,
    ENVIRONMENT,
    IGNORE_SIGNATURES,
    LIMITS,
    LOCK_FILE,
    OFFLINE,
    RUNS,
    SIGNING,
    SOURCES,
    Count,
    read_settings,
    setting_options,
)
from melpy.cli.recording import open_recording, recording_options
from melpy.cli.report import count_text, near_path, print_error, print_json, print_text, short_list
from melpy.cli.selection import (
    EXAMPLES,
    read_selection,
    read_targets,
    selection_options,
)
from melpy.cli.table import Column, print_table
from melpy.codec import replace
from melpy.errors import MelpyError
from melpy.text import shorten_list, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from melpy.config.model import Settings
    from melpy.engine.known import Work
    from melpy.engine.model import JobReport, PlannedBuild, RunReport
    from melpy.engine.selection import Arguments, SelectionOptions
    from melpy.engine.worker import Workers
    from melpy.graph.model import BuildId

_COLUMNS = (
    Column("Package"),
    Column("Arch", rank=1),
    Column("Size", right=True),
    Column("Lies in"),
    Column("Depends on", rank=2, least=20, cut=True),
    Column("Provides", rank=2, least=20, cut=True),
)


@click.command(
    cls=Command,
    short_help="Build recipes into signed packages and a signed index.",
    examples={
        "melpy build packages/hello.yaml": "one recipe; its packages and the index go to the out-dir",
        "melpy build --arch x86_64,aarch64 packages/": "all recipes of a directory, each after those that it needs",
        **EXAMPLES,
        "melpy build -r /srv/packages -k /srv/packages/local.rsa.pub packages/": "with another repository",
        "melpy build --from-step autoconf/make packages/hello.yaml": "go on at a step of a build that failed",
        "melpy build --lock packages/hello.yaml": "with the exact packages that melpy lock has found",
    },
)
@click.argument("targets", nargs=-1, metavar="[RECIPE|DIRECTORY|NAME]...")
@setting_options(*ENVIRONMENT, *SIGNING, *SOURCES, "unpack-limit", *DISTRIBUTION, "build-cache", *LIMITS, *RUNS)
@BUILD_OPTION
@IGNORE_SIGNATURES
@OFFLINE
@selection_options
@click.option(
    "--stale",
    type=click.Choice(["inputs", "recipe", "version"]),
    default="inputs",
    show_default=True,
    help="Build again all whose inputs changed, whose own recipe changed, or whose version is not there.",
)
@click.option("--force", is_flag=True, help="Build what is named although it is up to date.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed before with the same inputs.")
@click.option("--retry-steps", type=Count(0), default=0, metavar="N", help="Try a failed step's build again.")
@click.option("--prune", is_flag=True, help="List packages of the out-dir that no recipe makes any more.")
@click.option("--yes", is_flag=True, help="With --prune: remove them.")
@click.option("--prune-others", is_flag=True, help="With --prune: also those of recipes in directories not named.")
@click.option("-j", "--jobs", type=Count(1), metavar="N", help="How many builds run at the same time.")
@click.option("--max-failures", type=Count(1), metavar="N", help="Begin nothing more after so many failures.")
@click.option(
    "--publish",
    type=click.Choice(["consistent", "end", "each"]),
    default="consistent",
    show_default=True,
    help="When packages are published: at the end without those that would break others, all at the end, or at once.",
)
@click.option("--lock", is_flag=True, help="Take the packages that melpy lock has found, and no others.")
@LOCK_FILE
@click.option("--emulate-all", is_flag=True, help="Emulate every program of other architectures: slow, the same bytes.")
@click.option("--network", is_flag=True, help="Let every step see the network; the build's record says so.")
@click.option("--keep", "--keep-workspace", "keep", is_flag=True, help="Keep what a build worked in, to look into.")
@click.option("--from-step", metavar="STEP", default="", help="Begin with this step, where a build was kept before.")
@click.option("--debug", is_flag=True, help="Have steps print each command before they run it, and show it.")
@click.option("-n", "--dry-run", is_flag=True, help="Tell what would be built, and why; build nothing.")
@click.option("--assume-outside", is_flag=True, help="In a dry run: take it that repositories have what is missing.")
@recording_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the steps print.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only.")
def command(targets: tuple[str, ...], *, options: tuple[str, ...], as_json: bool, quiet: bool, **flags: Any) -> None:
    """Build recipes into signed packages and a signed index.

    A DIRECTORY stands for its recipes, the *.yaml in it; a NAME, glob, @LIST or - for recipes of packages/. What is not
    up to date is built, in the order in which recipes need one another, with what the named ones need of the same
    directory. Without arguments, ./melange.yaml is built.
    """
    from melpy.cli.mistake import check_flags, check_pruning  # noqa: PLC0415  # --help does not need it
    from melpy.engine.worker import start_workers  # noqa: PLC0415  # likewise

    start = time.monotonic()
    report: RunReport | None = None
    builds: Sequence[PlannedBuild] = ()
    try:
        check_flags(flags)
        chosen = read_selection(flags)
        named = targets or (() if chosen.changed_since or chosen.missing else tuple(map(str, _find_default())))
        settings = read_settings(flags, tuple(Path(text) for text in named if Path(text).exists()))
        if flags["dry_run"]:
            from melpy.cli.expecting import show_expectations  # noqa: PLC0415  # only for a dry run

            arguments = read_targets(named, chosen, settings.file)
            check_pruning(arguments, {**flags, "options": options})
            show_expectations(arguments, chosen, settings, options, flags, as_json=as_json)
            return
        secrets = [place for place in (settings.signing_key, settings.signing_passphrase) if place]
        # Before there are threads, and before the key is read.
        with start_workers(secrets, counted=bool(settings.memory or settings.processes)) as workers:
            arguments = read_targets(named, chosen, settings.file)
            check_pruning(arguments, {**flags, "options": options})
            report, builds = _build(arguments, chosen, settings, options, flags, workers, quiet=quiet)
        if report.problem and not any(job.failure for job in report.jobs):
            raise report.problem
    except MelpyError as error:
        # What was built before is there all the same.
        _report(report, time.monotonic() - start, as_json=as_json, quiet=quiet, failure=error)
        raise
    _report(report, time.monotonic() - start, as_json=as_json, quiet=quiet)
    if not quiet and not as_json:
        _report_left_out(builds)
    _end(report)


def _end(report: RunReport) -> None:
    """End as the run did.

    Raises:
        KeyboardInterrupt: the user ended it.
        MelpyError: a job failed.
    """
    from melpy.cli.summary import check_reports  # noqa: PLC0415  # --help does not need it

    if report.problem:  # the failure of a build counts for more
        print_error(report.problem)
    if report.interrupted:
        raise KeyboardInterrupt
    if len(report.jobs) == 1 and report.jobs[0].failure:
        raise report.jobs[0].failure
    check_reports(report.jobs)


def _build(
    arguments: Arguments,
    chosen: SelectionOptions,
    settings: Settings,
    options: tuple[str, ...],
    flags: dict[str, Any],
    workers: Workers,
    *,
    quiet: bool,
) -> tuple[RunReport, Sequence[PlannedBuild]]:
    """Choose and make the builds; return what became of them, and those that were planned at the beginning."""
    # Only now: what executes jobs is imported meanwhile, by another process, which is small without these.
    from melpy.cli.notice import RecipeNotices  # noqa: PLC0415  # see above
    from melpy.cli.preparing import load_run, make_run_spec, order_run  # noqa: PLC0415  # likewise
    from melpy.cli.signer import find_signer  # noqa: PLC0415  # likewise
    from melpy.engine.builds import find_rest, make_builds  # noqa: PLC0415  # likewise
    from melpy.engine.model import PublishSpec  # noqa: PLC0415  # likewise

    with open_recording(
        settings.cache_dir,
        out_dir=settings.out_dir,
        events_file=flags["events_file"],
        trace_file=flags["trace_file"],
        verbose=flags["verbose"] or flags["debug"],
        quiet=quiet,
    ) as view:
        loaded = load_run(arguments, chosen, settings, options, flags, view)
        spec, planned = loaded.spec, loaded.tree.planned
        publication = PublishSpec(spec.out_dir, find_signer(settings))
        if publication.signer is None:
            hint = "make a key with melpy keygen, and name it with --signing-key or in melpy.toml"
            view.emit(events.Warning("", "packages and index are not signed", hint))
        run = make_run_spec(settings, flags, len(loaded.tree.summaries))
        monitor = RecipeNotices(loaded.tree.warnings, loaded.tree.summaries, view)
        asked = "" if flags["prune"] else loaded.asked  # what is pruned follows from the graph
        rest = find_rest(loaded.tree.summaries, asked, spec, run, loaded.repositories, monitor)
        if rest:
            monitor.tell_rest()
            return rest, _list_planned(planned, rest)
        prepared = order_run(loaded)
        work = prepared.work
        run = make_run_spec(settings, flags, len(work.chosen))
        report = make_builds(work, spec, run, publication, workers, prepared.repositories, monitor)
        monitor.tell_rest()
        _note_makers(report, work, spec.out_dir)
        report = replace(report, jobs=(*report.jobs, *prepared.skipped))
        if flags["prune"]:
            from melpy.cli.pruning import prune  # noqa: PLC0415  # only where it is asked for

            ended = not (report.interrupted or report.problem)
            prune(prepared, arguments.directories, publication, monitor, flags, ended=ended)
    return report, _list_planned(planned, report)


def _list_planned(planned: Mapping[BuildId, PlannedBuild], report: RunReport) -> list[PlannedBuild]:
    """Return the builds of a run that were planned at its beginning."""
    jobs = {job.job for job in report.jobs}
    return [build for build in planned.values() if build.plan.job in jobs]


def _note_makers(report: RunReport, work: Work, out_dir: Path) -> None:
    """Remember which recipes made what the repository has."""
    from melpy.engine.maker import write_makers  # noqa: PLC0415  # --help does not need it
    from melpy.engine.schedule import JobOutcome  # noqa: PLC0415  # likewise

    good = {job.job for job in report.jobs if JobOutcome(job.outcome).good}
    summaries = [work.graph.summaries[build] for build in work.chosen]
    with suppress(MelpyError):  # then pruning knows less, and leaves more alone
        write_makers(out_dir, [summary for summary in summaries if summary.job in good])


def _find_default() -> tuple[Path, ...]:
    from melpy.cli.planning import default_recipe  # noqa: PLC0415  # only where no recipe is named

    return default_recipe("build")


def _report(
    report: RunReport | None, seconds: float, *, as_json: bool, quiet: bool, failure: MelpyError | None = None
) -> None:
    from melpy.cli.summary import failure_json, print_summary, report_json  # noqa: PLC0415  # --help does not need it

    jobs = report.jobs if report else ()
    if as_json:
        said = [report_json(job) for job in jobs]
        print_json(said + ([{"job": failure.job or None, "errors": failure_json(failure)}] if failure else []))
    elif len(jobs) > 1:
        if not quiet or any(job.failure for job in jobs):
            print_summary(jobs, seconds)
    elif jobs and not quiet:
        _report_one(jobs[0], seconds)


def _report_one(job: JobReport, seconds: float) -> None:
    if job.outcome == "up-to-date":
        print_text(f"{job.job} is up to date; --force builds it again", err=True)
    rows = [
        (
            package.entry.info.full_name,
            package.entry.info.arch,
            size_text(package.entry.size),
            short_list([near_path(path.parent) for path in package.paths]),
            short_list(package.entry.info.depends),
            short_list(package.entry.info.provides),
        )
        for package in job.packages
    ]
    if rows:
        print_table(_COLUMNS, rows)
        taken = ", from the result cache" if job.outcome == "cached" else ""
        print_text(f"{count_text(len(rows), 'package')} in {seconds:.1f} s{taken}", err=True)


def _report_left_out(builds: Iterable[PlannedBuild]) -> None:
    for build in builds:
        if build.left_out:
            count = count_text(len(build.left_out), "subpackage")
            print_text(
                f"{build.plan.job}: the setting `ranges` leaves out {count}: {shorten_list(build.left_out)}", err=True
            )
