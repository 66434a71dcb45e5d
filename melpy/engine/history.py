"""When a recipe last changed, and in which commit: from git, for SOURCE_DATE_EPOCH and the SBOM.

What counts is the last commit that touched the recipe, its source directory, or a pipeline of one's own that it
uses: the same recipe gives the same packages, whatever else was committed since.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.bound import LARGEST_NUMBER, LARGEST_TIME, BoundError, parse_number, shorten
from melpy.errors import ProcessError, SettingsError
from melpy.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_PATIENCE = 60.0  # seconds; the history of a path takes some 10 in the largest repositories


@dataclass(frozen=True)
class Revision:
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


def find_revision(paths: Sequence[Path]) -> Revision:
    """Return the last commit that touched one of these paths; epoch 0 where there is none.

    Where paths are in several repositories, it is the first one's commit, with the time of the latest of all.
    """
    if shutil.which("git") is None:
        return Revision("", 0, "git is not installed")
    facts = {directory: _facts(directory) for directory in dict.fromkeys(path.resolve().parent for path in paths)}
    groups: dict[tuple[str, bool], list[Path]] = {}
    for path in paths:
        groups.setdefault(facts[path.resolve().parent], []).append(path)
    first, *others = (_find_revision(group, *known) for known, group in groups.items())
    problem = next((other.problem for other in (first, *others) if other.problem), "")
    return Revision(first.commit, max(revision.epoch for revision in (first, *others)), problem, first.path)


def _facts(directory: Path) -> tuple[str, bool]:
    """Return the repository that a directory is in, empty where there is none, and whether it is shallow."""
    shallow, _, top = (_git(directory, "rev-parse", "--is-shallow-repository", "--show-toplevel") or "").partition("\n")
    return top, shallow == "true"


def _find_revision(paths: Sequence[Path], top: str, is_shallow: bool) -> Revision:
    directory = paths[0].resolve().parent
    if not top:
        return Revision("", 0, "the recipe is in no git repository that git lets this user read")
    names = [str(path.resolve()) for path in paths]
    line = _git(directory, "log", "-1", "--format=%H %ct", "--", *names)
    if not line:
        return Revision("", 0, "the recipe is not committed")
    commit, _, epoch = line.partition(" ")
    problem = ""
    if is_shallow and _git(directory, "rev-parse", "--verify", "--quiet", f"{commit}^") is None:
        problem = "the clone is shallow, so the recipe's last commit may be an older one"
    # git takes whatever somebody writes into a commit.
    try:
        seconds = min(parse_number(epoch, smallest=-LARGEST_NUMBER), LARGEST_TIME)
    except BoundError:
        seconds, problem = 0, f"the time of the recipe's last commit is none: {shorten(epoch)}"
    return Revision(commit, seconds, problem, os.path.relpath(names[0], Path(top).resolve()))


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


def _git(directory: Path, *arguments: str) -> str | None:
    # Whose repository may be read is git's own rule (safe.directory), so the user's configuration counts. Nothing
    # that the repository's configuration names is run: no hook, no monitor, no transport for missing objects. It may
    # name pipes and endless files, and allow each transport for itself: hence the time, and the variable, which has
    # the last word.
    options = ["core.fsmonitor=false", "core.hooksPath=/dev/null", "log.showSignature=false", "protocol.allow=never"]
    options += ["core.sshCommand=false", "mailmap.file=", "mailmap.blob=", "log.mailmap=false"]
    environment = {name: os.environ[name] for name in ("HOME", "PATH", "XDG_CONFIG_HOME") if name in os.environ}
    environment |= {
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
    }
    switches = [argument for option in options for argument in ("-c", option)]
    command = ["git", "-C", str(directory), *switches, *arguments]
    outcome = run(command, env=environment, check=False, timeout=_PATIENCE)
    if outcome.status < 0:
        raise ProcessError(
            f"git {arguments[0]} takes longer than {_PATIENCE:.0f} s",
            where=str(directory),
            hint="do not trust this repository: its .git may name what never ends",
        )
    return outcome.stdout.strip() if outcome.status == 0 else None
