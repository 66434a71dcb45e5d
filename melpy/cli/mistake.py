"""Flags and settings that name nothing, or that have no effect together: told before anything is built."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melpy.apk.atom import parse_atom
from melpy.cli.selection import find_default_directory
from melpy.errors import OutputError, RecipeError, RepositoryError, SettingsError, UsageError, hint_near
from melpy.files import WRITE_HINTS
from melpy.repo.layout import index_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from melpy.cli.building import Tree
    from melpy.config.model import Settings
    from melpy.engine.quarantine import Quarantine
    from melpy.engine.selection import Arguments
    from melpy.errors import MelpyError
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId


def check_flags(flags: Mapping[str, Any]) -> None:
    """Check that flags of `melpy build` go together, and that what they are to write can be written.

    Raises:
        UsageError: one has no effect beside, or without, another.
        OutputError: a file cannot be written.
    """
    if flags["assume_outside"] and not flags["dry_run"]:
        raise UsageError("--assume-outside is about --dry-run", hint="melpy build --dry-run --assume-outside packages/")
    if flags["quarantine"] and flags["no_quarantine"]:
        raise UsageError("--quarantine and --no-quarantine exclude each other", hint="leave one of them out")
    files = {"--events": flags["events_file"], "--trace": flags["trace_file"]}
    for flag, path in files.items():
        if path and flags["dry_run"]:
            raise UsageError(f"{flag} is about a run, and --dry-run makes none", hint=f"leave {flag} out")
        if path:
            check_target(path)
    if files["--events"] and files["--events"] == files["--trace"]:
        raise UsageError("--events and --trace name the same file", hint="name two files")


def check_pruning(arguments: Arguments, flags: Mapping[str, Any]) -> None:
    """Refuse what cannot be meant, before anything is built.

    Raises:
        UsageError: `--yes` has nothing to remove, or nothing says which packages are still made.
    """
    for name in ("yes", "prune_others"):
        if flags[name] and not flags["prune"]:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is about --prune", hint=f"melpy build --prune {flag} packages/")
    if not flags["prune"]:
        return
    if not arguments.directories:
        raise UsageError("--prune needs the directory of all recipes", hint="melpy build --prune packages/")
    for name, flag in (("ranges", "--range"), ("options", "--build-option")):
        if flags.get(name):
            message = f"{flag} leaves out packages, which --prune would take for gone"
            raise UsageError(message, hint=f"leave {flag} out, or build first and prune then")


def check_target(path: Path) -> None:
    """Check that a file that a user names is to be written into a directory that is there.

    Raises:
        OutputError: it is not, or the file is a directory.
    """
    if not path.parent.is_dir():
        is_file = any(one.exists() and not one.is_dir() for one in path.parents)
        hint = WRITE_HINTS[errno.ENOTDIR] if is_file else f"make it first: mkdir -p {path.parent}"
        raise OutputError("cannot be written: its directory is not there", where=str(path), hint=hint)
    if path.is_dir():
        raise OutputError("cannot be written: is a directory", where=str(path), hint="name a file in it")


def check_published(settings: Settings) -> None:
    """Check that directories that are named as published have indexes; servers are asked when something is published.

    Raises:
        RepositoryError: one has none.
    """
    for location in settings.published:
        root = Path(location.address)
        for arch in settings.arch if "://" not in location.address else ():
            if not index_path(root, arch.apk).is_file():
                what = f"has no index for {arch.apk}" if root.is_dir() else "no such repository"
                hint = f"{settings.where('published')} names the directory above the architectures' directories"
                raise RepositoryError(what, where=str(root), hint=hint)


def find_recipe_names(tree: Tree) -> frozenset[str]:
    """Return the names of the recipes of a run, those that are not meant for its architectures included."""
    files = (*tree.left, *(report.file for report in tree.faulty))
    return frozenset((*(summary.name for summary in tree.summaries), *(Path(file).stem for file in files)))


def check_first(flags: Mapping[str, Any], known: Collection[str]) -> None:
    """Check the names of `--bootstrap-first`.

    Args:
        flags: flags of the command.
        known: names of recipes.

    Raises:
        SettingsError: one is of no recipe.
    """
    for name in () if flags["only"] else flags["bootstrap_first"]:
        if name not in known:
            raise SettingsError(f"no recipe is called {name!r}", where="--bootstrap-first", hint=hint_near(name, known))


def find_idle_names(
    settings: Settings,
    flags: Mapping[str, Any],
    arguments: Arguments,
    known: Collection[str],
    graph: Graph,
    quarantine: Quarantine | None,
) -> Iterator[MelpyError]:
    """Yield warnings of names of recipes that have no effect: in flags, in melpy.toml, in a quarantine list.

    What files name is looked for only where the directory of all recipes is built.

    Args:
        settings: the settings.
        flags: flags of the command.
        arguments: arguments of the command.
        known: names of recipes.
        graph: the graph.
        quarantine: the quarantine list; None for none.
    """
    flagged = flags["bootstrap_first"]
    members = {build.recipe for cycle in graph.cycles for build in cycle.members}
    for name in flagged:
        if name in known and name not in members:
            yield SettingsError(f"{name} is in no cycle, so this has no effect", where="--bootstrap-first")
    if not _covers(arguments, settings.file):
        return
    where = f"{settings.file}: bootstrap-first" if settings.file else "bootstrap-first"
    for name in settings.bootstrap_first:
        if name not in known and name not in flagged:
            hint = hint_near(name, known, "remove it, or name a recipe of this directory")
            yield SettingsError(f"no recipe is called {name!r}", where=where, hint=hint)
    if quarantine:
        yield from quarantine.find_unmatched(known)


def find_faulty_needs(tree: Tree, chosen: Collection[BuildId]) -> Iterator[MelpyError]:
    """Yield warnings of recipes that a build would have come along, if they could be read.

    What they make is not known, so they are told by the names of their files.
    """
    users: dict[str, str] = {}
    for summary in tree.summaries if tree.faulty else ():
        for atom in map(parse_atom, summary.world if summary.id in chosen else ()):
            if not atom.conflict:
                users.setdefault(atom.name, summary.name)
    for report in tree.faulty:
        user = users.get(Path(report.file).stem)
        if user:
            message = f"has faults, so it does not come along, and {user} takes what is there"
            yield RecipeError(message, where=report.file, hint=f"melpy check {report.file} shows them")


def _covers(arguments: Arguments, settings_file: Path | None) -> bool:
    """Tell whether the directory of recipes that melpy.toml is about is among those named."""
    if not arguments.directories or arguments.names:
        return False
    default = find_default_directory(settings_file)
    return default is None or default.resolve() in [directory.resolve() for directory in arguments.directories]
