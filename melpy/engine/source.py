"""Sources of recipes: what there is to fetch, what is in the cache, and how it gets there.

A recipe that does not evaluate, and a source that cannot be had, say nothing of the others.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from melpy import events
from melpy.build.model import FetchedFile, FetchedSources
from melpy.engine.locate import locate_source
from melpy.engine.tree import Finding, TreeSpec, describe_fault, map_recipes
from melpy.errors import DigestMismatchError, FaultsError, MelpyError, UnreachableError
from melpy.plan.git import GitSource
from melpy.plan.library import library_for
from melpy.plan.planner import is_for, plan_recipe
from melpy.recipe.load import load_recipe
from melpy.source.cache import check_source, fetch_source, find_source
from melpy.source.git import fetch_git, find_git
from melpy.source.mirror import check_mirror, mirror_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.engine.model import SourceSpec
    from melpy.plan.model import Evaluation, Source
    from melpy.source.git import Pinned


@dataclass(frozen=True)
class RecipeSources:
    """What one recipe fetches.

    Attributes:
        file: the recipe.
        arches: architectures it is meant for, of those asked for.
        sources: its sources, each with the architectures that fetch it.
        findings: what is wrong with it.
    """

    file: str
    arches: tuple[str, ...] = ()
    sources: tuple[tuple[Source | GitSource, tuple[str, ...]], ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Kept:
    """What the cache has of a source.

    Attributes:
        path: the file, or the mirror of the repository.
        size: bytes.
        pinned: the commit in the mirror, for a git source.
    """

    path: Path
    size: int
    pinned: Pinned | None = None


def fetch_sources(
    sources: Iterable[Source | GitSource],
    spec: SourceSpec,
    monitor: events.Monitor,
    job: str,
    evaluation: Evaluation | None = None,
) -> FetchedSources:
    """Return the verified file or commit of each source, fetching what is not in the cache.

    Args:
        sources: the sources.
        spec: where they are kept and looked for.
        monitor: is told what happens.
        job: what wants them, for messages.
        evaluation: the recipe, whose line an error then names.

    Raises:
        MelpyError: one cannot be had, or is not what the recipe names.
    """
    files: list[FetchedFile] = []
    checkouts: list[Pinned] = []
    for source in sources:
        try:
            if isinstance(source, GitSource):
                checkouts.append(fetch_git(source, spec.repositories, monitor, job, spec.places))
            else:
                files.append(FetchedFile(source, fetch_source(source, spec.files, spec.places, monitor, job)))
        except MelpyError as error:
            locate_source(error, source, evaluation)
            raise
    return FetchedSources(tuple(files), tuple(checkouts))


def survey_sources(files: Sequence[Path], spec: TreeSpec, jobs: int) -> Iterator[RecipeSources]:
    """Evaluate recipes and yield what each of them fetches, in order.

    Raises:
        ProcessError: one of the processes was killed.
    """
    return map_recipes(functools.partial(_survey, spec=spec), files, jobs)


def _survey(file: Path, spec: TreeSpec) -> RecipeSources:
    sources: dict[Source | GitSource, list[str]] = {}
    arches: list[str] = []
    try:
        recipe = load_recipe(file)
        library = library_for(file, spec.pipeline_dirs)
        for arch in spec.arches:
            options = spec.options.get(arch.apk)
            if is_for(recipe, arch, options):
                arches.append(arch.apk)
                for source in plan_recipe(recipe, arch, library, options).sources:
                    sources.setdefault(_nameless(source), []).append(arch.apk)
    except MelpyError as error:
        faults = error.faults if isinstance(error, FaultsError) else (error,)
        found = tuple(describe_fault(fault, str(file)) for fault in faults)
        return RecipeSources(str(file), tuple(arches), findings=found)
    listed = tuple((source, tuple(names)) for source, names in sources.items())
    return RecipeSources(str(file), tuple(arches), listed)


def _nameless(source: Source | GitSource) -> Source | GitSource:
    """Return a source without what SBOMs call it, which has recipes differ that fetch the same."""
    return source if isinstance(source, GitSource) else replace(source, name="", version="")


def fetch_all(
    sources: Mapping[Source | GitSource, str], spec: SourceSpec, monitor: events.Monitor, jobs: int
) -> dict[Source | GitSource, MelpyError | None]:
    """Bring sources into the cache, several at once; return what went wrong with each, if anything did.

    Args:
        sources: what is wanted, and what to call whoever wants it.
        spec: where they are kept and looked for.
        monitor: is told what happens.
        jobs: how many are fetched at once.
    """

    def fetch(source: Source | GitSource) -> None:
        fetch_sources([source], spec, monitor, sources[source])

    return _each(sources, fetch, monitor, "fetching sources", jobs)


def verify_all(
    sources: Iterable[Source | GitSource], spec: SourceSpec, monitor: events.Monitor, jobs: int
) -> dict[Source | GitSource, MelpyError | None]:
    """Check what the cache has of sources once more; return what is wrong with each, if anything is."""
    return _each(sources, functools.partial(_verify, spec=spec), monitor, "checking sources", jobs)


def _verify(source: Source | GitSource, spec: SourceSpec) -> None:
    kept = find_kept(source, spec)
    if kept is None:
        where = source.repository if isinstance(source, GitSource) else source.uri
        if has_digest(source):
            raise UnreachableError("is not in the cache", where=where, hint="melpy source fetch brings it there")
        return
    if isinstance(source, GitSource):
        assert kept.pinned
        for mirror, repository in dict.fromkeys(kept.pinned.mirrors()):
            check_mirror(mirror, repository)
    else:
        check_source(source, kept.path)


def find_kept(source: Source | GitSource, spec: SourceSpec) -> Kept | None:
    """Return what the cache has of a source, unchecked; None where something is missing or nothing says what it is."""
    if isinstance(source, GitSource):
        pinned = find_git(source, spec.repositories)
        if pinned is None:
            return None
        return Kept(pinned.mirror, sum(mirror_size(path) for path in {path for path, _ in pinned.mirrors()}), pinned)
    path = find_source(source, spec.files)
    return Kept(path, path.stat().st_size) if path else None


def has_digest(source: Source | GitSource) -> bool:
    """Tell whether a recipe says what a source must be."""
    return bool(source.commit if isinstance(source, GitSource) else source.sha256 or source.sha512)


def worst_status(errors: Iterable[MelpyError | Finding]) -> int:
    """Return the exit status of failures.

    It is their own if they are of one kind, otherwise that of other bytes than wanted, or of what could not be had.
    """
    statuses = {error.exit_status for error in errors}
    for status in (DigestMismatchError.exit_status, UnreachableError.exit_status):
        if len(statuses) > 1 and status in statuses:
            return status
    return max(statuses, default=0)


def _each(
    sources: Iterable[Source | GitSource],
    work: Callable[[Source | GitSource], None],
    monitor: events.Monitor,
    what: str,
    jobs: int,
) -> dict[Source | GitSource, MelpyError | None]:
    outcomes: dict[Source | GitSource, MelpyError | None] = dict.fromkeys(sources)
    pool = ThreadPoolExecutor(jobs)
    try:
        pending = {pool.submit(work, source): source for source in outcomes}
        for number, future in enumerate(as_completed(pending), 1):
            error = future.exception()
            if error is not None and not isinstance(error, MelpyError):
                raise error
            outcomes[pending[future]] = error
            monitor.emit(events.Progress("", what, number, len(pending)))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, no further ones
    return outcomes
