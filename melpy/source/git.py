"""Upstream repositories by commit: the mirror in the cache first, then rewrites, then the repository. Always verified.

What a source expects is checked against what the repository says when it is first fetched; from then on the mirror
remembers that, and the network is not needed. A source that expects nothing is fetched each time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from melpy import events
from melpy.codec import PartNoun, replace
from melpy.digest import identity, sha256_hex
from melpy.errors import DigestMismatchError, UnreachableError
from melpy.meter import open_meter, watch_files
from melpy.plan.git import ALL, GitSource, Patience, is_local
from melpy.source.git_command import check_git, check_tree
from melpy.source.mirror import MISSING, WHOLE_ONLY, Mirror, Origin
from melpy.source.place import NOWHERE, Candidate, SourcePlaces, by_digest_only, check_local_repository
from melpy.source.rewrite import find_repositories, worst_failure
from melpy.source.submodule import Link, find_links

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from melpy.errors import MelpyError
    from melpy.plan.git import CherryPick

Result = TypeVar("Result")

_IMPATIENT = Patience(retries=0)  # what a rewrite lacks, upstream may have
_NESTED = 20  # submodules within submodules
_MOST_LINKS = 1_000  # submodules in all


class Pinned(PartNoun, frozen=True):
    """A commit that is in a mirror, with all that belongs to it.

    Attributes:
        source: what was asked for.
        mirror: where it is.
        commit: the commit.
        tag_object: what the tag names, if a tag was asked for: the commit, or a tag object that leads to it.
        picks: mirror and commit of what is applied on top.
        submodules: path, name and commit of each submodule.
        origin: where it was fetched from just now; empty when it was there.
    """

    source: GitSource
    mirror: Path
    commit: str
    tag_object: str = ""
    picks: tuple[tuple[Path, str], ...] = ()
    submodules: tuple[tuple[Link, Pinned], ...] = ()
    origin: str = ""
    uncounted: ClassVar = ("origin",)

    def mirrors(self) -> Iterator[tuple[Path, str]]:
        """Yield every mirror that it needs, and what it mirrors."""
        yield self.mirror, self.source.repository
        for mirror, _ in self.picks:
            yield mirror, self.source.repository
        for _, child in self.submodules:
            yield from child.mirrors()


def fetch_git(
    source: GitSource,
    cache: Path,
    monitor: events.Monitor,
    job: str = "",
    places: SourcePlaces = NOWHERE,
) -> Pinned:
    """Return the commit of a source in a mirror, fetching it first when it is not there.

    Args:
        source: what is wanted.
        cache: directory of all mirrors.
        monitor: is told what happens.
        job: the build that it is for.
        places: where repositories are looked for, and what of this machine may be reached.

    Raises:
        ToolMissingError: git is not installed.
        UnreachableError: the repository cannot be reached, or does not have it.
        DigestMismatchError: what the repository has is not what the recipe expects.
        OutputError: the cache cannot be written.
    """
    _check_source(source)
    pinned = _Fetcher(cache.absolute(), monitor, job, places).pin_all(source)
    if not source.commit:
        place = "there" if pinned.origin == source.repository else f"at {pinned.origin}"
        text = f"{source.repository} is not verified, so the result is what {source.version} is {place} today"
        monitor.emit(events.Warning(job, text))
    return pinned


def find_tip(source: GitSource, cache: Path, monitor: events.Monitor, places: SourcePlaces = NOWHERE) -> str:
    """Return the commit that a source is at now which expects none, and fetch it; a failure is told at once.

    Raises:
        ToolMissingError, UnreachableError, OutputError: as `fetch_git`.
    """
    _check_source(source)
    return _Fetcher(cache.absolute(), monitor, "", places).pin(replace(source, patience=_IMPATIENT)).commit


def _check_source(source: GitSource) -> None:
    check_git()
    if not source.commit and is_local(source.repository):
        message, hint = "a repository of this machine is used by commit only", "give expected-commit"
        raise UnreachableError(message, where=source.repository, hint=hint)


def find_git(source: GitSource, cache: Path) -> Pinned | None:
    """Return the commit of a source, if it and all that belongs to it is in the cache.

    Raises:
        ToolMissingError: git is not installed.
    """
    check_git()
    if not source.commit:
        return None
    try:
        return _Fetcher(cache.absolute(), events.Null(), "", kept=True).pin_all(source)
    except UnreachableError:
        return None


@dataclass
class _Fetcher:
    cache: Path
    monitor: events.Monitor
    job: str
    places: SourcePlaces = NOWHERE
    kept: bool = False  # nothing is fetched from anywhere
    links: int = 0  # submodules so far

    def pin_all(self, source: GitSource) -> Pinned:
        """Find or fetch what a source names, and all that belongs to it."""
        pinned = self.pin(source)
        picks = tuple(self.pick(source, pick) for pick in source.cherry_picks)
        return replace(pinned, picks=picks, submodules=self.submodules(pinned) if source.submodules else ())

    def pin(self, source: GitSource) -> Pinned:
        """Find or fetch what a source names, and verify it."""
        request = identity([source.branch, source.tag, source.commit, source.tip, source.depth == ALL])[:32]
        verified = f"refs/melpy/verified/{request}"
        mirrors = self._mirrors(source, only=request)
        for mirror in mirrors if source.commit else ():
            found = mirror.find(verified)
            if found:
                return _pinned(source, mirror, found)

        def pin_from(origin: Origin) -> Pinned:
            for mirror in mirrors:
                with mirror.locked():
                    found = mirror.find(verified) if source.commit else ""  # others may have been here meanwhile
                    if not found:
                        found = self._fetch(origin, source, mirror)
                        if found and source.commit:
                            mirror.remember(verified, found)
                    if found:
                        return replace(_pinned(source, mirror, found), origin=origin.url)
            raise AssertionError("a whole history can always be had")

        return self._first(source, pin_from)

    def _fetch(self, origin: Origin, source: GitSource, mirror: Mirror) -> str:
        """Fetch what a source names and return its id; nothing when the server has whole histories only."""
        failure: UnreachableError | DigestMismatchError | None = None
        for ref in _refs(source, origin):
            own = _fetched(ref)
            problem = self._ask(origin, mirror, [f"+{ref}:{own}"])
            if problem == WHOLE_ONLY:
                return ""
            if problem == MISSING:
                failure = failure or _missing(source, origin)
                continue
            fetched = mirror.find(own)
            if not fetched:  # git takes nothing that would cut a whole history off, and calls that a success
                hint = "its history is cut off: git fetch --unshallow makes a clone whole"
                failure = UnreachableError("does not have the whole history", where=origin.url, hint=hint)
                continue
            try:
                oid = verify(source, mirror, fetched, origin.url)
            except DigestMismatchError as error:
                failure = error
            else:
                check_tree(mirror.path, oid, origin.url)
                return oid
        assert failure
        raise failure

    def pick(self, source: GitSource, pick: CherryPick) -> tuple[Path, str]:
        """Find or fetch a commit that is applied on top."""
        mirror = self._mirrors(source)[-1]

        def pick_from(origin: Origin) -> str:
            with mirror.locked():
                commit = mirror.commit(pick.commit) or self._fetch_pick(origin, mirror, pick)
            # A ref may have the name of an abbreviated commit.
            if not commit or not commit.startswith(pick.commit):
                where = f"branch {pick.branch!r} of {origin.url}" if pick.branch else origin.url
                hint = "name its branch, as in `branch/commit: comment`" if not pick.branch else None
                raise UnreachableError(f"has no commit {pick.commit} to cherry-pick", where=where, hint=hint)
            return commit

        commit = mirror.commit(pick.commit)
        if not commit.startswith(pick.commit):
            commit = self._first(source, pick_from)
        return mirror.path, commit

    def _fetch_pick(self, origin: Origin, mirror: Mirror, pick: CherryPick) -> str:
        for ref in _branches(pick.branch, origin) if pick.branch else ():
            self._ask(origin, mirror, [f"+{ref}:{_fetched(ref)}"])
            commit = mirror.commit(pick.commit)
            if commit:
                return commit
        return self._fetch_commit(origin, mirror, pick.commit)

    def _fetch_commit(self, origin: Origin, mirror: Mirror, commit: str) -> str:
        """Fetch a commit by its id, or all there is when the server gives none by its id."""
        if len(commit) == 40 and not self._ask(origin, mirror, [f"+{commit}:refs/melpy/commits/{commit}"]):
            return mirror.commit(commit)
        if mirror.depth != ALL:
            return ""
        # Tags that somebody made in a clone are not upstream's.
        others = "+refs/remotes/origin/*:refs/melpy/remotes/*" if origin.is_rewrite else "+refs/tags/*:refs/tags/*"
        self._ask(origin, mirror, ["+refs/heads/*:refs/melpy/heads/*", others])
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

        def pin_from(origin: Origin) -> Pinned:
            for mirror in mirrors:
                with mirror.locked():
                    if mirror.commit(source.commit) or self._fetch_commit(origin, mirror, source.commit):
                        check_tree(mirror.path, source.commit, origin.url)
                        return Pinned(source, mirror.path, source.commit)
            hint = "the repository around it names a commit that this one does not have"
            raise UnreachableError(f"has no commit {source.commit}", where=origin.url, hint=hint)

        return self._first(source, pin_from)

    def _first(self, source: GitSource, fetch: Callable[[Origin], Result]) -> Result:
        """Return what is fetched from the first place that has it; the recipe's own place is the last."""
        if self.kept:
            raise UnreachableError("is not in the cache", where=source.repository)
        urls = find_repositories(source.repository, self.places.rewrites)
        failures: list[MelpyError] = []
        if not source.commit:
            failures += by_digest_only(Candidate(url) for url in urls if is_local(url))
            urls = tuple(url for url in urls if not is_local(url))
            if self.places.offline and not failures:
                message = f"the recipe states no commit, so {source.version} is looked for anew, and melpy is offline"
                hint = "build it without --offline, or give expected-commit"
                raise UnreachableError(message, where=source.repository, hint=hint)
        limit = self.places.limit
        rewritten = [Origin(url, _IMPATIENT, is_rewrite=True, limit=limit) for url in urls]
        for origin in (*rewritten, Origin(source.repository, source.patience, limit=limit)):
            try:
                if is_local(origin.url) and not origin.is_rewrite:
                    check_local_repository(origin.url, self.places.local)
                return fetch(origin)
            except (UnreachableError, DigestMismatchError) as error:
                failures.append(error)
                if origin.is_rewrite:
                    self._note(str(error))
        raise worst_failure(failures)

    def _ask(self, origin: Origin, mirror: Mirror, refspecs: Sequence[str]) -> str:
        """Fetch from a place into a mirror; see `Mirror.fetch`."""
        if self.places.offline and not is_local(origin.url):
            message, hint = (
                "what is wanted is not in the cache, and melpy is offline",
                "fetch it once without --offline",
            )
            raise UnreachableError(message, where=origin.url, hint=hint)
        with (
            open_meter(self.monitor, self.job, f"fetching {origin.url}") as meter,
            watch_files(meter, mirror.path, ["objects/pack/tmp_pack_*"]),  # what git is receiving
        ):
            return mirror.fetch(refspecs, origin)

    def _note(self, text: str) -> None:
        self.monitor.emit(events.Note(self.job, text))

    def _mirrors(self, source: GitSource, only: str = "") -> tuple[Mirror, ...]:
        """Return the mirrors that may have what a source names: that of its depth, that of whole histories."""
        depths = dict.fromkeys((source.depth, ALL))
        return tuple(Mirror(self.cache, source.repository, depth, self._note, only) for depth in depths)


def _refs(source: GitSource, origin: Origin) -> tuple[str, ...]:
    """Return what a place may call what a source names, in the order in which it is asked for."""
    if source.tag:
        return (f"refs/tags/{source.tag}",)
    # A clone may stand anywhere: where the commit is known, the commit decides.
    own = (source.commit,) if origin.is_rewrite and source.commit and not source.tip else ()
    return (*own, *_branches(source.branch, origin))


def _branches(branch: str, origin: Origin) -> tuple[str, ...]:
    """Return what a place may call a branch, or HEAD without one: a clone has upstream's as remote ones."""
    remote = (f"refs/remotes/origin/{branch or 'HEAD'}",) if origin.is_rewrite and is_local(origin.url) else ()
    return (*remote, f"refs/heads/{branch}" if branch else "HEAD")


def _missing(source: GitSource, origin: Origin) -> UnreachableError:
    what = f"tag {source.tag!r}" if source.tag else f"branch {source.branch!r}" if source.branch else "HEAD"
    hint = "check its name in the recipe; upstream may have removed it"
    return UnreachableError(f"has no {what}", where=origin.url, hint=hint)


def verify(source: GitSource, mirror: Mirror, found: str, where: str) -> str:
    """Check what was fetched against what a source expects; return what is to be checked out.

    Args:
        source: what is expected.
        mirror: where it was fetched into.
        found: id of what was fetched.
        where: place that it was fetched from.

    Raises:
        DigestMismatchError: it is something else.
    """
    commit, expected = mirror.commit(found), source.commit
    if not commit:
        raise DigestMismatchError(f"{source.version} is no commit", where=where)
    if source.tag:
        if expected in {"", found, commit}:
            return found
        hint = "upstream moved the tag, or expected-commit is wrong; compare with what upstream announced"
        raise _mismatch(source, where, f"tag {source.tag!r}", commit, hint)
    if expected in {"", commit}:
        return commit
    what = f"branch {source.branch!r}" if source.branch else "HEAD"
    if source.tip:
        hint = "the branch went on; change expected-commit, or leave expected-commit-is-branch-tip out"
        raise _mismatch(source, where, what, commit, hint)
    if source.depth != ALL:
        raise _mismatch(source, where, what, commit, "with `depth: -1` it may be any commit of the branch")
    if mirror.contains(commit, expected):
        return expected
    raise _mismatch(source, where, what, commit, "it is in no part of the history; name the branch that has it")


def _mismatch(source: GitSource, where: str, what: str, found: str, hint: str) -> DigestMismatchError:
    message = f"{what} is at commit {found}, the recipe expects {source.commit}"
    return DigestMismatchError(message, where=where, hint=hint)


def _pinned(source: GitSource, mirror: Mirror, oid: str) -> Pinned:
    return Pinned(source, mirror.path, mirror.commit(oid), oid if source.tag else "")


def _fetched(ref: str) -> str:
    return f"refs/melpy/fetched/{sha256_hex(ref.encode())[:32]}"
