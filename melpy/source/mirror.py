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

from melpy.digest import sha256_hex
from melpy.errors import UnreachableError
from melpy.files import output_error
from melpy.plan.git import ALL, is_local
from melpy.source.git_command import complaint, git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from melpy.plan.git import Patience
    from melpy.run import Outcome

MISSING = "missing"
"""What was asked for is not in the repository."""
WHOLE_ONLY = "whole-only"
"""The server does not cut histories off."""

_MISSING = re.compile(r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.IGNORECASE)
_WHOLE_ONLY = re.compile(r"(does not|doesn't) support (shallow|--depth)", re.IGNORECASE)
_FINAL = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|not found|host key verification"
    r"|does not appear to be a git repository|does not exist|returned error: 4\d\d|given up after|dubious ownership"
    r"|fsck|not allowed",
    re.IGNORECASE,
)
_LONGEST_FETCH = 3600  # seconds; of all transports only http tells git when a server says nothing more
_HINT = "check the repository and the network"


class Mirror:
    """A mirror of one repository.

    Args:
        cache: directory of all mirrors.
        repository: URL or path that it mirrors.
        depth: commits of history that it has of what was fetched; 0 for all.
        patience: how failures to reach the repository are met.
        note: is told what is fetched.
        only: for what it is, where it serves one purpose.
    """

    def __init__(
        self, cache: Path, repository: str, depth: int, patience: Patience, note: Callable[[str], None], only: str = ""
    ) -> None:
        self.repository = repository
        self.depth = depth
        name = sha256_hex(repository.encode())
        cut = [] if depth == ALL else [str(depth), *([only] if only and depth > 1 else [])]
        self.path = cache / "-".join([name, *cut])
        self._patience = patience
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

    def fetch(self, refspecs: Sequence[str]) -> str:
        """Fetch from the repository, as often as its patience says; return why it was in vain, or nothing.

        Raises:
            UnreachableError: it cannot be reached, or refuses.
        """
        depth = [f"--depth={self.depth}"] if self.depth != ALL else []
        options = ["--quiet", "--force", "--no-write-fetch-head", *depth]
        self._note(f"fetching {self.repository}")
        attempt = 0
        while True:
            outcome = git(
                self.path,
                *("fetch", *options, "--", self.repository, *refspecs),
                check=False,
                local=is_local(self.repository),
                timeout=_LONGEST_FETCH,
            )
            if outcome.status == 0:
                return ""
            for reason, sign in ((MISSING, _MISSING), (WHOLE_ONLY, _WHOLE_ONLY)):
                if sign.search(outcome.stderr):
                    return reason
            if _FINAL.search(outcome.stderr) or attempt == self._patience.retries:
                message, details = "git cannot fetch from it", complaint(outcome)
                raise UnreachableError(message, where=self.repository, hint=_HINT, details=details)
            self._wait(attempt, outcome)
            attempt += 1

    def _wait(self, attempt: int, outcome: Outcome) -> None:
        pause = min(self._patience.initial * 2**attempt, self._patience.longest)
        pause += random.uniform(0, pause)  # noqa: S311  # nothing secret
        reason = next(iter(complaint(outcome)), f"status {outcome.status}")
        self._note(f"{self.repository}: {reason}; trying again in {pause:.0f} s")
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
