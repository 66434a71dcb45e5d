"""`melpy build`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy import events
from melpy.cli.help import Command
from melpy.cli.monitor import open_monitor
from melpy.cli.option import (
    BUILD_OPTION,
    DISTRIBUTION,
    ENVIRONMENT,
    IGNORE_SIGNATURES,
    LIMITS,
    LOCK_FILE,
    LOCK_NAME,
    OFFLINE,
    PATH,
    SIGNING,
    SOURCES,
    read_settings,
    setting_options,
)
from melpy.cli.report import count_text, near_path, print_json, print_text, print_warning, short_list
from melpy.cli.table import Column, print_table
from melpy.codec import replace
from melpy.errors import FaultsError, LockError, MelpyError
from melpy.text import shorten_list, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.arch import Arch
    from melpy.engine.model import BuildResult, PlannedBuild
    from melpy.solve.lockfile import Lock

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
        "melpy build -r /srv/packages -k /srv/packages/local.rsa.pub packages/": "with another repository",
        "melpy build --from-step autoconf/make packages/hello.yaml": "go on at a step of a build that failed",
        "melpy build --lock packages/hello.yaml": "with the exact packages that melpy lock has found",
    },
)
@click.argument("recipes", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
@setting_options(*ENVIRONMENT, *SIGNING, *SOURCES, "unpack-limit", *DISTRIBUTION, "build-cache", *LIMITS)
@BUILD_OPTION
@IGNORE_SIGNATURES
@OFFLINE
@click.option("--lock", is_flag=True, help="Take the packages that melpy lock has found, and no others.")
@LOCK_FILE
@click.option("--emulate-all", is_flag=True, help="Emulate every program of other architectures: slow, the same bytes.")
@click.option("--network", is_flag=True, help="Let every step see the network; the build's record says so.")
@click.option("--keep", "--keep-workspace", "keep", is_flag=True, help="Keep what a build worked in, to look into.")
@click.option("--from-step", metavar="STEP", default="", help="Begin with this step, where a build was kept before.")
@click.option("--debug", is_flag=True, help="Have steps print each command before they run it, and show it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the steps print.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only.")
def command(
    recipes: tuple[Path, ...],
    *,
    options: tuple[str, ...],
    ignore_signatures: bool,
    offline: bool,
    lock: bool,
    lock_file: str | None,
    emulate_all: bool,
    network: bool,
    keep: bool,
    from_step: str,
    debug: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **flags: Any,  # the settings' flags
) -> None:
    """Build recipes into signed packages and a signed index.

    A DIRECTORY stands for its recipes, the *.yaml in it. Recipes are built in the order in which they need one
    another, each against the repositories and what was built before. Without arguments, ./melange.yaml is built.
    """
    from melpy.engine.worker import start_workers  # noqa: PLC0415  # --help does not need it

    places = recipes or _find_default()
    start = time.monotonic()
    results: Sequence[BuildResult] = ()
    try:
        settings = read_settings(flags, places)
        secrets = [place for place in (settings.signing_key, settings.signing_passphrase) if place]
        counted = bool(settings.memory or settings.processes)
        # Before there are threads, and before the key is read.
        with start_workers(secrets, counted=counted) as workers:
            # Only now: what executes jobs is imported meanwhile, by another process, which is small without these.
            from melpy.cli.planning import plan_recipes  # noqa: PLC0415  # see above
            from melpy.cli.setup import make_spec  # noqa: PLC0415  # likewise
            from melpy.cli.signer import find_signer  # noqa: PLC0415  # likewise
            from melpy.engine.model import PublishSpec  # noqa: PLC0415  # likewise
            from melpy.engine.run import run_builds  # noqa: PLC0415  # likewise

            arches = settings.arch
            loaded, builds = plan_recipes(places, arches, settings, print_warning, options, together=True)
            with open_monitor(verbose=verbose or debug, quiet=quiet) as monitor:
                for recipe in loaded:
                    if recipe not in [build.recipe for build in builds]:
                        text = f"{recipe.path}: not meant for {', '.join(map(str, arches))}, so nothing is built of it"
                        monitor.emit(events.Warning("", text))
                spec = make_spec(settings, monitor, offline=offline, check_signatures=not ignore_signatures)
                asked = replace(
                    spec.steps,
                    options=replace(spec.steps.options, network=network, debug=debug),
                    emulate_all=emulate_all,
                    keep=keep,
                    from_step=from_step,
                )
                locks = _load_locks(lock_file or LOCK_NAME, arches) if lock or lock_file else ()
                publication = PublishSpec(spec.out_dir, find_signer(settings))
                if publication.signer is None:
                    hint = "make a key with melpy keygen, and name it with --signing-key or in melpy.toml"
                    monitor.emit(events.Warning("", "packages and index are not signed", hint))
                spec = replace(spec, steps=asked, locks=locks)
                results, failure = run_builds(builds, spec, publication, workers, monitor)
        if failure:
            raise failure
    except MelpyError as error:
        # What was built before is there all the same.
        _report(results, time.monotonic() - start, as_json=as_json, quiet=quiet, failure=error)
        raise
    _report(results, time.monotonic() - start, as_json=as_json, quiet=quiet)
    if not quiet and not as_json:
        _report_left_out(builds)


def _find_default() -> tuple[Path, ...]:
    from melpy.cli.planning import default_recipe  # noqa: PLC0415  # only where no recipe is named

    return default_recipe("build")


def _load_locks(template: str, arches: Sequence[Arch]) -> tuple[tuple[Path, Lock], ...]:
    from melpy.solve.lockfile import load_lock  # noqa: PLC0415  # only where there is one

    paths = {arch: Path(template.replace("{arch}", arch.apk)) for arch in arches}
    locks = {arch: load_lock(path) for arch, path in paths.items()}
    for arch, lock in locks.items():
        if lock.arch != arch.apk:
            raise LockError(f"is for {lock.arch}, not for {arch.apk}", where=str(paths[arch]))
    return tuple((paths[arch], locks[arch]) for arch in arches)


def _report(
    results: Sequence[BuildResult], seconds: float, *, as_json: bool, quiet: bool, failure: MelpyError | None = None
) -> None:
    if as_json:
        said = [_result_json(result) for result in results] + ([_failure_json(failure)] if failure else [])
        print_json(said)
    elif results and not quiet:
        rows = [
            (
                package.entry.info.full_name,
                package.entry.info.arch,
                size_text(package.entry.size),
                near_path(package.path.parent),
                short_list(package.entry.info.depends),
                short_list(package.entry.info.provides),
            )
            for result in results
            for package in result.packages
        ]
        print_table(_COLUMNS, rows)
        print_text(f"{count_text(len(rows), 'package')} in {seconds:.1f} s", err=True)


def _report_left_out(builds: Sequence[PlannedBuild]) -> None:
    for build in builds:
        if build.left_out:
            count = count_text(len(build.left_out), "subpackage")
            print_text(
                f"{build.plan.job}: the setting `ranges` leaves out {count}: {shorten_list(build.left_out)}", err=True
            )


def _result_json(result: BuildResult) -> dict[str, object]:
    return {
        "job": result.job,
        "log": str(result.log),
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.stages},
        "packages": [
            {
                "name": package.entry.info.name,
                "version": package.entry.info.version,
                "arch": package.entry.info.arch,
                "size": package.entry.size,
                "checksum": package.entry.checksum,
                "depends": list(package.entry.info.depends),
                "provides": list(package.entry.info.provides),
                "file": str(package.path),
            }
            for package in result.packages
        ],
    }


def _failure_json(error: MelpyError) -> dict[str, object]:
    faults = error.faults if isinstance(error, FaultsError) else (error,)
    return {
        "job": error.job or None,
        "errors": [
            {
                "code": fault.code,
                "where": str(fault.where) if fault.where else None,
                "message": fault.message,
                "details": list(fault.details),
                "hint": fault.hint,
            }
            for fault in faults
        ],
    }
