"""Bare mirrors of git repositories in the cache: `<cache>/git/<digest of the URL>`.

A mirror only grows: nothing is ever pruned, so that a commit that was verified once can be checked out again without
the network. Histories that are cut off have mirrors of their own, since where they are cut is a property of the whole
repository. One process at a time writes to a mirror.
"""

from __future__ import annotations

import fcntl
import os
import random
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.credential import describe_logins, find_login
from melpy.digest import sha256_hex
from melpy.errors import DigestMismatchError, UnreachableError
from melpy.files import output_error
from melpy.net import is_remote
from melpy.plan.git import ALL, Patience, is_local
from melpy.source.git_command import ask_login, complaint, git, login_environment, serving
from melpy.source.place import SOURCE_LIMIT, limit_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from melpy.run import Outcome

MISSING = "missing"
"""What was asked for is not in the repository."""
WHOLE_ONLY = "whole-only"
"""The server does not cut histories off."""

_MISSING = re.compile(r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.IGNORECASE)
_WHOLE_ONLY = re.compile(r"(does not|doesn't) support (shallow|--depth)", re.IGNORECASE)
_NO_LOGIN = re.compile(r"authentication failed|could not read (username|password)", re.IGNORECASE)
_TOO_LARGE = re.compile(r"died of signal 25|File too large")  # SIGXFSZ and EFBIG
_OTHER = re.compile(
    r"permission denied|not found|could not resolve host|host key verification"
    r"|does not appear to be a git repository|does not exist|returned error: 4\d\d"
    r"|given up after|dubious ownership|fsck|not allowed|out of memory",
    re.IGNORECASE,
)
_FINAL = (_NO_LOGIN, _TOO_LARGE, _OTHER)
"""Failures that another attempt would meet again."""
_LONGEST_FETCH = 3600  # seconds; of all transports only http tells git when a server says nothing more
_HINT = "check the repository and the network"


class Origin(Noun, frozen=True):
    """Where a repository is fetched from.

    Attributes:
        url: its URL or path there.
        patience: how failures to reach it are met.
        is_rewrite: the user said that it is there; otherwise it is where the recipe says.
        limit: bytes that may be fetched from it at once.
    """

    url: str
    patience: Patience
    is_rewrite: bool = False
    limit: int = SOURCE_LIMIT


class Mirror:
    """A mirror of one repository.

    Args:
        cache: directory of all mirrors.
        repository: URL or path that it mirrors.
        depth: commits of history that it has of what was fetched; 0 for all.
        note: is told what is fetched.
        only: for what it is, where it serves one purpose.
    """

    def __init__(self, cache: Path, repository: str, depth: int, note: Callable[[str], None], only: str = "") -> None:
        self.repository = repository
        self.depth = depth
        name = sha256_hex(repository.encode())
        cut = [] if depth == ALL else [str(depth), *([only] if only and depth > 1 else [])]
        self.path = cache / "-".join([name, *cut])
        self._note = note

    @property
    def is_made(self) -> bool:
        """Whether there is such a mirror."""
        return (self.path / "melpy").is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the mirror to oneself, made if it was not there.

        Raises:
            OutputError: it cannot be written.
        """
        with _lock(self.path, fcntl.LOCK_EX):
            self._make()
            yield

    def find(self, name: str, kind: str = "") -> str:
        """Return the full id of a ref or an abbreviated id; empty when it is not there."""
        if not self.is_made:
            return ""
        suffix = f"^{{{kind}}}" if kind else ""
        outcome = git(self.path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}{suffix}", check=False)
        return outcome.stdout.strip() if outcome.status == 0 else ""

    def commit(self, name: str) -> str:
        """Return the commit that a ref or an id leads to; empty when it is not there."""
        return self.find(name, "commit")

    def contains(self, tip: str, commit: str) -> bool:
        """Tell whether a commit is part of the history that ends at another."""
        return git(self.path, "merge-base", "--is-ancestor", commit, tip, check=False).status == 0

    def remember(self, ref: str, oid: str) -> None:
        """Keep a commit or tag under a ref of melpy's own."""
        git(self.path, "update-ref", ref, oid)

    def fetch(self, refspecs: Sequence[str], origin: Origin) -> str:
        """Fetch from a place, as often as its patience says; return why it was in vain, or nothing.

        Raises:
            UnreachableError: it cannot be reached, or refuses.
        """
        depth = [f"--depth={self.depth}"] if self.depth != ALL else []
        # What the user names is read whoever owns it; what a recipe names is not.
        trusted = serving() if origin.is_rewrite and is_local(origin.url) else []
        options = ["--quiet", "--force", "--no-write-fetch-head", *trusted, *depth]
        self._note(f"fetching {origin.url}")
        login = find_login(origin.url) if is_remote(origin.url) else None
        may_ask = is_remote(origin.url) and login is None
        attempt = 0
        while True:
            outcome = git(
                self.path,
                *("fetch", *options, "--", origin.url, *refspecs),
                check=False,
                local=is_local(origin.url),
                environment=login_environment(origin.url, login),
                timeout=_LONGEST_FETCH,
                largest_file=origin.limit,
            )
            if outcome.status == 0:
                return ""
            if may_ask and _NO_LOGIN.search(outcome.stderr):
                may_ask, login = False, ask_login(origin.url)
                if login:
                    continue
            for reason, sign in ((MISSING, _MISSING), (WHOLE_ONLY, _WHOLE_ONLY)):
                if sign.search(outcome.stderr):
                    return reason
            if attempt == origin.patience.retries or _is_final(outcome):
                error = _refusal(outcome, origin)
                error.passing = attempt == origin.patience.retries and not _is_final(outcome)
                raise error
            self._wait(attempt, outcome, origin)
            attempt += 1

    def _wait(self, attempt: int, outcome: Outcome, origin: Origin) -> None:
        pause = min(origin.patience.initial * 2**attempt, origin.patience.longest)
        pause += random.uniform(0, pause)  # noqa: S311  # nothing secret
        reason = next(iter(complaint(outcome)), f"status {outcome.status}")
        self._note(f"{origin.url}: {reason}; trying again in {pause:.0f} s")
        time.sleep(pause)

    def _make(self) -> None:
        # Whoever held these locks is gone, or this one would not be ours.
        for stale in (*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock")):
            stale.unlink(missing_ok=True)
        if self.is_made:
            return
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise output_error(self.path, error) from None
        git(self.path, "init", "--quiet", "--bare", "--template=", ".")
        # Those who serve this mirror to a checkout read its own configuration only.
        for key, value in (("uploadpack.allowAnySHA1InWant", "true"), ("pack.threads", "1"), ("gc.auto", "0")):
            git(self.path, "config", key, value)
        (self.path / "melpy").write_text(f"{self.repository}\n", encoding="utf-8")


def _is_final(outcome: Outcome) -> bool:
    return any(sign.search(outcome.stderr) for sign in _FINAL)


def _refusal(outcome: Outcome, origin: Origin) -> UnreachableError:
    message, hint = "git cannot fetch from it", _HINT
    if _TOO_LARGE.search(outcome.stderr):
        message, hint = f"is larger than the {origin.limit} bytes that a source may have", limit_hint()
    elif _NO_LOGIN.search(outcome.stderr) and is_remote(origin.url):
        hint = f"{describe_logins()}, or let a credential helper of git know it"
    return UnreachableError(message, where=origin.url, hint=hint, details=complaint(outcome))


def check_mirror(path: Path, repository: str) -> None:
    """Check that every object of a mirror is what its id says, and that none is missing.

    Raises:
        DigestMismatchError: it is damaged.
        OutputError: it cannot be locked.
    """
    with shared(path):
        outcome = git(path, "fsck", "--full", "--no-dangling", "--no-progress", check=False)
    if outcome.status:
        hint = f"remove {path}, and melpy source fetch makes it anew"
        message = "its mirror in the cache is damaged"
        raise DigestMismatchError(message, where=repository, hint=hint, details=complaint(outcome)[:5])


def mirror_size(path: Path) -> int:
    """Return the bytes that a mirror's packs take."""
    return sum(pack.stat().st_size for pack in path.glob("objects/pack/*.pack"))


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Have a mirror as it is, while others may read it too.

    Raises:
        OutputError: it cannot be locked.
    """
    with _lock(path, fcntl.LOCK_SH):
        yield


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise output_error(path, error) from None
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
