"""`melpy source`: what recipes are made of, and how it gets into the cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Group
from melpy.cli.monitor import open_monitor
from melpy.cli.option import BUILD_OPTION, OFFLINE, PATH, SOURCES, Count, read_settings, setting_options
from melpy.cli.progress import track
from melpy.cli.report import count_text, finding_error, print_error, print_json, print_text, short_list
from melpy.cli.table import Column, print_table
from melpy.plan.git import GitSource
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from melpy.config.model import Settings
    from melpy.engine.model import SourceSpec
    from melpy.engine.source import Kept
    from melpy.engine.tree import Finding
    from melpy.errors import MelpyError
    from melpy.plan.model import Source

_EVALUATION = ("arch", "pipeline-dirs", "env-files", "vars-file", "ranges", "cache-dir")
_AT_ONCE = 4  # servers that are asked

_COLUMNS = (
    Column("Recipe", least=20),
    Column("Kind", rank=1),
    Column("Source", least=24),
    Column("Digest or commit", rank=2),
    Column("Arch", rank=3),
    Column("In the cache", right=True),
)


@click.group(
    cls=Group,
    short_help="Fetch, check and list the sources of recipes.",
    examples={
        "melpy source list packages/": "what recipes fetch",
        "melpy source fetch --rewrite https://github.com/=/srv/git/ packages/": "bring it into the cache",
        "melpy source verify packages/": "check what is there",
    },
)
def command() -> None:
    """Fetch, check and list the sources of recipes: upstream files and git repositories.

    A DIRECTORY stands for its recipes, the *.yaml in it. Without any, the current directory is meant. Recipes are
    evaluated for the architectures of the settings; one that does not evaluate is told of, and the others go on.
    """


def _options(function: Callable[..., int]) -> Callable[..., int]:
    """Add what the three commands have in common."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("-j", "--jobs", type=Count(1, 64), default=_AT_ONCE, show_default=True, help="How many at once."),
        BUILD_OPTION,
        click.argument("paths", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]..."),
    ):
        function = option(function)
    return function


@command.command(
    "list",
    short_help="List the sources of recipes, and which are in the cache.",
    examples={
        "melpy source list packages/": "for people",
        "melpy source list --json packages/": "whole digests, and where files are kept",
    },
)
@setting_options(*_EVALUATION)
@_options
def list_sources(paths: tuple[Path, ...], options: tuple[str, ...], jobs: int, as_json: bool, **flags: Any) -> int:
    """List the sources of recipes: what they are called, what they must be, and whether they are in the cache.

    Nothing is fetched, and what is in the cache is not read; melpy source verify does that.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # --help does not need it
    from functools import partial  # noqa: PLC0415  # likewise

    from melpy.engine.source import find_kept, worst_status  # noqa: PLC0415  # likewise

    wanted = _find_wanted(paths, flags, options)
    with ThreadPoolExecutor(jobs) as pool:
        kept = dict(zip(wanted.users, pool.map(partial(find_kept, spec=wanted.spec), wanted.users), strict=True))
    if as_json:
        rows = [{**_describe(source, users), **_kept_json(kept[source])} for source, users in wanted.users.items()]
        _print_listing(rows, wanted)
    else:
        _print_rows(wanted, kept)
        _print_faults(wanted.faults)
        there = [found for found in kept.values() if found]
        size = sum({found.path: found.size for found in there}.values())
        text = f"{len(there)} in the cache ({size_text(size)})" if there else "none in the cache"
        print_text(f"{_count(wanted)}: {text}", err=True)
    return worst_status(wanted.faults)


@command.command(
    "fetch",
    short_help="Bring the sources of recipes into the cache.",
    examples={
        "melpy source fetch packages/": "from upstream",
        "melpy source fetch --mirror /srv/distfiles packages/": "from a mirror first",
    },
)
@setting_options(*_EVALUATION, *SOURCES)
@OFFLINE
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only.")
@_options
def fetch(
    paths: tuple[Path, ...],
    options: tuple[str, ...],
    jobs: int,
    as_json: bool,
    offline: bool,
    quiet: bool,
    **flags: Any,
) -> int:
    """Bring the sources of recipes into the cache, several at once.

    Each is verified as in a build. What fails does not keep the others from being fetched; all failures are told at
    the end.
    """
    from melpy.engine.source import fetch_all  # noqa: PLC0415  # --help does not need it
    from melpy.files import check_writable  # noqa: PLC0415  # likewise

    wanted = _find_wanted(paths, flags, options, offline=offline)
    check_writable(wanted.spec.cache_dir)
    names = {source: Path(next(iter(users))).stem for source, users in wanted.users.items()}
    with open_monitor(quiet=quiet) as monitor:
        outcomes = fetch_all(names, wanted.spec, monitor, jobs)
    return _report(wanted, outcomes, "in the cache", as_json=as_json, quiet=quiet)


@command.command(
    "verify",
    short_help="Check the sources in the cache once more.",
    examples={
        "melpy source verify packages/": "all sources of a directory of recipes",
    },
)
@setting_options(*_EVALUATION)
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@_options
def verify(
    paths: tuple[Path, ...], options: tuple[str, ...], jobs: int, as_json: bool, quiet: bool, **flags: Any
) -> int:
    """Check what the cache has of the sources of recipes: files against their digests, every object of repositories.

    Damaged and missing ones are told. Nothing is fetched. What a recipe gives no digest or commit for cannot be
    checked, and is passed over.
    """
    from melpy.engine.source import has_digest, verify_all  # noqa: PLC0415  # --help does not need it

    wanted = _find_wanted(paths, flags, options)
    checked = [source for source in wanted.users if has_digest(source)]
    with open_monitor(quiet=quiet) as monitor:
        outcomes = verify_all(checked, wanted.spec, monitor, jobs)
    left = len(wanted.users) - len(checked)
    more = f", {left} with nothing to check against" if left else ""
    return _report(wanted, outcomes, "as they should be", as_json=as_json, quiet=quiet, more=more)


@dataclass(frozen=True)
class _Wanted:
    """What is to be listed, fetched or checked.

    Attributes:
        users: the recipes that want each source, with their architectures.
        arches: the architectures that were asked for.
        recipes: how many recipes there are.
        faults: what is wrong with some.
        spec: where sources are kept and looked for.
    """

    users: Mapping[Source | GitSource, Mapping[str, tuple[str, ...]]]
    arches: tuple[str, ...]
    recipes: int
    faults: tuple[Finding, ...]
    spec: SourceSpec


def _find_wanted(
    paths: Sequence[Path], flags: dict[str, Any], options: tuple[str, ...], *, offline: bool = False
) -> _Wanted:
    from melpy.cli.planning import make_tree_spec  # noqa: PLC0415  # --help does not need it
    from melpy.engine.source import survey_sources  # noqa: PLC0415  # likewise
    from melpy.engine.tree import describe_fault  # noqa: PLC0415  # likewise
    from melpy.recipe.load import find_recipes  # noqa: PLC0415  # likewise

    paths = paths or (Path(),)
    settings = read_settings(flags, paths)
    arches = settings.arch
    missing: list[Any] = []
    files = find_recipes(paths, missing)
    faults = [describe_fault(error, str(error.where)) for error in missing]
    users: dict[Source | GitSource, dict[str, tuple[str, ...]]] = {}
    reports = survey_sources(files, make_tree_spec(settings, arches, options), os.cpu_count() or 1)
    for report in track(reports, len(files), "recipes"):
        faults += report.findings
        for source, names in report.sources:
            users.setdefault(source, {})[report.file] = names
    spec = _source_spec(settings, offline=offline)
    return _Wanted(users, tuple(arch.apk for arch in arches), len(files), tuple(faults), spec)


def _source_spec(settings: Settings, *, offline: bool) -> SourceSpec:
    from melpy.cli.setup import make_places  # noqa: PLC0415  # --help does not need it
    from melpy.engine.model import SourceSpec  # noqa: PLC0415  # likewise

    cache_dir = settings.cache_dir
    return SourceSpec(cache_dir, make_places(settings, offline=offline))


def _report(
    wanted: _Wanted,
    outcomes: Mapping[Source | GitSource, MelpyError | None],
    state: str,
    *,
    as_json: bool,
    quiet: bool,
    more: str = "",
) -> int:
    """Tell of every failure, and return the exit status."""
    from melpy.engine.source import worst_status  # noqa: PLC0415  # --help does not need it

    failures = {source: error for source, error in outcomes.items() if error}
    if as_json:
        rows = [
            {**_describe(source, wanted.users[source]), "error": _error_json(error) if error else None}
            for source, error in outcomes.items()
        ]
        _print_listing(rows, wanted)
    else:
        for source, error in failures.items():
            error.details = (*error.details, f"wanted by {short_list(list(wanted.users[source]))}")
            print_error(error)
        _print_faults(wanted.faults)
        if not quiet:
            bad = f", {len(failures)} not" if failures else ""
            print_text(f"{_count(wanted)}: {len(outcomes) - len(failures)} {state}{bad}{more}", err=True)
    return worst_status([*failures.values(), *wanted.faults])


def _count(wanted: _Wanted) -> str:
    return f"{count_text(len(wanted.users), 'source')} of {count_text(wanted.recipes, 'recipe')}"


def _print_faults(faults: Sequence[Finding]) -> None:
    for finding in faults:
        print_error(finding_error(finding))


def _print_rows(wanted: _Wanted, kept: Mapping[Source | GitSource, Kept | None]) -> None:
    rows = [
        (
            Path(file).name,
            *_labels(source),
            " ".join(names) if set(names) != set(wanted.arches) else "all",
            _state(source, kept[source]),
        )
        for source, users in wanted.users.items()
        for file, names in users.items()
    ]
    if rows:
        print_table(_COLUMNS, sorted(rows, key=lambda row: row[0]))


def _labels(source: Source | GitSource) -> tuple[str, str, str]:
    if isinstance(source, GitSource):
        name = source.tag or source.branch
        commit = source.commit[:12] or "none"
        return "git", source.repository, f"{commit} ({name})" if name else commit
    digest = f"sha256:{source.sha256[:12]}" if source.sha256 else f"sha512:{source.sha512[:12]}"
    return "file", source.uri, digest if source.sha256 or source.sha512 else "none"


def _state(source: Source | GitSource, kept: Kept | None) -> str:
    from melpy.engine.source import has_digest  # noqa: PLC0415  # --help does not need it

    return size_text(kept.size) if kept else "no" if has_digest(source) else "never"


def _describe(source: Source | GitSource, users: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    """Return a source for JSON."""
    facts: dict[str, object]
    if isinstance(source, GitSource):
        facts = {
            "kind": "git",
            "uri": source.repository,
            "branch": source.branch,
            "tag": source.tag,
            "commit": source.commit,
            "submodules": source.submodules,
            "cherry-picks": [pick.commit for pick in source.cherry_picks],
        }
    else:
        facts = {"kind": "file", "uri": source.uri, "sha256": source.sha256, "sha512": source.sha512}
    return {**facts, "recipes": {file: list(names) for file, names in users.items()}}


def _kept_json(kept: Kept | None) -> dict[str, object]:
    return {"cached": kept is not None, "path": str(kept.path) if kept else None, "size": kept.size if kept else None}


def _error_json(error: MelpyError) -> dict[str, object]:
    return {
        "code": error.code,
        "where": str(error.where or ""),
        "message": error.message,
        "details": list(error.details),
        "hint": error.hint,
    }


def _print_listing(rows: Sequence[Mapping[str, object]], wanted: _Wanted) -> None:
    faults = [
        {"code": fault.code, "where": str(fault.place), "message": fault.message, "hint": fault.hint or None}
        for fault in wanted.faults
    ]
    print_json({"sources": list(rows), "faults": faults})
