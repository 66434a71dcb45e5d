"""git as melpy calls it: nobody's configuration but the one below, no hooks, no questions, no other transports.

Repositories and what they hold come from strangers, and git runs outside of the sandbox. Nothing here depends on the
user's or the machine's settings, so that a checkout is the same everywhere. Source: git-config(1), git(1).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from melpy.credential import Login
from melpy.errors import ProcessError, UnreachableError
from melpy.run import Outcome, find_tool, run, stream
from melpy.text import quote_line
from melpy.unpack import UNPACK_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTITY = ("melpy", "melpy@localhost")
"""Name and address of whoever commits cherry-picks."""

_DIGITS = 19  # of a size
_MOST_FILES = 1_000_000  # of a commit; Chromium has half as many
_INSTALL = "install git, for example with: apt-get install git"
_CONFIG = {
    # Nothing that a repository or its configuration could name is run.
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "commit.gpgSign": "false",
    "transfer.bundleURI": "false",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "always",
    "protocol.git.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.ext.allow": "never",
    # Submodules are melpy's own business.
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    # Nothing runs on its own, and objects never vanish from a mirror.
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.writeCommitGraph": "false",
    "fetch.unpackLimit": "1",  # packs come whole or not at all
    "pack.threads": "1",
    # The same files everywhere.
    "core.autocrlf": "false",
    "core.symlinks": "true",
    "core.fileMode": "true",
    "core.logAllRefUpdates": "false",
    "advice.detachedHead": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    # Objects are checked as they come in; what old tools wrote, and nobody can change any more, is let pass.
    "fetch.fsckObjects": "true",
    **{
        f"{where}.{name}": "ignore"
        for where in ("fetch.fsck", "fsck")
        for name in (
            "badEmail badDate badName badTimezone extraHeaderEntry missingAuthor missingEmail missingNameBeforeEmail "
            "missingSpaceBeforeDate missingSpaceBeforeEmail missingTaggerEntry multipleAuthors zeroPaddedDate "
            "zeroPaddedFilemode badFilemode"
        ).split()
    },
}
_PATIENCE = 60.0  # seconds for a helper, which may ask a server of its own
_MEMORY = 4 << 30  # a server may name refs without end; indexing the pack of Linux takes less than 2 GB
_PASSED = (
    *("PATH", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


def check_git() -> None:
    """Check that git is installed.

    Raises:
        ToolMissingError: it is not.
    """
    find_tool("git", hint=_INSTALL)


def git(
    directory: Path,
    *arguments: str,
    check: bool = True,
    local: bool = False,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    largest_file: int = 0,
) -> Outcome:
    """Run git in a repository.

    Args:
        directory: bare repository, or the top of a working tree.
        arguments: command and its arguments.
        check: whether another exit status than 0 is an error.
        local: whether repositories of this machine may be fetched from.
        stdin: what it reads.
        environment: further variables.
        timeout: seconds after which it is given up.
        largest_file: bytes that a file may get that it writes, such as a pack; 0 for any.

    Raises:
        ToolMissingError: git is not installed.
        ProcessError: it failed, and `check` is set.
    """
    outcome = run(
        _command(*arguments, local=local),
        env=_environment(environment),
        cwd=directory,
        stdin=stdin,
        check=False,
        timeout=timeout,
        largest_file=largest_file,
        memory=_MEMORY,
    )
    if check and outcome.status:
        raise ProcessError(f"git {arguments[0]} ended with status {outcome.status}", details=complaint(outcome))
    return outcome


def _command(*arguments: str, local: bool = False) -> list[str]:
    config = {**_CONFIG, "protocol.file.allow": "always" if local else "never"}
    switches = [word for key, value in config.items() for word in ("-c", f"{key}={value}")]
    return [find_tool("git", hint=_INSTALL), *switches, *arguments]


def ask_login(url: str) -> Login | None:
    """Return the login that the user's own git has for a server, by its credential helpers; it asks nobody.

    Source: git-credential(1).
    """
    parts = urlsplit(url)
    asked = f"protocol={parts.scheme}\nhost={parts.netloc}\npath={parts.path.lstrip('/')}\n\n"
    # In no repository, whose configuration would count as well.
    silent = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "GIT_DIR": "/nonexistent"}
    command = [find_tool("git", hint=_INSTALL), "credential", "fill"]
    outcome = run(command, env={**os.environ, **silent}, cwd=Path("/"), stdin=asked, check=False, timeout=_PATIENCE)
    found = dict(line.split("=", 1) for line in outcome.stdout.splitlines() if "=" in line)
    user, password = found.get("username", ""), found.get("password", "")
    return Login(user, password) if outcome.status == 0 and (user or password) else None


def login_environment(url: str, login: Login | None) -> dict[str, str]:
    """Return what gives git a login for a server and for no other, where no other user of this machine sees it."""
    if login is None or "\n" in login.user + login.password:
        return {}
    parts = urlsplit(url)
    give = 'printf "username=%s\\npassword=%s\\n" "$MELPY_LOGIN_USER" "$MELPY_LOGIN_PASSWORD"'
    return {
        "MELPY_LOGIN_USER": login.user,
        "MELPY_LOGIN_PASSWORD": login.password,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"credential.{parts.scheme}://{parts.netloc}.helper",
        "GIT_CONFIG_VALUE_0": f'!f() {{ test "$1" = get && {give}; }}; f',
    }


def check_tree(repository: Path, commit: str, where: str) -> None:
    """Check that a commit checks out to no more than an archive may become; a few trees can name each other often.

    Raises:
        UnreachableError: it becomes too much.
    """
    entries = size = 0

    def count(line: str) -> None:
        nonlocal entries, size
        entries += 1
        word = line.partition("\t")[0].rpartition(" ")[2]
        size += int(word) if word.isdecimal() and len(word) < _DIGITS else 0
        if entries > _MOST_FILES or size > UNPACK_LIMIT.size:
            message = f"commit {commit} becomes more than {_MOST_FILES} files or {UNPACK_LIMIT.size} bytes"
            raise UnreachableError(message, where=where, hint="do not trust this repository")

    listing = _command("-C", str(repository), "ls-tree", "-r", "-l", "--full-tree", commit)
    stream(listing, count, env=_environment(None))


def serving() -> list[str]:
    """Return what has a repository of this machine served whoever owns it; its configuration names no programs then."""
    return ["--upload-pack=git -c 'safe.directory=*' upload-pack"]


def complaint(outcome: Outcome) -> tuple[str, ...]:
    """Return git's complaints without its hints, marked as another program's lines."""
    return tuple(quote_line(line) for line in outcome.tail if line.strip() and not line.startswith("hint:"))


def _environment(further: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    name, address = IDENTITY
    return {
        **kept,
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=30",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_EDITOR": "true",
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": address,
        **(further or {}),
    }
