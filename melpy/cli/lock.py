"""`melpy lock`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.monitor import open_monitor
from melpy.cli.option import (
    BUILD_OPTION,
    ENVIRONMENT,
    IGNORE_SIGNATURES,
    LOCK_FILE,
    LOCK_NAME,
    OFFLINE,
    PATH,
    read_settings,
    setting_options,
)
from melpy.cli.report import count_text, print_text, print_warning
from melpy.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from melpy.solve.lockfile import Lock


@click.command(
    cls=Command,
    short_help="Lock environments to their exact packages.",
    examples={
        "melpy lock packages/hello.yaml --arch x86_64,aarch64": "write melpy-x86_64.lock and melpy-aarch64.lock",
        "melpy build --lock packages/hello.yaml": "build with them",
    },
)
@click.argument("recipes", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
@setting_options(*ENVIRONMENT)
@BUILD_OPTION
@IGNORE_SIGNATURES
@OFFLINE
@LOCK_FILE
def command(
    recipes: tuple[Path, ...],
    options: tuple[str, ...],
    ignore_signatures: bool,
    offline: bool,
    lock_file: str | None,
    **flags: Any,  # the settings' flags
) -> None:
    """Lock the environments of recipes, and of their tests, to their exact packages.

    For each architecture a file is written, with name, version, checksum and repository of each package, and who signed
    the repositories; commit it beside the recipes. It holds the environments of these recipes and no others.
    """
    from melpy.cli.planning import default_recipe, plan_recipes  # noqa: PLC0415  # --help does not need it
    from melpy.cli.setup import make_repositories  # noqa: PLC0415  # likewise
    from melpy.engine.locking import lock_builds  # noqa: PLC0415  # likewise
    from melpy.environment.repository import Repositories  # noqa: PLC0415  # likewise
    from melpy.files import write_file  # noqa: PLC0415  # likewise
    from melpy.solve.lockfile import render_lock  # noqa: PLC0415  # likewise

    recipes = recipes or default_recipe("lock")
    settings = read_settings(flags, recipes)
    arches = settings.arch
    _, jobs = plan_recipes(recipes, arches, settings, print_warning, options, each=True)
    with open_monitor(verbose=False, quiet=False) as monitor:
        spec = make_repositories(settings, monitor, offline=offline, check_signatures=not ignore_signatures)
        repositories = Repositories(spec)
        paths = {arch: Path((lock_file or LOCK_NAME).replace("{arch}", arch.apk)) for arch in arches}
        locks = {arch: lock_builds(jobs, arch, repositories, path.absolute().parent) for arch, path in paths.items()}
    if not jobs:
        raise RecipeError("none of these recipes is meant for these architectures")
    if len(set(paths.values())) < len(paths):
        raise UsageError("each architecture has a lock file of its own", hint="--lock-file 'melpy-{arch}.lock'")
    for arch, lock in locks.items():
        path = paths[arch]
        write_file(path, render_lock(lock))
        print_text(f"{path}: {_summary(lock)}", err=True)


def _summary(lock: Lock) -> str:
    found = {(package.name, package.version) for package in lock.packages()}
    return f"{count_text(len(lock.recipes), 'recipe')}, {count_text(len(found), 'package')}"
