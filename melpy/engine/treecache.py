"""Summaries of a directory's recipes, kept in melpy's cache and evaluated again only where a file changed.

    <cache>/summaries/<digest>.json

There is a file for each directory of recipes as it was spelled, and all that its recipes are evaluated with: the
architectures, what the user sets, and the code of melpy that evaluates them. In it, each recipe and each pipeline has
a stamp of its file; a recipe is evaluated again where its stamp, or that of a pipeline that it uses, is another one.
Recipes with errors are not kept, so that nothing of the errors' reasons has to be.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from melpy import __version__
from melpy.codec import Noun, decode, encode
from melpy.digest import identity
from melpy.engine.inputs import RULES
from melpy.engine.summary import find_directory
from melpy.engine.tree import RecipeReport, survey_recipes
from melpy.errors import ValueFormatError
from melpy.files import read_own_file, replace_file
from melpy.plan.library import BUILT_IN, find_directories

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from melpy.engine.tree import TreeSpec
    from melpy.plan.planner import PlanOptions

DIRECTORY = "summaries"
"""Directory of the cache that keeps summaries."""

_MOST_FILES = 64  # in the directory; those that were written before all others go
_FRESH = 50_000_000  # nanoseconds in which a file may change twice and have one time; kernels have ticks of up to 10 ms
_EVALUATING = ("apk", "recipe", "plan", "graph", "engine")  # rooms whose code decides what a summary says

_Stamp = tuple[int, int, int, int]
"""Size of a file, times of the last change of its contents and of its inode in nanoseconds, number of the inode."""


class _Entry(Noun, frozen=True):
    """A recipe of a page: the stamp of its file, and what became of it."""

    stamp: _Stamp
    report: RecipeReport


class _Page(Noun, frozen=True):
    """A directory of recipes.

    Attributes:
        pipelines: file and stamp of each pipeline that its recipes use, by name.
        entries: its recipes, by name of the file.
    """

    pipelines: dict[str, tuple[str, _Stamp]]
    entries: dict[str, _Entry]


def summarise_tree(files: Sequence[Path], spec: TreeSpec, jobs: int, cache: Path | None) -> Iterator[RecipeReport]:
    """Yield what became of each recipe, with its summaries, in order.

    Args:
        files: recipe files.
        spec: what they are evaluated with; nothing is written.
        jobs: how many processes may work.
        cache: melpy's cache, which is written after the last report; None keeps nothing.

    Raises:
        ProcessError: one of the processes was killed.
        OutputError: the cache cannot be written.
    """
    assert spec.output_dir is None
    if cache is None:
        yield from survey_recipes(files, spec, jobs)
        return
    started = time.time_ns()
    parents = [os.path.dirname(file) for file in files]  # noqa: PTH120  # a tenth of the time
    shelves = {parent: _Shelf(Path(parent), spec, cache) for parent in dict.fromkeys(parents)}
    known = [shelves[parent].find(file) for file, parent in zip(files, parents, strict=True)]
    missing = [file for file, report in zip(files, known, strict=True) if report is None]
    surveyed = survey_recipes(missing, spec, jobs)
    for file, parent, report in zip(files, parents, known, strict=True):
        if report is None:
            found = next(surveyed)
            shelves[parent].put(file, found, started)
            yield found
        else:
            yield report
    for shelf in shelves.values():
        shelf.write()


class _Shelf:
    """What is kept of one directory of recipes, and what is new."""

    def __init__(self, directory: Path, spec: TreeSpec, cache: Path) -> None:
        self._directory = directory
        self._libraries = (*find_directories(directory, spec.pipeline_dirs), BUILT_IN)
        self._file = cache / DIRECTORY / f"{identity(_describe(directory, spec))}.json"
        self._page = _read(self._file)
        self._pipelines = {name: self._find_pipeline(name) for name in self._page.pipelines}
        self._changed = {name for name, found in self._page.pipelines.items() if self._pipelines[name] != found}
        self._stamps: dict[str, _Stamp | None] = {}
        self._new: dict[str, _Entry | None] = {}

    def find(self, file: Path) -> RecipeReport | None:
        """Return what is kept of a recipe; None where it has changed, or a pipeline that it uses, or its directory."""
        name = file.name
        stamp = self._stamps[name] = _find_stamp(str(file))
        entry = self._page.entries.get(name)
        if entry is None or entry.stamp != stamp or not self._changed.isdisjoint(entry.report.pipelines):
            return None
        directory = find_directory(file)
        is_same = all(summary.directory == directory for summary in entry.report.summaries)
        return entry.report if is_same else None

    def put(self, file: Path, report: RecipeReport, started: int) -> None:
        """Keep what became of a recipe, unless its files may change without anybody noticing."""
        self._new[file.name] = None
        stamp = self._stamps[file.name]
        if report.has_errors or stamp is None:
            return
        for name in report.pipelines:
            if name not in self._pipelines:
                self._pipelines[name] = self._find_pipeline(name)
        stamps = [stamp, *(found[1] for name in report.pipelines if (found := self._pipelines[name]))]
        latest = max(max(times) for _, *times, _ in stamps)
        if len(stamps) == len(report.pipelines) + 1 and latest < started - _FRESH:
            self._new[file.name] = _Entry(stamp, report)

    def write(self) -> None:
        """Write the page, if there is something new.

        Raises:
            OutputError: the cache cannot be written.
        """
        if not any(self._new.values()):
            return
        entries = {name: entry for name, entry in self._page.entries.items() if name not in self._new}
        for name, entry in list(entries.items()):
            is_gone = name not in self._stamps and not (self._directory / name).exists()
            if is_gone or not self._changed.isdisjoint(entry.report.pipelines):
                del entries[name]
        entries |= {name: entry for name, entry in self._new.items() if entry}
        used = sorted({name for entry in entries.values() for name in entry.report.pipelines})
        pipelines = {name: found for name in used if (found := self._pipelines[name])}
        with replace_file(self._file, durable=False) as stream:
            stream.write(encode(_Page(pipelines, entries)))
        _prune(self._file.parent)

    def _find_pipeline(self, name: str) -> tuple[str, _Stamp] | None:
        for directory in self._libraries:
            file = f"{directory}/{name}.yaml"
            stamp = _find_stamp(file)
            if stamp:
                return file, stamp
        return None


def _find_stamp(file: str) -> _Stamp | None:
    try:
        info = os.stat(file)  # noqa: PTH116  # asked for thousands, half of the time
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino


def _read(file: Path) -> _Page:
    data = read_own_file(file)
    try:
        return decode(data, _Page) if data else _Page({}, {})
    except ValueFormatError:  # it is damaged
        return _Page({}, {})


def _describe(directory: Path, spec: TreeSpec) -> dict[str, object]:
    """Return all that summaries depend on beside the files of recipes and pipelines."""
    return {
        "directory": [str(directory), str(Path.cwd())],
        "libraries": [str(path) for path in spec.pipeline_dirs],
        "machine": os.uname().machine,  # which decides for what recipes of `noarch` packages are evaluated
        "arches": [[arch.apk, _describe_options(spec.options.get(arch.apk))] for arch in spec.arches],
        "rules": RULES,
        "melpy": [__version__, *find_code()],
    }


def _describe_options(options: PlanOptions | None) -> dict[str, object]:
    if options is None:
        return {}
    return {
        "enabled": list(options.enabled),
        "libc": options.libc,
        "packages": list(options.packages),
        "environment": [list(pair) for pair in options.environment],
        "variables": {name: text for name, (text, _) in options.variables.items()},
        "ranges": {name: sorted(keys) for name, keys in options.ranges.items()},
    }


@functools.cache
def find_code() -> tuple[object, ...]:
    """Return the stamps of the code that evaluates and orders recipes, which changes from commit to commit."""
    rooms = [Path(__file__).parent.parent / name for name in _EVALUATING]
    found = sorted(entry.path for room in rooms for entry in os.scandir(room) if entry.name.endswith(".py"))
    return tuple((path, _find_stamp(path)) for path in found)


def _prune(directory: Path) -> None:
    found = sorted(directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in found[:-_MOST_FILES]:
        path.unlink(missing_ok=True)
