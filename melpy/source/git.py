"""Upstream repositories by commit: the mirror in the cache first, then the repository itself. Always verified.

What a source expects is checked against what the repository says when it is first fetched; from then on the mirror
remembers that, and the network is not needed. A source that expects nothing is fetched each time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from melpy import events
from melpy.digest import identity, sha256_hex
from melpy.errors import DigestMismatchError, UnreachableError
from melpy.plan.git import ALL, GitSource, is_local
from melpy.source.git_command import check_git
from melpy.source.mirror import MISSING, WHOLE_ONLY, Mirror
from melpy.source.submodule import Link, find_links

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.plan.git import CherryPick

_NESTED = 20  # submodules within submodules
_MOST_LINKS = 1_000  # submodules in all


@dataclass(frozen=True)
class Pinned:
    """A commit that is in a mirror, with all that belongs to it.

    Attributes:
        source: what was asked for.
        mirror: where it is.
        commit: the commit.
        tag_object: what the tag names, if a tag was asked for: the commit, or a tag object that leads to it.
        picks: mirror and commit of what is applied on top.
        submodules: path, name and commit of each submodule.
    """

    source: GitSource
    mirror: Path
    commit: str
    tag_object: str = ""
    picks: tuple[tuple[Path, str], ...] = ()
    submodules: tuple[tuple[Link, Pinned], ...] = ()


def fetch_git(
    source: GitSource, cache: Path, monitor: events.Monitor, job: str = "", *, offline: bool = False
) -> Pinned:
    """Return the commit of a source in a mirror, fetching it first when it is not there.

    Args:
        source: what is wanted.
        cache: directory of all mirrors.
        monitor: is told what happens.
        job: the build that it is for.
        offline: ask no server.

    Raises:
        ToolMissingError: git is not installed.
        UnreachableError: the repository cannot be reached, or does not have it.
        DigestMismatchError: what the repository has is not what the recipe expects.
        OutputError: the cache cannot be written.
    """
    check_git()
    if not source.commit:
        if is_local(source.repository):
            hint = "give expected-commit"
            raise UnreachableError(
                "a repository of this machine is used by commit only", where=source.repository, hint=hint
            )
        text = f"{source.repository} is not verified, so the result is what {source.version} is there today"
        monitor.emit(events.Warning(job, text))
    fetcher = _Fetcher(cache.absolute(), monitor, job, offline)
    pinned = fetcher.pin(source)
    picks = tuple(fetcher.pick(source, pick) for pick in source.cherry_picks)
    submodules = fetcher.submodules(pinned) if source.submodules else ()
    return replace(pinned, picks=picks, submodules=submodules)


@dataclass
class _Fetcher:
    cache: Path
    monitor: events.Monitor
    job: str
    offline: bool = False
    links: int = 0  # submodules so far

    def pin(self, source: GitSource) -> Pinned:
        """Find or fetch what a source names, and verify it."""
        request = identity([source.branch, source.tag, source.commit, source.tip, source.depth == ALL])[:32]
        verified = f"refs/melpy/verified/{request}"
        mirrors = self._mirrors(source, only=request)
        for mirror in mirrors if source.commit else ():
            found = mirror.find(verified)
            if found:
                return _pinned(source, mirror, found)
        for mirror in mirrors:
            with mirror.locked():
                found = mirror.find(verified) if source.commit else ""  # others may have been here meanwhile
                fetched = "" if found else self._fetch(source, mirror)
                if fetched:
                    found = verify(source, mirror, fetched)
                    if source.commit:
                        mirror.remember(verified, found)
                if found:
                    return _pinned(source, mirror, found)
        raise AssertionError("a whole history can always be had")

    def _fetch(self, source: GitSource, mirror: Mirror) -> str:
        """Fetch what a source names and return its id; nothing when the server has whole histories only."""
        ref = f"refs/tags/{source.tag}" if source.tag else f"refs/heads/{source.branch}" if source.branch else "HEAD"
        own = _fetched(ref)
        problem = self._ask(mirror, [f"+{ref}:{own}"])
        if problem == MISSING:
            what = f"tag {source.tag!r}" if source.tag else f"branch {source.branch!r}" if source.branch else "HEAD"
            hint = "check its name in the recipe; upstream may have removed it"
            raise UnreachableError(f"has no {what}", where=source.repository, hint=hint)
        return "" if problem == WHOLE_ONLY else mirror.find(own)

    def pick(self, source: GitSource, pick: CherryPick) -> tuple[Path, str]:
        """Find or fetch a commit that is applied on top."""
        mirror = self._mirrors(source)[-1]
        with mirror.locked():
            commit = mirror.commit(pick.commit)
            if not commit and pick.branch:
                ref = f"refs/heads/{pick.branch}"
                self._ask(mirror, [f"+{ref}:{_fetched(ref)}"])
                commit = mirror.commit(pick.commit)
            commit = commit or self._fetch_commit(mirror, pick.commit)
        # A ref may have the name of an abbreviated commit.
        if not commit or not commit.startswith(pick.commit):
            where = f"branch {pick.branch!r} of {source.repository}" if pick.branch else source.repository
            hint = "name its branch, as in `branch/commit: comment`" if not pick.branch else None
            raise UnreachableError(f"has no commit {pick.commit} to cherry-pick", where=where, hint=hint)
        return mirror.path, commit

    def _fetch_commit(self, mirror: Mirror, commit: str) -> str:
        """Fetch a commit by its id, or all there is when the server gives none by its id."""
        if len(commit) == 40 and not self._ask(mirror, [f"+{commit}:refs/melpy/commits/{commit}"]):
            return mirror.commit(commit)
        if mirror.depth != ALL:
            return ""
        self._ask(mirror, ["+refs/heads/*:refs/melpy/heads/*", "+refs/tags/*:refs/tags/*"])
        return mirror.commit(commit)

    def submodules(self, pinned: Pinned, nested: int = 0) -> tuple[tuple[Link, Pinned], ...]:
        """Find or fetch the submodules of a commit, and theirs."""
        source = pinned.source
        links, strays = find_links(pinned.mirror, pinned.commit, source.repository)
        for path in strays:
            self.monitor.emit(events.Warning(self.job, f"{source.repository}: .gitmodules has no URL for {path!r}"))
        self.links += len(links)
        if self.links > _MOST_LINKS:
            raise UnreachableError(f"has more than {_MOST_LINKS} submodules", where=source.repository)
        if links and nested == _NESTED:
            raise UnreachableError(f"has submodules within submodules {nested} times", where=source.repository)

        def follow(link: Link) -> tuple[Link, Pinned]:
            depth = 1 if source.shallow_submodules else ALL
            child = replace(source, repository=link.url, commit=link.commit, branch="", tag="", tip=False, depth=depth)
            found = self._pin_commit(replace(child, cherry_picks=(), sparse_paths=()))
            return link, replace(found, submodules=self.submodules(found, nested + 1))

        if source.jobs == 1:
            return tuple(map(follow, links))
        with ThreadPoolExecutor(source.jobs) as pool:
            return tuple(pool.map(follow, links))

    def _pin_commit(self, source: GitSource) -> Pinned:
        mirrors = self._mirrors(source)
        for mirror in mirrors:
            if mirror.commit(source.commit):
                return Pinned(source, mirror.path, source.commit)
        for mirror in mirrors:
            with mirror.locked():
                if mirror.commit(source.commit) or self._fetch_commit(mirror, source.commit):
                    return Pinned(source, mirror.path, source.commit)
        hint = "the repository around it names a commit that this one does not have"
        raise UnreachableError(f"has no commit {source.commit}", where=source.repository, hint=hint)

    def _ask(self, mirror: Mirror, refspecs: Sequence[str]) -> str:
        """Fetch from the repository of a mirror; see `Mirror.fetch`."""
        if self.offline and not is_local(mirror.repository):
            hint = "fetch it once without --offline"
            raise UnreachableError(
                "what is wanted is not in the cache, and melpy is offline", where=mirror.repository, hint=hint
            )
        return mirror.fetch(refspecs)

    def _mirrors(self, source: GitSource, only: str = "") -> tuple[Mirror, ...]:
        """Return the mirrors that may have what a source names: that of its depth, that of whole histories."""

        def note(text: str) -> None:
            self.monitor.emit(events.Note(self.job, text))

        depths = dict.fromkeys((source.depth, ALL))
        return tuple(Mirror(self.cache, source.repository, depth, source.patience, note, only) for depth in depths)


def verify(source: GitSource, mirror: Mirror, found: str) -> str:
    """Check what was fetched against what a source expects; return what is to be checked out.

    Raises:
        DigestMismatchError: it is something else.
    """
    commit, expected = mirror.commit(found), source.commit
    if not commit:
        raise DigestMismatchError(f"{source.version} is no commit", where=source.repository)
    if source.tag:
        if expected in {"", found, commit}:
            return found
        hint = "upstream moved the tag, or expected-commit is wrong; compare with what upstream announced"
        raise _mismatch(source, f"tag {source.tag!r}", commit, hint)
    if expected in {"", commit}:
        return commit
    what = f"branch {source.branch!r}" if source.branch else "HEAD"
    if source.tip:
        hint = "the branch went on; change expected-commit, or leave expected-commit-is-branch-tip out"
        raise _mismatch(source, what, commit, hint)
    if source.depth != ALL:
        raise _mismatch(source, what, commit, "with `depth: -1` it may be any commit of the branch")
    if mirror.contains(commit, expected):
        return expected
    raise _mismatch(source, what, commit, "it is in no part of the history; name the branch that has it")


def _mismatch(source: GitSource, what: str, found: str, hint: str) -> DigestMismatchError:
    message = f"{what} is at commit {found}, the recipe expects {source.commit}"
    return DigestMismatchError(message, where=source.repository, hint=hint)


def _pinned(source: GitSource, mirror: Mirror, oid: str) -> Pinned:
    return Pinned(source, mirror.path, mirror.commit(oid), oid if source.tag else "")


def _fetched(ref: str) -> str:
    return f"refs/melpy/fetched/{sha256_hex(ref.encode())[:32]}"
