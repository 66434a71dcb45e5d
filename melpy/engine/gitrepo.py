"""What git says of the repository that a recipe lies in, without anything being run that the repository names.

Whose repository may be read is git's own rule (safe.directory), so the user's configuration counts. No hook, no
monitor, no transport for missing objects is run. A repository may name pipes and endless files, and allow each
transport for itself: hence the times, and the variable, which has the last word.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from melpy.errors import ProcessError
from melpy.run import run, stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PATIENCE = 60.0  # seconds without a word
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_OPTIONS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.quotePath=true",
    "core.sshCommand=false",
    "log.mailmap=false",
    "log.showRoot=true",
    "log.showSignature=false",
    "mailmap.blob=",
    "mailmap.file=",
    "protocol.allow=never",
)
_VARIABLES = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}


def ask_git(directory: Path, *arguments: str) -> str | None:
    """Return what git prints, without space around it; None when it fails.

    Raises:
        ProcessError: it takes too long.
    """
    outcome = run(_command(directory, arguments), env=_environment(), check=False, timeout=_PATIENCE)
    if outcome.status < 0:
        raise _too_long(directory, arguments)
    return outcome.stdout.strip() if outcome.status == 0 else None


def read_git(directory: Path, on_line: Callable[[str], object], *arguments: str) -> bool:
    """Hand each line that git prints to `on_line`, and tell whether git ended well.

    Raises:
        ProcessError: it is silent for too long.
    """
    heard = time.monotonic()

    def hear(line: str) -> None:
        nonlocal heard
        heard = time.monotonic()
        on_line(line)

    def watch(_: int) -> str:
        return "silent" if time.monotonic() - heard > _PATIENCE else ""

    outcome = stream(_command(directory, arguments), hear, env=_environment(), watch=watch)
    if outcome.stopped:
        raise _too_long(directory, arguments)
    return outcome.status == 0


def unquote(name: str) -> str:
    """Return the name of a file that git may have quoted as in C. Source: core.quotePath of git-config(1)."""
    if not name.startswith('"'):
        return name

    def replace(match: re.Match[str]) -> str:
        text = match[1]
        return chr(int(text, 8)) if len(text) == 3 else _CONTROLS.get(text, text)  # octal digits

    return os.fsdecode(_ESCAPE.sub(replace, name[1:-1]).encode("latin-1"))


def _command(directory: Path, arguments: tuple[str, ...]) -> list[str]:
    return ["git", "-C", str(directory), *[item for option in _OPTIONS for item in ("-c", option)], *arguments]


def _environment() -> dict[str, str]:
    names = ("HOME", "PATH", "XDG_CONFIG_HOME")
    return {name: os.environ[name] for name in names if name in os.environ} | _VARIABLES


def _too_long(directory: Path, arguments: tuple[str, ...]) -> ProcessError:
    return ProcessError(
        f"git {arguments[0]} takes longer than {_PATIENCE:.0f} s",
        where=str(directory),
        hint="do not trust this repository: its .git may name what never ends",
    )
