"""From what a user types to builds: arguments become recipe files and names, and these become a `Selection`.

`read_arguments` takes lists and standard input apart, `find_candidates` says which recipes are to be summarised, and
`select` chooses among the summaries. Recipes are not read here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

from melpy.bound import LARGEST_TEXT, read_file
from melpy.codec import Noun, replace
from melpy.engine.changed import find_changed
from melpy.errors import RecipeNotFoundError, UsageError, reason_of
from melpy.graph.selection import Filters, Name, find_named, select_builds
from melpy.recipe.load import find_recipes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from melpy.engine.quarantine import Quarantine
    from melpy.graph.model import BuildId, Summary
    from melpy.graph.selection import Needs, Selection

    IsOffered = Callable[[str, str, str], bool]

_SUFFIXES = (".yaml", ".yml")
_STDIN = "standard input"


class Arguments(Noun, frozen=True):
    """Arguments of a command that name builds.

    Attributes:
        files: recipe files, and where each is named; empty for the command line.
        directories: directories of recipes; where there are names, they are looked for there.
        names: names and globs.
    """

    files: tuple[tuple[Path, str], ...] = ()
    directories: tuple[Path, ...] = ()
    names: tuple[Name, ...] = ()


@dataclass(frozen=True)
class SelectionOptions:
    """Filters as a user states them.

    Attributes:
        changed_since: git revision since which recipes have changed; empty where that does not count.
        missing: keep only builds of which no index has all packages.
        filters: the filters that need nothing but summaries.
    """

    changed_since: str = ""
    missing: bool = False
    filters: Filters = field(default=Filters())


def read_arguments(texts: Iterable[str], stdin: IO[str] | None = None) -> Arguments:
    """Take arguments apart: recipe files, directories, names, globs, `@FILE` and `-`.

    A text with a `/` or a suffix `.yaml` is a path. Another one is a path if it exists, unless it is the directory of
    the recipe of this name. `@FILE` holds an argument in each line, and comments after `#`; `-` is such a list on
    standard input. Paths in a list count from the current directory.

    Args:
        texts: the arguments.
        stdin: standard input.

    Raises:
        RecipeNotFoundError: a path is not there.
        UsageError: a list cannot be read, is empty, or names another list.
    """
    files: dict[Path, str] = {}
    directories: dict[Path, None] = {}
    names: dict[Name, None] = {}
    for text, where in _expand(texts, stdin):
        path = Path(text)
        if not _is_path(text, path):
            names[Name(text, where)] = None
        elif path.is_dir():
            directories[path] = None
        else:
            try:
                find_recipes([path])
            except RecipeNotFoundError as error:
                error.where = f"{where}: {error.where}" if where else error.where
                raise
            files.setdefault(path, where)
    return Arguments(tuple(files.items()), tuple(directories), tuple(names))


def _is_path(text: str, path: Path) -> bool:
    if os.sep in text or text in {".", ".."} or path.suffix in _SUFFIXES:
        return True
    if path.is_dir():
        # `curl` is the recipe rather than `curl/`, the directory of its files.
        return not any(Path(f"{text}{suffix}").is_file() for suffix in _SUFFIXES)
    return path.exists()


def _expand(texts: Iterable[str], stdin: IO[str] | None) -> Iterator[tuple[str, str]]:
    """Yield arguments with those of lists in their place, each with the line where it stands."""
    for text in texts:
        if text == "-":
            if stdin is None or stdin.isatty():
                hint = "melpy query … | melpy build -"
                raise UsageError("- reads names from standard input, which is a terminal", hint=hint)
            yield from _read_list(stdin.read(LARGEST_TEXT), _STDIN)
        elif text.startswith("@") and text != "@":
            file = Path(text[1:])
            try:
                content = read_file(file, LARGEST_TEXT, piped=True).decode()
            except OSError as error:
                raise UsageError(f"this list cannot be read: {reason_of(error)}", where=str(file)) from None
            except ValueError:  # of UTF-8, or of its size
                raise UsageError("this is no list of recipes: it is not text", where=str(file)) from None
            yield from _read_list(content, str(file))
        else:
            yield text, ""


def _read_list(content: str, where: str) -> Iterator[tuple[str, str]]:
    empty = True
    for number, line in enumerate(content.splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        empty = False
        if text == "-" or text.startswith("@"):
            raise UsageError(
                f"a list cannot name another list: {text}",
                where=f"{where}:{number}",
                hint="name both lists on the command line",
            )
        yield text, f"{where}:{number}"
    if empty:
        raise UsageError("this list of recipes is empty", where=where, hint="it has a name, glob or path in each line")


def find_candidates(arguments: Arguments, *, only: bool = False, default: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Return the recipe files that a selection may need: those named, and all others of their directories.

    Args:
        arguments: the arguments.
        only: what the named recipes need does not come along.
        default: directories in which names are looked for where no path is given.

    Raises:
        RecipeNotFoundError: a directory is not there or holds no recipe, or names have no directory to be found in.
    """
    files = [path for path, _ in arguments.files]
    directories = list(arguments.directories)
    if arguments.names and not files and not directories:
        directories = [path for path in default if path.is_dir()]
        if not directories:
            name = arguments.names[0].text
            hint = f"name the directory of its recipes too: melpy build packages/ {name}"
            raise RecipeNotFoundError(f"no directory is known that {name!r} could be in", hint=hint)
    if not only or arguments.names:
        directories += [path.parent for path in files]
    return find_recipes([*files, *directories])


def has_recipes(directory: Path) -> bool:
    """Tell whether a directory holds recipes."""
    try:
        return directory.is_dir() and bool(find_recipes([directory]))
    except RecipeNotFoundError:
        return False


def choose(arguments: Arguments, summaries: Sequence[Summary]) -> dict[BuildId, str]:
    """Return the builds that arguments stand for, each with its reason; directories count where nothing is named.

    Raises:
        RecipeNotFoundError: a name is of no recipe and no package.
    """
    files = _Files(summaries)
    chosen: dict[BuildId, str] = {}
    for path, where in sorted(arguments.files):
        for build in files.find(path):
            chosen.setdefault(build, f"named ({where})" if where else "named")
    for build, reason in find_named(summaries, arguments.names).items():
        chosen.setdefault(build, reason)
    if not arguments.names:
        for directory in sorted(arguments.directories):
            for file in find_recipes([directory]):
                for build in files.find(file):
                    chosen.setdefault(build, f"in {directory}")
    return chosen


class _Files:
    """The builds of each recipe file, under any of its names."""

    def __init__(self, summaries: Iterable[Summary]) -> None:
        self._by_name: dict[str, list[BuildId]] = {}
        for summary in summaries:
            self._by_name.setdefault(summary.file, []).append(summary.id)

    def find(self, path: Path) -> Sequence[BuildId]:
        """Return the builds of a file; only a name that no summary has costs a look at all of them."""
        name = str(path)
        return self._by_name[name] if name in self._by_name else self._by_inode.get(_identify(path), ())

    @cached_property
    def _by_inode(self) -> dict[tuple[int, int], list[BuildId]]:
        return {_identify(Path(name)): builds for name, builds in self._by_name.items()}


def _identify(path: Path) -> tuple[int, int]:
    """Return device and inode of a file; those of none where it has vanished."""
    try:
        info = path.stat()
    except OSError:
        return 0, 0
    return info.st_dev, info.st_ino


def find_missing(summaries: Iterable[Summary], is_offered: IsOffered) -> dict[BuildId, str]:
    """Return the builds of which a package is not offered, each with the first such package.

    Args:
        summaries: the builds.
        is_offered: tells whether a repository has a package of this name, full version and architecture.
    """
    found: dict[BuildId, str] = {}
    for summary in summaries:
        for name in [package.name for package in summary.packages] or [summary.name]:
            if not all(is_offered(name, summary.version, arch) for arch in summary.arches):
                found.setdefault(summary.id, f"{name}-{summary.version}")
    return found


def select(
    arguments: Arguments,
    options: SelectionOptions,
    summaries: Sequence[Summary],
    needs: Needs,
    *,
    is_offered: IsOffered | None = None,
    is_had: Callable[[BuildId], bool] | None = None,
    quarantine: Quarantine | None = None,
) -> Selection:
    """Return the builds that arguments and options select, each with its reason.

    Args:
        arguments: of the command.
        options: of the command.
        summaries: of all candidates, for all architectures asked for.
        needs: direct needs of a build.
        is_offered: tells whether a repository has a package of this name, full version and architecture; needed for
            `missing`.
        is_had: tells of a build that it need not come along for those that need it, as a repository has its packages.
        quarantine: recipes that are not built.

    Raises:
        RecipeNotFoundError: a name is of no recipe and no package.
        NothingSelectedError: no build is left.
        UsageError: git knows nothing of the recipes or the revision.
    """
    chosen = choose(arguments, summaries)
    filters = replace(options.filters, is_had=is_had)
    if options.changed_since:
        asked = [summary for summary in summaries if summary.id in chosen]
        changed = find_changed(asked, options.changed_since)
        filters = replace(filters, changed=changed, since=options.changed_since)
    if options.missing:
        assert is_offered
        filters = replace(filters, missing=find_missing(summaries, is_offered))
    if quarantine:
        filters = replace(filters, quarantine=_find_quarantined(summaries, quarantine))
    return select_builds(summaries, chosen, needs, filters)


def _find_quarantined(summaries: Iterable[Summary], quarantine: Quarantine) -> Mapping[BuildId, str]:
    found: dict[BuildId, str] = {}
    for summary in summaries:
        for arch in summary.arches:  # what is built once for all is not built for any, then
            entry = quarantine.find(summary.name, arch)
            if entry:
                found.setdefault(summary.id, entry.told)
    return found
