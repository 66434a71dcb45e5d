"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from melpy.arch import ARCHES, Arch, parse_arch
from melpy.codec import replace
from melpy.config.load import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from melpy.config.model import Settings, Value
from melpy.errors import SettingsError

Function = TypeVar("Function", bound="Callable[..., Any]")

PATH = click.Path(path_type=Path, readable=False)
"""A path of the user's; whether it can be read is told by whoever reads it."""

OPTIONS: dict[str, Callable[[Any], Any]] = {
    "arch": click.option("--arch", multiple=True, metavar="ARCH", help="Architecture; several, or a comma list."),
    "out-dir": click.option("-o", "--out-dir", metavar="DIR", help="Repository of what is built."),
    "signing-key": click.option(
        "--signing-key", metavar="PLACE", help="RSA private key that signs: file, env:VARIABLE or fd:NUMBER."
    ),
    "signing-key-name": click.option(
        "--signing-key-name", metavar="NAME", help="File name of its public key; FILE.pub by default."
    ),
    "signing-passphrase": click.option(
        "--signing-passphrase", metavar="PLACE", help="Passphrase of the key: file, env:VARIABLE or fd:NUMBER."
    ),
    "repositories": click.option(
        "-r",
        "--repository-append",
        "repositories",
        multiple=True,
        metavar="PLACE",
        help="Further repository: directory or URL.",
    ),
    "keyring": click.option(
        "-k",
        "--keyring-append",
        "keyring",
        multiple=True,
        metavar="PLACE",
        help="Further trusted public key: file or URL.",
    ),
    "packages": click.option(
        "--package-append", "packages", multiple=True, metavar="NAME", help="Further package of every environment."
    ),
    "pipeline-dirs": click.option(
        "--pipeline-dir",
        "--pipeline-dirs",
        "pipeline_dirs",
        multiple=True,
        metavar="DIR",
        help="Directory of pipelines.",
    ),
    "env-files": click.option(
        "--env-file",
        "env_files",
        multiple=True,
        metavar="FILE",
        help="Environment variables for steps; {arch} is the architecture.",
    ),
    "vars-file": click.option("--vars-file", metavar="FILE", help="YAML file of values for variables of recipes."),
    "ranges": click.option(
        "--range",
        "ranges",
        multiple=True,
        metavar="NAME=KEY",
        help="Make only the subpackages of these keys: py-versions=3.13.",
    ),
    "mirrors": click.option(
        "--mirror", "mirrors", multiple=True, metavar="PLACE", help="Where sources are looked for before upstream."
    ),
    "rewrites": click.option(
        "--rewrite",
        "rewrites",
        multiple=True,
        metavar="PREFIX=PLACE",
        help="Where sources are whose URLs begin so: directory or URL.",
    ),
    "local-sources": click.option(
        "--local-source",
        "local_sources",
        multiple=True,
        metavar="DIR",
        help="Directory whose files and git repositories recipes may name.",
    ),
    "source-limit": click.option("--source-limit", metavar="SIZE", help="What a source file may have at most."),
    "unpack-limit": click.option("--unpack-limit", metavar="SIZE", help="What an archive may become at most."),
    "cache-dir": click.option("--cache-dir", metavar="DIR", help="Sources, extracted packages, the seed."),
    "build-cache": click.option(
        "--build-cache",
        metavar="KIND",
        help="What is kept at /var/cache/melange from build to build: none, recipe or shared.",
    ),
    "timeout": click.option("--timeout", metavar="TIME", help="How long the steps of a build may take: 1h30m."),
    "cpu": click.option("--cpu", metavar="N", help="Processors that a build may use; 0 for all."),
    "memory": click.option("--memory", metavar="SIZE", help="Memory that a build may use: 8Gi; 0 for all."),
    "disk": click.option("--disk", metavar="SIZE", help="Disk that a build may fill: 50Gi; 0 for all."),
    "processes": click.option("--processes", metavar="N", help="Processes that a build may have at a time."),
    "namespace": click.option("--namespace", metavar="NAME", help="Distribution the packages belong to."),
    "git-repo-url": click.option("--git-repo-url", metavar="URL", help="Repository of the recipes, for SBOMs."),
    "recipe-license": click.option(
        "--license", "recipe_license", metavar="LICENCE", help="Licence of the recipes themselves, for SBOMs."
    ),
    "seed": click.option("--seed", metavar="SUITE", help="Debian suite that missing packages are made from."),
    "seed-mirror": click.option("--seed-mirror", metavar="URL", help="Debian archive for the seed."),
}
"""Every setting's flag."""

DISTRIBUTION = ("namespace", "git-repo-url", "recipe-license")
"""The settings of whatever describes packages."""

LIMITS = ("timeout", "cpu", "memory", "disk", "processes")
"""The settings of what builds may use."""

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

_APPENDED = {"repositories", "keyring", "packages"}


def setting_options(*keys: str) -> Callable[[Function], Function]:
    """Add the flags of these settings, and `--config`, to a command."""

    def decorate(function: Function) -> Function:
        for key in reversed(keys):
            function = OPTIONS[key](function)
        return click.option(
            "--config", "config_file", type=PATH, metavar="FILE", help="Settings file instead of the melpy.toml found."
        )(function)

    return decorate


def read_settings(flags: dict[str, Any], places: Iterable[Path] = ()) -> Settings:
    """Return the settings for a command.

    Args:
        flags: the command's options by name; those that are no settings are passed over.
        places: recipes or directories from which melpy.toml is looked for; the current directory without any.

    Raises:
        SettingsError: something cannot be used.
    """
    start = next(iter(places), Path())
    start = start if start.is_dir() else start.parent
    stated = {key: flags.get(key.replace("-", "_")) for key in OPTIONS}
    appended = {key: tuple(stated.pop(key) or ()) for key in _APPENDED}
    settings = load_settings(stated, os.environ, start, file=flags.get("config_file"))
    if not any(appended.values()):
        return settings
    # What the command line appends comes after what the settings say.
    added = load_settings(appended, {}, start, file=Path(os.devnull))
    values = {key: _append(value, added.values[key]) for key, value in settings.values.items()}
    return replace(settings, values=values)


def _append(value: Value, added: Value) -> Value:
    if added.setting.key not in _APPENDED or added.origin != "flag":
        return value
    assert isinstance(value.value, tuple)
    assert isinstance(added.value, tuple)
    origin = f"{value.origin}, flag" if value.value else "flag"
    return replace(value, value=(*value.value, *added.value), origin=origin)


def read_arches(settings: Settings) -> tuple[Arch, ...]:
    """Return the architectures of the settings, from names and comma lists, each once, in order; `all` is every one.

    Raises:
        SettingsError: one is not known, or none is named.
    """
    texts, origin = settings.items("arch"), settings.values["arch"].origin
    where = "--arch" if origin == "flag" else f"arch, of {origin.partition(' ')[2] or origin}"
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not names:
        raise SettingsError("no architecture is named", where=where, hint="name one, such as x86_64, aarch64 or host")
    if "all" in names:
        names = list(ARCHES)
    try:
        return tuple(dict.fromkeys(parse_arch(name) for name in names))
    except SettingsError as error:
        raise SettingsError(error.message, where=where, hint=error.hint) from None
