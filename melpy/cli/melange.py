"""What melange's commands and flags are called here: the table behind messages and docs/reference/melange.md.

Source: the help texts of melange v0.59 (the hidden `rebuild` and `convert` from its documentation). A test holds the
table against their list, and against melpy's own commands and flags.
"""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """What something of melange is here.

    Attributes:
        here: command, flag or variable that does it; empty where nothing does.
        note: how it differs, or why there is none.
    """

    here: str = ""
    note: str = ""


_NO_LINT = Word("", "packages are not linted; what apk would not take is warned of by every build")
_KEEP = Word("--keep", "without it, only a build that failed leaves its directory")
_BESIDE = Word("", "a recipe's own files are those of the directory beside it that is named like the package")
_SHELL = Word("melpy shell", "it enters a build that failed, or was kept with --keep")
_BY_HAND = Word("", "edit version and epoch; the next build tells the digest of what upstream has")
_FETCH = Word("melpy source fetch", "it brings sources into --cache-dir")

COMMANDS = {
    "build": Word("melpy build"),
    "bump": _BY_HAND,
    "compile": Word("melpy compile"),
    "completion": Word("_MELPY_COMPLETE=bash_source melpy", "or zsh_source, fish_source"),
    "convert": Word("", "melange itself has none any more"),
    "help": Word("melpy --help"),
    "index": Word("melpy index"),
    "initramfs": Word("", "builds need no virtual machine"),
    "keygen": Word("melpy keygen"),
    "license-check": Word("melpy check", "it looks at the licences that recipes name, not into sources"),
    "lint": _NO_LINT,
    "package-version": Word("melpy package-version"),
    "query": Word("melpy query"),
    "rebuild": Word("melpy build", "of the recipe at the same commit"),
    "scan": Word("", "melpy build finds what packages depend on and provide; build the recipe again"),
    "sign": Word("melpy sign"),
    "sign-index": Word("melpy sign-index"),
    "source": Word("melpy source"),
    "source get": _FETCH,
    "source pop": Word("", "patches are made by hand"),
    "test": Word("", "tests of recipes are checked, but not run yet"),
    "update-cache": _FETCH,
    "version": Word("melpy --version"),
}
"""melange's commands, hidden ones too."""

_BUILD = {
    "--apk-cache-dir": Word("--cache-dir", "it has all that is kept"),
    "--arch": Word("--arch", "this machine's without it, not all nine"),
    "--build-date": Word("SOURCE_DATE_EPOCH", "a variable of the environment, in seconds since 1970"),
    "--build-option": Word("--build-option"),
    "--cache-dir": Word("--cache-dir", "steps see none of it; --build-cache keeps /var/cache/melange"),
    "--cache-source": Word("--mirror"),
    "--cleanup": _KEEP,
    "--cpu": Word("--cpu"),
    "--cpumodel": Word("", "builds run on the processor that is there"),
    "--create-build-log": Word("--json", "it lists the packages"),
    "--debug": Word("--debug"),
    "--debug-runner": _KEEP,
    "--dependency-log": Word("--json", "it tells what each package depends on"),
    "--disk": Word("--disk"),
    "--empty-workspace": Word("", "a workspace begins with the recipe's own files, and is empty where it has none"),
    "--env-file": Word("--env-file"),
    "--fail-on-lint-warning": _NO_LINT,
    "--generate-index": Word("", "the index is always written"),
    "--generate-provenance": Word("", "the record beside a build's log tells what went into it"),
    "--git-commit": Word("", "the commit is that of the recipe in its git repository"),
    "--git-repo-url": Word("--git-repo-url"),
    "--ignore-signatures": Word("--ignore-signatures"),
    "--interactive": _SHELL,
    "-i": _SHELL,
    "--keyring-append": Word("--keyring-append"),
    "-k": Word("-k"),
    "--license": Word("--license"),
    "--lint-require": _NO_LINT,
    "--lint-warn": _NO_LINT,
    "--memory": Word("--memory"),
    "--namespace": Word("--namespace"),
    "--out-dir": Word("--out-dir"),
    "--override-host-triplet-libc-substitution-flavor": Word("", "triplets name gnu"),
    "--package-append": Word("--package-append"),
    "--persist-lint-results": _NO_LINT,
    "--pipeline-dir": Word("--pipeline-dir"),
    "--pipeline-dirs": Word("--pipeline-dirs"),
    "--repository-append": Word("--repository-append"),
    "-r": Word("-r"),
    "--rm": _KEEP,
    "--runner": Word("", "steps run in bubblewrap"),
    "--signing-key": Word("--signing-key"),
    "--source-dir": _BESIDE,
    "--strip-origin-name": Word("", "the origin of packages is the recipe's main package"),
    "--timeout": Word("--timeout"),
    "--trace": Word("--json", "it tells the seconds of each stage"),
    "--vars-file": Word("--vars-file"),
    "--workspace-dir": Word("--cache-dir", "each build has a new directory in it; --keep leaves that"),
}

_AS_BUILD = ("--arch", "--build-option", "--env-file", "--package-append", "--pipeline-dir", "--vars-file")
_NOT_BUILT = Word("", "compile builds nothing, and needs no such flag")

FLAGS: dict[str, dict[str, Word]] = {
    "melange": {"--log-level": Word("--verbose", "or --quiet, behind build")},
    "build": _BUILD,
    "compile": {
        **{flag: _BUILD[flag] if flag in _AS_BUILD else _NOT_BUILT for flag in _BUILD},
        "--log-policy": Word("", "messages go to stderr"),
    },
    "index": {
        flag: Word(flag)
        for flag in ("--arch", "--merge", "--output", "--signing-key", "--source", "-a", "-m", "-o", "-s")
    },
    "keygen": {"--key-size": Word("--bits")},
    "rebuild": {
        "--diff": Word("", "build into another --out-dir and compare the files, which are the same bytes"),
        "--out-dir": Word("--out-dir"),
        "--runner": _BUILD["--runner"],
        "--signing-key": Word("--signing-key"),
        "--source-dir": _BESIDE,
    },
    "sign": {"--signing-key": Word("--signing-key"), "-k": Word("--signing-key")},
    "sign-index": {"--force": Word("--force"), "--signing-key": Word("--signing-key"), "-f": Word("-f")},
    "source": {
        "--output": Word("--cache-dir", "melpy source fetch brings sources there, and unpacks none"),
        "-o": Word("--cache-dir", "melpy source fetch brings sources there, and unpacks none"),
        "--source-dir": _BESIDE,
    },
    "update-cache": {"--cache-dir": Word("--cache-dir")},
    "version": {"--json": Word("", "melpy --version prints text")},
}
"""Flags of melange's commands. Commands that do nothing here need no table of flags."""

_SOURCE = {"source fetch": "update-cache", "source list": "source", "source verify": "update-cache"}


def explain_command(name: str) -> str | None:
    """Return what a command of melange is here, such as `source get`; None for what is no command of melange."""
    return _sentence(name, COMMANDS[name]) if name in COMMANDS else None


def explain_flag(command: str, flag: str) -> str | None:
    """Return what a flag of melange is here; None for what is no flag of melange.

    Args:
        command: command of melpy that does not know the flag, such as `source fetch`; empty in front of any.
        flag: the flag, with its dashes.
    """
    own = FLAGS.get(_SOURCE.get(command, command), {})
    # Some give a flag to another command than melange does.
    word = own.get(flag) or FLAGS["melange"].get(flag) or _BUILD.get(flag)
    if word is None:
        return None
    if word.here == flag:
        return f"{flag} is for other commands, such as melpy build"
    return _sentence(flag, word)


def _sentence(name: str, word: Word) -> str:
    if not word.here:
        return f"melange's {name} is not here: {word.note}"
    return f"melange's {name} is {word.here} here{f': {word.note}' if word.note else ''}"
