"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from melpy.config.load import load_settings
from melpy.config.model import SETTINGS
from melpy.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from melpy.config.model import Setting, Settings

Function = TypeVar("Function", bound="Callable[..., Any]")

PATH = click.Path(path_type=Path, readable=False)
"""A path of the user's; whether it can be read is told by whoever reads it."""


class Count(click.IntRange):
    """A whole number in a range; click's own message says `0 is not in the range x>=1`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; click reports others with their flag."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            bounds = f"of at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"{str(value)!r} is not a whole number {bounds}", param, ctx)


def _make_option(setting: Setting) -> Callable[[Any], Any]:
    return click.option(
        *setting.flags,
        setting.attribute,
        multiple=setting.is_list,
        metavar=setting.metavar,
        help=setting.short,
    )


OPTIONS = {setting.key: _make_option(setting) for setting in SETTINGS}
"""Every setting's flag."""

DISTRIBUTION = ("namespace", "git-repo-url", "recipe-license")
"""The settings of whatever describes packages."""

LIMITS = ("timeout", "cpu", "memory", "disk", "processes")
"""The settings of what builds may use."""

RUNS = ("result-limit", "published", "bootstrap-first")
"""The settings of runs over several builds."""

SIGNING = ("signing-key", "signing-key-name", "signing-passphrase")
"""The settings of whatever signs."""

OFFLINE = click.option("--offline", is_flag=True, envvar="MELPY_OFFLINE", help="Ask no server; use what is kept.")
"""The flag of whatever would ask servers."""

BUILD_OPTION = click.option(
    "--build-option", "options", multiple=True, metavar="NAME", help="Turn on an option of the recipe."
)
"""The flag of whatever evaluates recipes."""

IGNORE_SIGNATURES = click.option(
    "--ignore-signatures", is_flag=True, help="Use repositories whose signature cannot be checked."
)
"""The flag of whatever takes packages from repositories."""

LOCK_NAME = "melpy-{arch}.lock"
"""What a lock file is called, where nobody says another name."""

LOCK_FILE = click.option("--lock-file", metavar="FILE", help=f"Lock file of an architecture; {LOCK_NAME} by default.")
"""The flag of whatever reads or writes locks."""

SOURCES = ("mirrors", "rewrites", "local-sources", "source-limit")
"""The settings of whatever fetches sources."""

ENVIRONMENT = (
    "arch",
    "out-dir",
    "repositories",
    "keyring",
    "packages",
    "pipeline-dirs",
    "env-files",
    "vars-file",
    "ranges",
    "cache-dir",
    "seed",
    "seed-mirror",
)
"""The settings of whatever finds out what recipes are built in."""


def setting_options(*keys: str) -> Callable[[Function], Function]:
    """Add the flags of these settings, and `--config`, to a command."""

    def decorate(function: Function) -> Function:
        for key in reversed(keys):
            function = OPTIONS[key](function)
        return click.option(
            "--config", "config_file", type=PATH, metavar="FILE", help="Settings file instead of the melpy.toml found."
        )(function)

    return decorate


def read_settings(flags: dict[str, Any], places: Iterable[Path] = (), *, made: bool = False) -> Settings:
    """Return the settings for a command: those of its recipes, else of the current directory.

    Args:
        flags: the command's options by name; those that are no settings are passed over.
        places: recipes or directories of the command; melpy.toml is looked for in that of the first, and above it.
        made: they are packages, indexes or repositories: the current directory comes first, and what lies in a
            repository says nothing, such as which keys are trusted.

    Raises:
        SettingsError: something cannot be used.
    """
    place = next(iter(places), Path())
    start = place.absolute().parent if made or not place.is_dir() else place
    starts = (Path(), start) if made else (start, Path())
    stated = {setting.key: flags.get(setting.attribute) for setting in SETTINGS}
    settings = load_settings(stated, os.environ, *starts, file=flags.get("config_file"))
    _check_places(settings)
    return settings


def _check_places(settings: Settings) -> None:
    """Check that directories and files that the command line names in passing are there.

    Those of melpy.toml may be absent: it is for several machines.

    Raises:
        SettingsError: one is not there.
    """
    named: dict[str, Sequence[str | Path]] = {
        "mirrors": settings.mirrors,
        "rewrites": [rewrite.place for rewrite in settings.rewrites],
        "local-sources": settings.local_sources,
    }
    for key, places in named.items():
        for place in places if settings.is_flag(key) else ():
            if "://" not in str(place) and not Path(place).is_dir():
                hint = "name a directory, or the URL of one" if key != "local-sources" else "name a directory"
                raise SettingsError(f"no such directory: {place}", where=settings.where(key), hint=hint)
    secret = settings.signing_passphrase
    if settings.is_flag("signing-passphrase") and secret and secret.path and not secret.path.exists():
        raise SettingsError(f"no such file: {secret.path}", where=settings.where("signing-passphrase"))
