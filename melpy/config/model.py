"""Settings: each is named, typed and described here, once; flags, variables, melpy.toml and docs follow from it.

`Settings` is taken apart in `melpy.cli`, never passed down whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from melpy.config import kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.apk.secret import SecretPlace
    from melpy.arch import Arch
    from melpy.repo.model import Location
    from melpy.source.place import Rewrite

FILE_NAME = "melpy.toml"

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: its name in melpy.toml.
        kind: how its text is read; relative paths count from the file that says them.
        help: what it is for.
        short: the help of its flag.
        metavar: what stands for its value in the help of its flag.
        flags: its flags; the first one with two dashes is its name in messages.
        default: its text when nobody says anything.
        is_appended: whether flags add to what else says it, instead of taking its place.
    """

    key: str
    kind: kind.Kind[Any]
    help: str
    short: str
    metavar: str
    flags: tuple[str, ...]
    default: str | tuple[str, ...]
    is_appended: bool

    @property
    def attribute(self) -> str:
        """Its name in Python."""
        return self.key.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable that sets it; lists are separated by spaces."""
        return f"MELPY_{self.attribute.upper()}"

    @property
    def flag(self) -> str:
        """What messages call its flag."""
        return next(flag for flag in self.flags if flag.startswith("--"))

    @property
    def is_list(self) -> bool:
        """Whether it has several texts."""
        return self.kind.join is not None


@dataclass(frozen=True)
class Value:
    """The text of a setting, with absolute paths, and who says it."""

    setting: Setting
    text: str | tuple[str, ...]
    origin: str


def default_cache() -> str:
    """Return the user's cache directory for melpy, as the XDG base directory specification has it."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return f"{base}/melpy"


def _setting(
    read: kind.Kind[T],
    help: str,  # noqa: A002  # as click and argparse call it
    short: str,
    metavar: str,
    *flags: str,
    default: str | tuple[str, ...] = "",
    is_appended: bool = False,
) -> T:
    """Declare a setting; its type is that of its kind."""
    return cast(T, field(metadata={"setting": (read, help, short, metavar, flags, default, is_appended)}))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # each method costs start-up half a millisecond
class Settings:
    """Every setting's value.

    Attributes:
        values: texts and origins by key.
        file: the melpy.toml that was read, if any.
    """

    arch: tuple[Arch, ...] = _setting(
        kind.ARCHITECTURES,
        "architectures to build for; host is this machine's",
        "Architecture; several, or a comma list.",
        "ARCH",
        default=("host",),
    )
    out_dir: Path = _setting(
        kind.PATH,
        "where packages and indexes are written, one directory for each architecture",
        "Repository of what is built.",
        "DIR",
        "-o",
        "--out-dir",
        default="packages",
    )
    signing_key: SecretPlace | None = _setting(
        kind.SECRET,
        "RSA private key that signs packages and indexes: a file, env:VARIABLE or fd:NUMBER; none leaves them unsigned",
        "RSA private key that signs: file, env:VARIABLE or fd:NUMBER.",
        "PLACE",
    )
    signing_key_name: str = _setting(
        kind.FILE_NAME_ONLY,
        "file name of the public key that goes with it; that of a file with .pub after",
        "File name of its public key; FILE.pub by default.",
        "NAME",
    )
    signing_passphrase: SecretPlace | None = _setting(
        kind.SECRET,
        "where the passphrase of the key is kept: a file, env:VARIABLE or fd:NUMBER",
        "Passphrase of the key: file, env:VARIABLE or fd:NUMBER.",
        "PLACE",
    )
    repositories: tuple[Location, ...] = _setting(
        kind.REPOSITORIES,
        "repositories that build environments come from: directories or URLs",
        "Further repository: directory or URL.",
        "PLACE",
        "-r",
        "--repository-append",
        is_appended=True,
    )
    keyring: tuple[str, ...] = _setting(
        kind.PLACES,
        "public keys that repositories are trusted by: files or URLs",
        "Further trusted public key: file or URL.",
        "PLACE",
        "-k",
        "--keyring-append",
        is_appended=True,
    )
    packages: tuple[str, ...] = _setting(
        kind.TEXTS,
        "packages that every build environment has besides",
        "Further package of every environment.",
        "NAME",
        "--package-append",
        is_appended=True,
    )
    pipeline_dirs: tuple[Path, ...] = _setting(
        kind.PATHS,
        "directories with pipelines of one's own, before the built-in ones",
        "Directory of pipelines.",
        "DIR",
        "--pipeline-dir",
        "--pipeline-dirs",
    )
    env_files: tuple[Path, ...] = _setting(
        kind.PATHS,
        "files of environment variables for every step; {arch} is the architecture",
        "Environment variables for steps; {arch} is the architecture.",
        "FILE",
        "--env-file",
    )
    vars_file: Path | None = _setting(
        kind.OPTIONAL_PATH,
        "YAML file of values for the variables of recipes, before their own",
        "YAML file of values for variables of recipes.",
        "FILE",
    )
    ranges: Mapping[str, frozenset[str]] = _setting(
        kind.RANGES,
        "NAME=KEY: the keys that a range of subpackages is restricted to: py-versions=3.13",
        "Make only the subpackages of these keys: py-versions=3.13.",
        "NAME=KEY",
        "--range",
    )
    mirrors: tuple[str, ...] = _setting(
        kind.PLACES,
        "where upstream files are looked for before upstream: directories or URLs",
        "Where sources are looked for before upstream.",
        "PLACE",
        "--mirror",
    )
    rewrites: tuple[Rewrite, ...] = _setting(
        kind.REWRITES,
        "PREFIX=PLACE: what URLs of sources begin with, and the directory or URL that stands for it",
        "Where sources are whose URLs begin so: directory or URL.",
        "PREFIX=PLACE",
        "--rewrite",
    )
    local_sources: tuple[Path, ...] = _setting(
        kind.PATHS,
        "directories whose files, git repositories and package repositories recipes may name",
        "Directory whose files and git repositories recipes may name.",
        "DIR",
        "--local-source",
    )
    source_limit: int = _setting(
        kind.SIZE,
        "bytes that a source file may have at most, such as 500MB or 20GB",
        "What a source file may have at most.",
        "SIZE",
        default="10GB",
    )
    unpack_limit: int = _setting(
        kind.SIZE,
        "what an archive may become at most, such as 500MB or 2TB",
        "What an archive may become at most.",
        "SIZE",
        default="64GB",
    )
    cache_dir: Path = _setting(
        kind.PATH,
        "where sources, extracted packages and the seed are kept",
        "Sources, extracted packages, the seed.",
        "DIR",
        default=default_cache(),
    )
    result_limit: int = _setting(
        kind.SIZE,
        "bytes that results of earlier builds may take in the cache; those used longest ago go first; 0 for any number",
        "What results of earlier builds may take in the cache.",
        "SIZE",
        default="20GB",
    )
    published: tuple[Location, ...] = _setting(
        kind.REPOSITORIES,
        "repositories that clients use already: a version that one of them has is not published with other content",
        "Repository whose versions are not published with other content.",
        "PLACE",
        "--published",
        is_appended=True,
    )
    bootstrap_first: tuple[str, ...] = _setting(
        kind.TEXTS,
        "recipes whose packages come from outside at first where recipes need one another",
        "Recipe whose packages come from outside at first, in a cycle.",
        "RECIPE",
        "--bootstrap-first",
        is_appended=True,
    )
    build_cache: str = _setting(
        kind.choice("kind of cache", "none", "recipe", "shared"),
        "what builds see as /var/cache/melange: of their recipe alone (recipe), of all recipes (shared), or none",
        "What is kept at /var/cache/melange from build to build: none, recipe or shared.",
        "KIND",
        default="none",
    )
    timeout: float | None = _setting(
        kind.DURATION,
        "how long the steps of a build may take, such as 1h30m, over the recipe's `timeout`; 0 is without end",
        "How long the steps of a build may take: 1h30m.",
        "TIME",
    )
    cpu: int = _setting(
        kind.NUMBER, "processors that a build may use; 0 for all", "Processors that a build may use; 0 for all.", "N"
    )
    memory: int = _setting(
        kind.MEMORY,
        "memory that a build may use, such as 8Gi; 0 for all",
        "Memory that a build may use: 8Gi; 0 for all.",
        "SIZE",
    )
    disk: int = _setting(
        kind.SIZE,
        "disk that a build may fill, such as 50Gi; 0 for all",
        "Disk that a build may fill: 50Gi; 0 for all.",
        "SIZE",
    )
    processes: int = _setting(
        kind.NUMBER,
        "processes that a build may have at a time; 0 for any number",
        "Processes that a build may have at a time.",
        "N",
    )
    namespace: str = _setting(
        kind.TEXT,
        "distribution that the packages belong to, for SBOMs and purls",
        "Distribution the packages belong to.",
        "NAME",
        default="unknown",
    )
    git_repo_url: str = _setting(
        kind.TEXT,
        "repository of the recipes, such as https://github.com/wolfi-dev/os, for SBOMs",
        "Repository of the recipes, for SBOMs.",
        "URL",
    )
    recipe_license: str = _setting(
        kind.LICENCE,
        "licence of the recipes themselves, for SBOMs",
        "Licence of the recipes themselves, for SBOMs.",
        "LICENCE",
        "--license",
    )
    seed: str = _setting(
        kind.TEXT,
        "Debian suite that missing packages of build environments are made from, such as trixie",
        "Debian suite that missing packages are made from.",
        "SUITE",
    )
    seed_mirror: str = _setting(
        kind.TEXT,
        "Debian archive for the seed; the machine's own by default",
        "Debian archive for the seed.",
        "URL",
    )
    values: Mapping[str, Value] = field(default_factory=dict)
    file: Path | None = None

    def is_flag(self, key: str) -> bool:
        """Tell whether the command line says a setting."""
        return self.values[key].origin == "flag"

    def where(self, key: str) -> str:
        """Return what messages call a setting, by who said it."""
        value = self.values[key]
        return name_place(value.setting, value.origin, self.file)


def name_place(setting: Setting, origin: str, file: Path | None) -> str:
    """Return what messages call a setting that somebody said: `--memory`, `memory, of MELPY_MEMORY`, `FILE: memory`."""
    if origin == "flag":
        return setting.flag
    if origin == f"environment {setting.variable}":
        return f"{setting.key}, of {setting.variable}"
    return f"{file}: {setting.key}" if origin.startswith("file ") else setting.key


def _declared() -> tuple[Setting, ...]:
    found = []
    for one in fields(Settings):
        if "setting" in one.metadata:
            read, text, short, metavar, flags, default, is_appended = one.metadata["setting"]
            key = one.name.replace("_", "-")
            flags, default = flags or (f"--{key}",), default or (() if read.join else "")
            found.append(Setting(key, read, text, short, metavar, flags, default, is_appended))
    return tuple(found)


SETTINGS = _declared()
BY_KEY = {setting.key: setting for setting in SETTINGS}
