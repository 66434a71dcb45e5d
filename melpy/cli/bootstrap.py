"""`melpy bootstrap`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy import events
from melpy.cli.help import Command
from melpy.cli.monitor import open_monitor
from melpy.cli.option import read_settings, setting_options
from melpy.cli.report import print_warning
from melpy.errors import SeedError, UsageError
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.bootstrap.model import SeedSpec
    from melpy.engine.model import PlannedBuild


@click.command(
    cls=Command,
    short_help="Make a first package repository from a Debian suite.",
    examples={
        "melpy bootstrap build-base python3": "make packages of the seed before a build asks for them",
        "melpy bootstrap packages/hello.yaml": "find in Debian's archive what recipes fetch from upstream",
        "melpy bootstrap --update": "take the suite as it is today",
    },
)
@click.argument("asked", nargs=-1, metavar="[NAME|RECIPE|DIRECTORY]...")
@setting_options("arch", "cache-dir", "seed", "seed-mirror", "pipeline-dirs", "ranges")
@click.option("--sources/--no-sources", default=True, help="Also look for the recipes' sources, in all suites.")
@click.option("--update", is_flag=True, help="Follow the suite: read its lists anew.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only.")
def command(asked: tuple[str, ...], sources: bool, update: bool, quiet: bool, **flags: Any) -> None:  # settings
    """Make a first package repository from a Debian suite, where no other can be reached.

    Packages with these NAMEs, those that the environments of RECIPEs ask for, and all they depend on are made from
    the suite's packages, which apt downloads and verifies. Upstream files that recipes name by digest are looked for
    among the sources of all suites and put into the source cache. What is there already is not made again.
    """
    if not asked and not update:
        raise UsageError("nothing is asked for", hint="name packages, recipes or directories, or give --update")
    recipes = tuple(Path(text) for text in asked if _is_path(text))
    names = [text for text in asked if Path(text) not in recipes]
    settings = read_settings(flags, recipes)
    from melpy.cli.planning import plan_recipes  # noqa: PLC0415  # --help does not need it
    from melpy.cli.setup import make_seed_spec  # noqa: PLC0415  # likewise

    spec = make_seed_spec(settings)
    if spec is None:
        raise UsageError("no Debian suite is set", hint='give --seed trixie, or write seed = "trixie" into melpy.toml')
    arches = settings.arch
    jobs = plan_recipes(recipes, arches, settings, print_warning)[1] if recipes else ()
    missing: set[str] = set()
    with open_monitor(quiet=quiet) as monitor:
        for arch in arches:
            own = {job.recipe.name for job in jobs} | {p.name for job in jobs for p in job.plan.packages}
            wanted = [*names, *(name for job in jobs if job.arch == arch for name in job.plan.environment.packages)]
            unknown = _extend(spec, [name for name in wanted if name not in own], str(arch), monitor, update=update)
            missing |= {name for name in names if name in unknown}
        cache_dir = settings.cache_dir
        if sources and jobs:
            _find_sources(spec, jobs, cache_dir / "sources", monitor)
    if missing:
        raise SeedError(
            f"{spec.suite} has nothing for {', '.join(sorted(missing))}", hint="a line in the suite's table settles it"
        )


def _is_path(text: str) -> bool:
    return text.endswith((".yaml", ".yml")) or "/" in text or Path(text).is_dir()


def _extend(
    spec: SeedSpec, names: Sequence[str], arch: str, monitor: events.Monitor, *, update: bool
) -> Mapping[str, tuple[str, ...]]:
    from melpy.arch import parse_arch  # noqa: PLC0415  # next to its only use
    from melpy.bootstrap.seed import extend_seed  # noqa: PLC0415  # --help does not need it

    report = extend_seed(spec, names, parse_arch(arch), monitor, update=update)
    for name, near in report.unknown.items():
        hint = f"near: {', '.join(near)}" if near else ""
        monitor.emit(events.Warning(arch, f"{spec.suite} has nothing for {name!r}", hint))
    text = f"{len(report.added)} packages made, {report.reused} there already"
    size = f", {size_text(report.downloaded)} downloaded" if report.downloaded else ""
    monitor.emit(events.Note(f"seed {spec.suite}/{arch}", f"{text}{size} in {report.seconds:.1f} s"))
    return report.unknown


def _find_sources(spec: SeedSpec, jobs: Sequence[PlannedBuild], cache: Path, monitor: events.Monitor) -> None:
    from melpy.bootstrap.model import WantedSource  # noqa: PLC0415  # --help does not need it
    from melpy.bootstrap.source import find_sources  # noqa: PLC0415  # likewise
    from melpy.plan.model import Source  # noqa: PLC0415  # likewise
    from melpy.source.cache import cache_name, store_source  # noqa: PLC0415  # likewise

    sources = {source for job in jobs for source in job.plan.sources if isinstance(source, Source)}
    wanted = [
        WantedSource("sha256" if source.sha256 else "sha512", source.sha256 or source.sha512, source.uri)
        for source in sorted(sources, key=lambda source: source.uri)
        if not (cache / cache_name(source)).is_file()
    ]
    if not wanted:
        return

    def store(file: Path, source: WantedSource) -> None:
        store_source(file, source.digest.lower(), cache, source.algorithm)

    find_sources(spec, wanted, store, monitor)
