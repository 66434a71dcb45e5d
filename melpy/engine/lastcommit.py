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
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.codec import asdict, replace
from melpy.engine.gitrepo import ask_git, read_git
from melpy.errors import OutputError
from melpy.files import read_own_file, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DIRECTORY = "history"
"""Directory of the cache that remembers walks."""

_FORM = 2  # of the file
_MARK = "\x01"  # of a commit's line; in the name of a file git quotes it
_LOG = ("log", "--first-parent", "--diff-merges=first-parent", "--name-only", "--no-renames", "--no-color")
_FORMAT = "--format=%x01%H %ct %P"
_TOLD = 5_000  # commits after which a walk is told of once more
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


Commit = tuple[str, str, bool]
"""Id of a commit, its committer's time as git prints it, and whether it is a merge."""


@dataclass
class _Walk:
    """The newest commits of a line of first parents.

    Attributes:
        head: the commit that it begins with.
        count: how many commits have been met.
        parent: first parent of the last one; empty where the line ends.
        commits: the commits that are the last one of a path.
        last: position in `commits` of each path's last commit.
    """

    head: str = ""
    count: int = 0
    parent: str = ""
    commits: list[Commit] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether there are no more commits."""
        return self.count > 0 and not self.parent

    def find(self, paths: Sequence[str]) -> tuple[Commit, tuple[str, ...]] | None:
        """Return the newest commit that changed one of these files or directories, and those that it changed."""
        end = len(self.commits)
        places = {
            path: min(
                (at for name, at in self.last.items() if name == path or name.startswith(f"{path}/")), default=end
            )
            for path in paths
        }
        newest = min(places.values(), default=end)
        if newest == end:
            return None
        return self.commits[newest], tuple(path for path, place in places.items() if place == newest)

    def continued(self, older: _Walk) -> _Walk:
        """Return this walk with one that begins where it ended."""
        last = {path: place + len(self.commits) for path, place in older.last.items()} | self.last
        return _Walk(self.head, self.count + older.count, older.parent, [*self.commits, *older.commits], last)


class _Met(Exception):  # noqa: N818  # it ends a walk, and is no error
    """A walk has met one of the paths that it was for."""


def find_last_commit(
    top: Path, head: str, paths: Sequence[str], cache: Path | None, tell: Callable[[int], None]
) -> tuple[str, str] | None:
    """Return id and committer time, as git prints it, of the last commit that changed one of these paths, or None.

    Args:
        top: directory of the repository.
        head: the commit that HEAD is.
        paths: files, and directories whose files count, relative to the repository.
        cache: directory that remembers walks; None keeps nothing.
        tell: is told now and then how many commits have been walked.

    Raises:
        ProcessError: git does not come to an end.
    """
    # What was never committed, or is gone, would be looked for to the end.
    there = ask_git(top, "ls-tree", "--name-only", head, "--", *paths) or ""
    known_to_git = set(map(_unquote, there.splitlines()))
    paths = [path for path in paths if path in known_to_git]
    if not paths:
        return None
    place = cache / hashlib.sha256(os.fsencode(top)).hexdigest()[:32] if cache else None
    known = _load(place) if place else _Walk()
    walk = known if known.head == head else _catch_up(top, head, known)
    before = walk.count
    found = walk.find(paths)
    if not found and not walk.is_whole:
        _go_on(top, walk, paths, tell)
        found = walk.find(paths)
    if place and (walk.count != before or walk is not known):
        _save(place, walk)
    if not found:
        return None
    (commit, time, is_merge), changed = found
    line = ask_git(top, "log", "-1", "--format=%H %ct", commit, "--", *changed) if is_merge else None
    return _split(line) if line else (commit, time)


def _split(line: str) -> tuple[str, str]:
    commit, _, time = line.partition(" ")
    return commit, time


def _catch_up(top: Path, head: str, known: _Walk) -> _Walk:
    """Return the walk of a new HEAD as far as it is known: with that of the old one, where this is in its line."""
    walk = _Walk(head)
    if known.head:
        read_git(top, lambda line: _take(walk, line), *_LOG, _FORMAT, head, f"^{known.head}")
    return walk.continued(known) if walk.parent == known.head and walk.count else walk


def _go_on(top: Path, walk: _Walk, paths: Sequence[str], tell: Callable[[int], None]) -> None:
    """Continue a walk to the first commit that changes one of these paths."""
    below = tuple(f"{path}/" for path in paths)
    is_met = False

    def take(line: str) -> None:
        nonlocal is_met
        if line.startswith(_MARK):
            if is_met:
                raise _Met
            if walk.count and walk.count % _TOLD == 0:
                tell(walk.count)
        path = _take(walk, line)
        is_met = is_met or path in paths or path.startswith(below)

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
    path = _unquote(line)
    if path:
        walk.last.setdefault(path, len(walk.commits) - 1)
    return path


def _unquote(name: str) -> str:
    """Return the name of a file that git may have quoted as in C. Source: core.quotePath of git-config(1)."""
    if not name.startswith('"'):
        return name

    def replace(match: re.Match[str]) -> str:
        text = match[1]
        return chr(int(text, 8)) if len(text) == 3 else _CONTROLS.get(text, text)  # octal digits

    return os.fsdecode(_ESCAPE.sub(replace, name[1:-1]).encode("latin-1"))


def _load(place: Path) -> _Walk:
    try:
        stated = json.loads(read_own_file(place) or b"{}")
        if stated.pop("form", None) != _FORM:
            return _Walk()
        stated["commits"] = [(commit, time, is_merge) for commit, time, is_merge in stated["commits"]]
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
            stream.write(json.dumps({"form": _FORM, **asdict(kept)}, separators=(",", ":")).encode())
    except OutputError:
        return  # the next build walks once more
