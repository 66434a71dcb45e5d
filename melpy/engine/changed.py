"""Which builds changed since a git revision: their recipe, its directory, or a pipeline of one's own that they use.

Committed, staged, unstaged and untracked changes count. The files are compared with the newest commit that the revision
and HEAD have in common, as for a pull request: what others committed to `main` meanwhile is no change of a branch. No
program that a repository names is run (see `melpy.engine.gitrepo`), its filters included.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.engine.gitrepo import ask_git, read_git, unquote
from melpy.errors import ToolMissingError, UsageError, hint_near

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from melpy.graph.model import BuildId, Summary

_DIFF = ("diff", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=all", "--no-relative")
_UNTRACKED = ("ls-files", "--others", "--exclude-standard", "--full-name")
_OPTION = "--changed-since"


def find_changed(summaries: Iterable[Summary], revision: str) -> dict[BuildId, str]:
    """Return the builds that changed since a revision, each with the path of a changed file in its repository.

    Args:
        summaries: the builds; their files may be in several repositories.
        revision: a commit, tag or branch; each of the repositories must have it.

    Raises:
        ToolMissingError: git is not installed.
        UsageError: a recipe is in no repository, or its repository does not have the revision.
        ProcessError: git does not come to an end.
    """
    if shutil.which("git") is None:
        raise ToolMissingError("git is not installed", hint=f"install git; {_OPTION} asks it")
    places = _Places()
    changed: dict[str, Mapping[str, str]] = {}  # by repository: what changed, and all directories above it
    found: dict[BuildId, str] = {}
    for summary in summaries:
        for number, path in enumerate(_paths_of(summary)):
            for place in places.find(path):
                top = places.find_top(place.parent)
                if not top and number == 0:
                    hint = f"keep recipes in a git repository, or leave {_OPTION} out"
                    message = "is in no git repository that git lets this user read"
                    raise UsageError(message, where=summary.file, hint=hint)
                if top and top not in changed:
                    changed[top] = _list_changed(Path(top), revision)
                file = changed[top].get(os.path.relpath(place, top)) if top else None  # pipelines may be elsewhere
                if file:
                    found.setdefault(summary.id, file)
    return found


def _paths_of(summary: Summary) -> Iterator[Path]:
    """Yield the files and directories of a build; the directory of a recipe may be gone, which is a change."""
    file = Path(summary.file)
    directories = [file.with_suffix(""), *([Path(summary.directory)] if summary.directory else [])]
    yield from dict.fromkeys((file, *directories, *map(Path, summary.pipelines)))


class _Places:
    """Where paths really are, and in which repositories; each directory is looked at once."""

    def __init__(self) -> None:
        self._places: dict[Path, tuple[Path, ...]] = {}
        self._directories: dict[Path, Path] = {}
        self._tops: dict[Path, str] = {}

    def find(self, path: Path) -> tuple[Path, ...]:
        """Return the place of a path, and that of what it leads to where it is a symlink."""
        if path not in self._places:
            if path.parent not in self._directories:
                self._directories[path.parent] = path.parent.resolve()
            place = self._directories[path.parent] / path.name
            self._places[path] = (place, path.resolve()) if path.is_symlink() else (place,)
        return self._places[path]

    def find_top(self, directory: Path) -> str:
        """Return the top directory of the repository of a directory, without symlinks; empty where there is none."""
        if directory not in self._tops:
            there = next((above for above in (directory, *directory.parents) if above.is_dir()), directory)
            top = ask_git(there, "rev-parse", "--show-toplevel")
            self._tops[directory] = str(Path(top).resolve()) if top else ""
        return self._tops[directory]


def _list_changed(top: Path, revision: str) -> dict[str, str]:
    """Return each changed file, and each directory above one, with the first changed file that it has."""
    commit = _find_commit(top, revision)
    base = ask_git(top, "merge-base", commit, "HEAD") or commit
    lines: list[str] = []
    good = read_git(top, lines.append, *_without_filters(top), *_DIFF, base, "--")
    good = read_git(top, lines.append, *_UNTRACKED, "--", ".") and good
    if not good:
        raise UsageError(f"git cannot compare {revision} with the files: {''.join(lines[-1:])}", where=str(top))
    found: dict[str, str] = {}
    for file in sorted(map(unquote, lines)):
        name = file
        while name:
            found.setdefault(name, file)
            name = name.rpartition("/")[0]
    return found


def _find_commit(top: Path, revision: str) -> str:
    commit = (
        None
        if revision.startswith("-")
        else ask_git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    )
    if not commit:
        names = (ask_git(top, "for-each-ref", "--format=%(refname:short)") or "").splitlines()
        hint = hint_near(revision, names, "name a commit, tag or branch; in a shallow clone: git fetch --unshallow")
        raise UsageError(f"{_OPTION}: there is no commit {revision!r} in this repository", where=str(top), hint=hint)
    return commit


def _without_filters(top: Path) -> list[str]:
    """Return options that turn off the filters that a repository's configuration names: they are programs."""
    keys = (
        ask_git(top, "config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process|required)$") or ""
    ).split("\n")
    drivers = dict.fromkeys(key.rpartition(".")[0] for key in keys if key)
    values = ("clean=", "process=", "required=false")
    return [item for driver in drivers for value in values for item in ("-c", f"{driver}.{value}")]
