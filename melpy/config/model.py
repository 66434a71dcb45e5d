"""Settings: what they are called, what they hold, and what holds without them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "melpy.toml"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: its name in melpy.toml and, with `--`, on the command line.
        kind: `text`, `path`, `secret`, `list` or `paths`; relative paths count from the file that says them. A secret
            is kept in a file, unless its place begins with `env:` or `fd:`.
        help: what it is for.
        default: its value when nobody says anything.
    """

    key: str
    kind: str
    help: str
    default: str | tuple[str, ...] = ""

    @property
    def attribute(self) -> str:
        """Its name in Python."""
        return self.key.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable that sets it; lists are separated by spaces."""
        return f"MELPY_{self.attribute.upper()}"

    @property
    def is_list(self) -> bool:
        """Whether it holds several values."""
        return self.kind in {"list", "paths"}


def default_cache() -> str:
    """Return the user's cache directory for melpy, as the XDG base directory specification has it."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return f"{base}/melpy"


SETTINGS = (
    Setting("arch", "list", "architectures to build for; host is this machine's", ("host",)),
    Setting(
        "out-dir", "path", "where packages and indexes are written, one directory for each architecture", "packages"
    ),
    Setting(
        "signing-key",
        "secret",
        "RSA private key that signs packages and indexes: a file, env:VARIABLE or fd:NUMBER; none leaves them unsigned",
    ),
    Setting(
        "signing-key-name", "text", "file name of the public key that goes with it; that of a file with .pub after"
    ),
    Setting(
        "signing-passphrase", "secret", "where the passphrase of the key is kept: a file, env:VARIABLE or fd:NUMBER"
    ),
    Setting("repositories", "list", "repositories that build environments come from: directories or URLs", ()),
    Setting("keyring", "list", "public keys that repositories are trusted by: files or URLs", ()),
    Setting("packages", "list", "packages that every build environment has besides", ()),
    Setting("pipeline-dirs", "paths", "directories with pipelines of one's own, before the built-in ones", ()),
    Setting("env-files", "paths", "files of environment variables for every step; {arch} is the architecture", ()),
    Setting("vars-file", "path", "YAML file of values for the variables of recipes, before their own"),
    Setting("ranges", "list", "NAME=KEY: the keys that a range of subpackages is restricted to: py-versions=3.13", ()),
    Setting("mirrors", "list", "where upstream files are looked for before upstream: directories or URLs", ()),
    Setting(
        "rewrites",
        "list",
        "PREFIX=PLACE: what URLs of sources begin with, and the directory or URL that stands for it",
        (),
    ),
    Setting(
        "local-sources",
        "paths",
        "directories whose files, git repositories and package repositories recipes may name",
        (),
    ),
    Setting("source-limit", "text", "bytes that a source file may have at most, such as 500MB or 20GB", "10GB"),
    Setting("unpack-limit", "text", "what an archive may become at most, such as 500MB or 2TB", "64GB"),
    Setting("cache-dir", "path", "where sources, extracted packages and the seed are kept", default_cache()),
    Setting(
        "build-cache",
        "text",
        "what builds see as /var/cache/melange: of their recipe alone (recipe), of all recipes (shared), or none",
        "none",
    ),
    Setting(
        "timeout",
        "text",
        "how long the steps of a build may take, such as 1h30m, over the recipe's `timeout`; 0 is without end",
    ),
    Setting("cpu", "text", "processors that a build may use; 0 for all"),
    Setting("memory", "text", "memory that a build may use, such as 8Gi; 0 for all"),
    Setting("disk", "text", "disk that a build may fill, such as 50Gi; 0 for all"),
    Setting("processes", "text", "processes that a build may have at a time; 0 for any number"),
    Setting("namespace", "text", "distribution that the packages belong to, for SBOMs and purls", "unknown"),
    Setting("git-repo-url", "text", "repository of the recipes, such as https://github.com/wolfi-dev/os, for SBOMs"),
    Setting("recipe-license", "text", "licence of the recipes themselves, for SBOMs"),
    Setting("seed", "text", "Debian suite that missing packages of build environments are made from, such as trixie"),
    Setting("seed-mirror", "text", "Debian archive for the seed; the machine's own by default"),
)

BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Value:
    """The value of a setting, and who says so."""

    setting: Setting
    value: str | tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Settings:
    """Every setting's value. It is taken apart in `melpy.cli`, never passed down whole.

    Attributes:
        values: values by key.
        file: the melpy.toml that was read, if any.
    """

    values: dict[str, Value]
    file: Path | None

    def text(self, key: str) -> str:
        """Return a single value; empty when nobody set it."""
        value = self.values[key].value
        assert isinstance(value, str)
        return value

    def items(self, key: str) -> tuple[str, ...]:
        """Return a list."""
        value = self.values[key].value
        assert isinstance(value, tuple)
        return value

    def path(self, key: str) -> Path | None:
        """Return a single path, or None when nobody set it."""
        return Path(self.text(key)) if self.text(key) else None
