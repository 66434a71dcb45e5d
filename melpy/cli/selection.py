"""Options that choose what is built, and how they become a selection."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from melpy.engine.quarantine import FILE_NAME, load_quarantine
from melpy.errors import MelpyError, UsageError, hint_near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from melpy.engine.quarantine import Quarantine
    from melpy.engine.selection import Arguments, SelectionOptions
    from melpy.graph.model import Summary
    from melpy.graph.selection import Selection

Function = TypeVar("Function", bound="Callable[..., Any]")

EXAMPLES: Mapping[str, str] = {
    "melpy build packages/ curl 'py3-*'": "recipes by name, and what they need of the directory",
    "melpy build @nightly.txt --exclude 'linux-*'": "the names, globs and paths of a file, without some",
    "melpy build packages/ --changed-since origin/main --rdeps": "what a branch changed, and all that needs it",
    "melpy build packages/ --missing --shard 2/4": "the second of four parts of what no index has",
}
"""Command lines for the help of a command, each with what it does."""

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


def _parse_shard(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int]:
    """Return number and total of a part such as `2/4`; without one, the only part of one."""
    if text is None:
        return 1, 1
    match = _SHARD.fullmatch(text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        message = f"{text!r} is no part of a whole: write 1/4 for the first of four"
        raise click.BadParameter(message, context, parameter)
    return int(match[1]), int(match[2])


def selection_options(function: Function) -> Function:
    """Add the options that choose among recipes to a command; `read_selection` reads them."""
    options = (
        click.option(
            "--changed-since",
            metavar="GITREF",
            default="",
            help="Only recipes that changed since a commit, tag or branch, with their files and pipelines.",
        ),
        click.option("--missing", is_flag=True, help="Only recipes of which no index has all packages."),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave out recipes by name or glob, whatever needs them.",
        ),
        click.option("--rdeps", is_flag=True, help="Also all recipes that need the chosen ones."),
        click.option("--shard", callback=_parse_shard, metavar="I/N", help="Only part I of N of the recipes."),
        click.option("--only", is_flag=True, help="Without the recipes that the chosen ones need."),
        click.option(
            "--quarantine", type=click.Path(path_type=Path), metavar="FILE", help=f"Recipes not to build; {FILE_NAME}."
        ),
        click.option("--no-quarantine", is_flag=True, help="Build what the quarantine list stops, too."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def read_selection(flags: Mapping[str, Any]) -> SelectionOptions:
    """Return what the options of `selection_options` say."""
    from melpy.engine.selection import SelectionOptions  # noqa: PLC0415  # recipes' model takes 60 ms
    from melpy.graph.selection import Filters, Shard  # noqa: PLC0415  # likewise

    shard, exclude = Shard(*flags["shard"]), tuple(flags["exclude"])
    filters = Filters(rdeps=flags["rdeps"], exclude=exclude, shard=shard, only=flags["only"])
    return SelectionOptions(flags["changed_since"], flags["missing"], filters)


def read_targets(texts: Sequence[str], options: SelectionOptions, settings_file: Path | None) -> Arguments:
    """Return what is named; a filter without names is about the directory of recipes found here.

    Args:
        texts: arguments of the command.
        options: its options.
        settings_file: melpy.toml, if there is one.

    Raises:
        RecipeNotFoundError, UsageError: something that is named is not there.
    """
    from melpy.engine.selection import Arguments, read_arguments  # noqa: PLC0415  # recipes' model takes 60 ms

    if not texts and (options.changed_since or options.missing):
        found = find_default_directory(settings_file)
        if not found:
            hint = "name one: melpy build packages/ --changed-since main"
            raise UsageError("no directory of recipes is named, and none is found here", hint=hint)
        return Arguments(directories=(found,))
    return read_arguments(texts, sys.stdin)


def find_default_directory(settings_file: Path | None) -> Path | None:
    """Return the directory in which names are looked for: `packages/` or `.`, here or where melpy.toml is."""
    from melpy.engine.selection import has_recipes  # noqa: PLC0415  # recipes' model takes 60 ms

    for above in (Path(), *([settings_file.parent] if settings_file else [])):
        for directory in (above / "packages", above):
            if has_recipes(directory):
                return directory
    return None


def read_quarantine(flags: Mapping[str, Any], settings_file: Path | None) -> Quarantine | None:
    """Return the quarantine list of the command line, else the one next to melpy.toml; None without one.

    Raises:
        SettingsError: it cannot be used.
    """
    named: Path | None = flags["quarantine"]
    path = named or (settings_file.parent if settings_file else Path()) / FILE_NAME
    if flags["no_quarantine"] or not (named or path.exists()):
        return None
    return load_quarantine(path, datetime.now(UTC).date())


def find_warnings(
    selection: Selection, summaries: Iterable[Summary], quarantine: Quarantine | None
) -> tuple[MelpyError, ...]:
    """Return what is probably not meant: patterns that match nothing, and expired entries of the quarantine list."""
    names = {summary.name for summary in summaries}
    warnings: list[MelpyError] = [
        UsageError(
            f"--exclude {pattern} matches no recipe", hint=hint_near(pattern, names, "a glob is about names of recipes")
        )
        for pattern in selection.unmatched
    ]
    return (*warnings, *(quarantine.find_warnings() if quarantine else ()))
