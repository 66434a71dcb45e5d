"""The last commit of each path of a git repository, remembered from one build to the next.

git follows a few paths through a long history hardly faster than all of them: its filters of changed paths help for
one path only, and few clones have them. So the first parents are walked once for all paths, from HEAD back to the first
commit that changed one of those that are asked for, and the commits on the way are kept in melpy's cache. The next
question begins where the last one ended, and commits on top of a remembered HEAD are put before the others.

The answer is that of `git log -1 HEAD -- PATH`, whatever is remembered: git goes to the first parent wherever that
has the same, so it comes to the same commit of this line. Where that is a merge, git itself is asked which commit of
the branch it was. Source: "History Simplification" in git-log(1).
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.codec import replace
from melpy.engine.gitrepo import ask_git, read_git, unquote
from melpy.errors import OutputError
from melpy.files import read_own_file, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

DIRECTORY = "history"
"""Directory of the cache that remembers walks."""

_FORM = 3  # of the file
_MARK = "\x01"  # of a commit's line; in the name of a file git quotes it
_LOG = ("log", "--first-parent", "--diff-merges=first-parent", "--name-only", "--no-renames", "--no-color")
_FORMAT = "--format=%x01%H %ct %P"
_MOST_ARGUMENTS = 100  # paths that git is asked about one by one
_TOLD = 5_000  # commits after which a walk is told of once more


Commit = tuple[str, str, bool]
"""Id of a commit, its committer's time as git prints it, and whether it is a merge."""

_Found = tuple[Commit, tuple[str, ...]]
"""A commit, and those of the paths asked for that it changed."""


@dataclass
class _Walk:
    """The newest commits of a line of first parents.

    Attributes:
        head: the commit that it begins with.
        count: how many commits have been met.
        parent: first parent of the last one; empty where the line ends.
        commits: the commits that are the last one of a path.
        last: position in `commits` of each path's last commit.
        settled: id and time of the commit that git names for a merge, by the merge and the paths that it changed.
    """

    head: str = ""
    count: int = 0
    parent: str = ""
    commits: list[Commit] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)
    settled: dict[str, tuple[str, str]] = field(default_factory=dict)
    _above: dict[str, int] = field(default_factory=dict, repr=False)
    _counted: int = -1

    @property
    def is_whole(self) -> bool:
        """Whether there are no more commits."""
        return self.count > 0 and not self.parent

    def find(self, paths: Sequence[str]) -> tuple[Commit, tuple[str, ...]] | None:
        """Return the newest commit that changed one of these files or directories, and those that it changed."""
        end = len(self.commits)
        places = {path: self._newest.get(path, end) for path in paths}
        newest = min(places.values(), default=end)
        if newest == end:
            return None
        return self.commits[newest], tuple(path for path, place in places.items() if place == newest)

    @property
    def _newest(self) -> Mapping[str, int]:
        """Position of the last commit of each file, and of each directory that has one."""
        if self._counted != self.count:
            self._above = {}
            for path, place in self.last.items():
                name = path
                while name and self._above.get(name, place + 1) > place:
                    self._above[name] = place
                    name = name.rpartition("/")[0]
            self._counted = self.count
        return self._above

    def continued(self, older: _Walk) -> _Walk:
        """Return this walk with one that begins where it ended."""
        last = {path: place + len(self.commits) for path, place in older.last.items()} | self.last
        commits = [*self.commits, *older.commits]
        return _Walk(self.head, self.count + older.count, older.parent, commits, last, older.settled)


class _Met(Exception):  # noqa: N818  # it ends a walk, and is no error
    """A walk has met one of the paths that it was for."""


def find_last_commits(
    top: Path, head: str, groups: Sequence[Sequence[str]], cache: Path | None, tell: Callable[[int], None]
) -> tuple[tuple[str, str] | None, ...]:
    """Return, for each group of paths, id and committer time of the last commit that changed one of them, or None.

    The history is walked once for all groups, as far back as one of them needs it.

    Args:
        top: directory of the repository.
        head: the commit that HEAD is.
        groups: files, and directories whose files count, relative to the repository.
        cache: directory that remembers walks; None keeps nothing.
        tell: is told now and then how many commits have been walked.

    Raises:
        ProcessError: git does not come to an end.
    """
    # What was never committed, or is gone, would be looked for to the end.
    there = _find_there(top, head, {path for group in groups for path in group})
    wanted = [[path for path in group if path in there] for group in groups]
    place = cache / hashlib.sha256(os.fsencode(top)).hexdigest()[:32] if cache else None
    known = _load(place) if place else _Walk()
    walk = known if known.head == head else _catch_up(top, head, known)
    before = walk.count
    unmet = [paths for paths in wanted if paths and not walk.find(paths)]
    if unmet and not walk.is_whole:
        _go_on(top, walk, unmet, tell)
    found = [walk.find(paths) if paths else None for paths in wanted]
    settled = _settle(top, found, walk)
    if place and (walk.count != before or walk is not known or settled):
        _save(place, walk)
    return tuple(_answer(one, walk) if one else None for one in found)


def _find_there(top: Path, head: str, paths: AbstractSet[str]) -> AbstractSet[str]:
    """Return those of these paths that a commit has."""
    if len(paths) <= _MOST_ARGUMENTS:
        listed = ask_git(top, "ls-tree", "-t", "--name-only", head, "--", *sorted(paths)) if paths else ""
    else:
        listed = ask_git(top, "ls-tree", "-r", "-t", "--name-only", head)
    return paths & set(map(unquote, (listed or "").splitlines()))


def _settle(top: Path, found: Sequence[_Found | None], walk: _Walk) -> bool:
    """Ask git which commits of their branches the merges stand for that are not known yet; tell whether any were."""
    wanted = {_name(one): one for one in found if one and one[0][2] and _name(one) not in walk.settled}

    def ask(one: _Found) -> str:
        (commit, time, _), changed = one
        return ask_git(top, "log", "-1", "--format=%H %ct", commit, "--", *changed) or f"{commit} {time}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # git is a process of its own, each time
        for name, line in zip(wanted, pool.map(ask, wanted.values()), strict=True):
            walk.settled[name] = _split(line)
    return bool(wanted)


def _answer(found: _Found, walk: _Walk) -> tuple[str, str]:
    (commit, time, is_merge), _ = found
    return walk.settled[_name(found)] if is_merge else (commit, time)


def _name(found: _Found) -> str:
    (commit, _, _), changed = found
    return "\0".join((commit, *changed))


def _split(line: str) -> tuple[str, str]:
    commit, _, time = line.partition(" ")
    return commit, time


def _catch_up(top: Path, head: str, known: _Walk) -> _Walk:
    """Return the walk of a new HEAD as far as it is known: with that of the old one, where this is in its line."""
    walk = _Walk(head)
    if known.head:
        read_git(top, lambda line: _take(walk, line), *_LOG, _FORMAT, head, f"^{known.head}")
    return walk.continued(known) if walk.parent == known.head and walk.count else walk


def _go_on(top: Path, walk: _Walk, groups: Sequence[Sequence[str]], tell: Callable[[int], None]) -> None:
    """Continue a walk until a commit has changed one path of each group."""
    left = set(range(len(groups)))
    of_path: dict[str, list[int]] = {}
    for number, paths in enumerate(groups):
        for path in paths:
            of_path.setdefault(path, []).append(number)

    def take(line: str) -> None:
        if line.startswith(_MARK):
            if not left:
                raise _Met
            if walk.count and walk.count % _TOLD == 0:
                tell(walk.count)
        path = _take(walk, line)
        while path:  # the file, and the directories above it
            left.difference_update(of_path.get(path, ()))
            path = path.rpartition("/")[0]

    with suppress(_Met):
        read_git(top, take, *_LOG, _FORMAT, f"--skip={walk.count}", walk.head)


def _take(walk: _Walk, line: str) -> str:
    """Take a line of the log into account, and return the path that it names; empty where it names none."""
    if line.startswith(_MARK):
        commit, time, *parents = line[1:].split()
        walk.count += 1
        walk.parent = parents[0] if parents else ""
        walk.commits.append((commit, time, len(parents) > 1))
        return ""
    path = unquote(line)
    if path:
        walk.last.setdefault(path, len(walk.commits) - 1)
    return path


def _load(place: Path) -> _Walk:
    try:
        stated = json.loads(read_own_file(place) or b"{}")
        if stated.pop("form", None) != _FORM:
            return _Walk()
        stated["commits"] = [(commit, time, is_merge) for commit, time, is_merge in stated["commits"]]
        stated["settled"] = {name: (commit, time) for name, (commit, time) in stated["settled"].items()}
        return _Walk(**stated)
    except (ValueError, TypeError, KeyError):
        return _Walk()


def _save(place: Path, walk: _Walk) -> None:
    # Of most commits, later ones have touched everything again.
    used = {old: new for new, old in enumerate(sorted(set(walk.last.values())))}
    last = {path: used[old] for path, old in walk.last.items()}
    kept = replace(walk, commits=[walk.commits[old] for old in used], last=last)
    try:
        with replace_file(place, 0o600, durable=False) as stream:
            commits = {commit for commit, *_ in kept.commits}
            settled = {name: one for name, one in walk.settled.items() if name.partition("\0")[0] in commits}
            facts = {"head": kept.head, "count": kept.count, "parent": kept.parent, "commits": kept.commits}
            stream.write(
                json.dumps(
                    {"form": _FORM, **facts, "last": kept.last, "settled": settled}, separators=(",", ":")
                ).encode()
            )
    except OutputError:
        return  # the next build walks once more
