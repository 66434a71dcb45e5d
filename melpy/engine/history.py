"""When a recipe last changed, and in which commit: from git, for SOURCE_DATE_EPOCH and the SBOM.

What counts is the last commit that touched the recipe, its source directory, or a pipeline of one's own that it
uses: the same recipe gives the same packages, whatever else was committed since.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.bound import LARGEST_NUMBER, LARGEST_TIME, BoundError, parse_number, shorten
from melpy.codec import Noun
from melpy.engine.gitrepo import ask_git
from melpy.engine.lastcommit import DIRECTORY, find_last_commits
from melpy.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Revision(Noun, frozen=True):
    """A commit: its id (empty when there is none) and its time in seconds since 1970.

    Attributes:
        commit: full commit id, or empty.
        epoch: committer time.
        problem: why the commit is unknown or not to be trusted; empty when all is well.
        path: the first file's path in its repository, or empty.
    """

    commit: str
    epoch: int
    problem: str = ""
    path: str = ""


def find_revision(
    paths: Sequence[Path], cache: Path | None = None, tell: Callable[[int], None] = lambda _: None
) -> Revision:
    """Return the last commit that touched one of these paths; see `find_revisions`."""
    return find_revisions([paths], cache, tell)[0]


def find_revisions(
    groups: Sequence[Sequence[Path]], cache: Path | None = None, tell: Callable[[int], None] = lambda _: None
) -> tuple[Revision, ...]:
    """Return, for each group of paths, the last commit that touched one of them; epoch 0 where there is none.

    Where the paths of a group are in several repositories, it is the first one's commit, with the time of the latest of
    all. The history of a repository is walked once for all groups.

    Args:
        groups: files and directories; what one of the latter holds counts.
        cache: melpy's cache, in which is kept what was seen of a history.
        tell: is told now and then how many commits of a history have been looked at.

    Raises:
        ProcessError: git does not come to an end.
    """
    if shutil.which("git") is None:
        return (Revision("", 0, "git is not installed"),) * len(groups)
    directories = {path: path.resolve().parent for group in groups for path in group}
    known = {directory: _find_facts(directory) for directory in dict.fromkeys(directories.values())}
    memory = cache / DIRECTORY if cache else None
    parts: list[dict[_Facts, list[Path]]] = []  # of each group, its paths by repository
    for group in groups:
        parts.append({})
        for path in group:
            parts[-1].setdefault(known[directories[path]], []).append(path)
    found: dict[tuple[_Facts, int], Revision] = {}
    for facts in dict.fromkeys(facts for part in parts for facts in part):
        numbers = [number for number, part in enumerate(parts) if facts in part]
        revisions = _find_revisions([parts[number][facts] for number in numbers], facts, memory, tell)
        found.update({(facts, number): one for number, one in zip(numbers, revisions, strict=True)})
    return tuple(_join([found[facts, number] for facts in part]) for number, part in enumerate(parts))


def _join(revisions: Sequence[Revision]) -> Revision:
    """Return the commit of the first repository, with the time of the latest of all."""
    problem = next((revision.problem for revision in revisions if revision.problem), "")
    first = revisions[0]
    return Revision(first.commit, max(revision.epoch for revision in revisions), problem, first.path)


class _Facts(Struct, frozen=True):
    """What is to be known of the repository that a directory is in.

    Attributes:
        top: its directory; empty where there is none.
        is_shallow: whether its history is cut off.
        head: the commit that HEAD is; empty before the first one.
    """

    top: str = ""
    is_shallow: bool = False
    head: str = ""


def _find_facts(directory: Path) -> _Facts:
    shallow, _, top = (ask_git(directory, "rev-parse", "--is-shallow-repository", "--show-toplevel") or "").partition(
        "\n"
    )
    head = ask_git(directory, "rev-parse", "--verify", "--quiet", "HEAD") if top else ""
    return _Facts(top, shallow == "true", head or "")


def _find_revisions(
    groups: Sequence[Sequence[Path]], facts: _Facts, memory: Path | None, tell: Callable[[int], None]
) -> list[Revision]:
    if not facts.top:
        return [Revision("", 0, "the recipe is in no git repository that git lets this user read")] * len(groups)
    top = Path(facts.top).resolve()
    names = [[os.path.relpath(path.resolve(), top) for path in group] for group in groups]
    # A history that is cut off may grow while its HEAD stays.
    kept = None if facts.is_shallow else memory
    found = find_last_commits(top, facts.head, names, kept, tell) if facts.head else (None,) * len(groups)
    return [_describe(commit, group[0], facts, top) for commit, group in zip(found, names, strict=True)]


def _describe(found: tuple[str, str] | None, path: str, facts: _Facts, top: Path) -> Revision:
    if not found:
        return Revision("", 0, "the recipe is not committed")
    commit, epoch = found
    problem = ""
    if facts.is_shallow and ask_git(top, "rev-parse", "--verify", "--quiet", f"{commit}^") is None:
        problem = "the clone is shallow, so the recipe's last commit may be an older one"
    # git takes whatever somebody writes into a commit.
    try:
        seconds = min(parse_number(epoch, smallest=-LARGEST_NUMBER), LARGEST_TIME)
    except BoundError:
        seconds, problem = 0, f"the time of the recipe's last commit is none: {shorten(epoch)}"
    return Revision(commit, seconds, problem, path)


def date_hint(path: Path, revision: Revision) -> str:
    """Return what to do so that a recipe has a commit with a date that can be relied on."""
    if revision.commit:
        return "fetch the whole history (git fetch --unshallow), or set SOURCE_DATE_EPOCH in the environment"
    directory = path.resolve().parent
    owned = next((above for above in (directory, *directory.parents) if (above / ".git").exists()), None)
    if shutil.which("git") is None:
        way = "install git"
    elif owned and not _find_facts(directory).top:
        way = f"let git read the other user's repository: git config --global --add safe.directory {owned}"
    else:
        way = f"{'commit it' if owned else 'keep recipes in a git repository: git init'}, git add, git commit"
    return f"{way}; or set SOURCE_DATE_EPOCH in the environment, in seconds since 1970"


def read_epoch(environment: Mapping[str, str]) -> int | None:
    """Return SOURCE_DATE_EPOCH, or None when it is unset or blank.

    Raises:
        SettingsError: it is not a number of seconds.
    """
    text = environment.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return None
    try:
        return parse_number(text, largest=LARGEST_TIME)
    except BoundError:
        raise SettingsError(
            f"not a number of seconds: {shorten(text)}",
            where="SOURCE_DATE_EPOCH",
            hint="give seconds since 1970, of the years up to 9999, or unset it",
        ) from None
