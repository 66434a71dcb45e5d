"""`melpy shell`."""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003  # click reads the annotation
from typing import TYPE_CHECKING, Any

import click

from melpy.arch import ARCHES
from melpy.cli.help import Command
from melpy.cli.option import PATH, read_settings, setting_options
from melpy.cli.report import print_text
from melpy.errors import UsageError

if TYPE_CHECKING:
    from melpy.build.reentry import Kept


@click.command(
    cls=Command,
    short_help="Enter a build that was kept, at the step that failed.",
    examples={
        "melpy shell hello": "where it failed",
        "melpy shell hello --step 3 -- make V=1": "run a command in the place of another step",
    },
)
@click.argument("build", metavar="NAME|RECIPE|DIRECTORY", type=PATH)
@click.argument("words", nargs=-1, metavar="[-- COMMAND...]")
@setting_options("arch", "cache-dir")
@click.option("--step", metavar="STEP", default="", help="Step whose place and variables are taken: number or name.")
@click.option("--network", is_flag=True, help="See the network.")
def command(build: Path, words: tuple[str, ...], *, step: str, network: bool, **flags: Any) -> int:  # settings
    """Enter a build that was kept, at the step that failed: the same root, workspace, variables and user.

    A DIRECTORY is that of a kept build, as melpy clean --dry-run lists them. A build whose step failed is kept until
    the next one of its recipe and architecture; melpy build --keep keeps one that ended well. The step's script is
    /run/melpy/step. What is changed is kept; melpy build --from-step goes on with it.
    """
    from melpy.build.reentry import shell_spec  # noqa: PLC0415  # --help does not need it
    from melpy.engine.reentry import open_kept  # noqa: PLC0415  # likewise
    from melpy.sandbox.runner import run_terminal  # noqa: PLC0415  # likewise

    directory = build if (build / "session.json").is_file() else _find(build, flags)
    with open_kept(directory) as kept:
        number = _number(step, kept)
        if not words and sys.stderr.isatty():
            _greet(kept, number)
        terminal = os.environ.get("TERM", "dumb")
        status = run_terminal(shell_spec(kept, number, words, terminal=terminal, network=network))
    return status if status >= 0 else 128 - status


def _find(build: Path, flags: dict[str, Any]) -> Path:
    """Return the last build of a name that was kept."""
    from melpy.engine.workdir import WORK, find_work  # noqa: PLC0415  # --help does not need it

    settings = read_settings(flags)
    cache_dir = settings.cache_dir
    name = _recipe_name(build)
    arches = [arch.apk for arch in settings.arch] if flags.get("arch") else list(ARCHES)
    found = [work for arch in arches for work in find_work(cache_dir / WORK, f"{name}-{arch}") if work.kept]
    if not found:
        arch = f" for {', '.join(arches)}" if flags.get("arch") else ""
        raise UsageError(
            f"no build of {name!r} was kept{arch}",
            hint=f"kept are those that failed, and those of melpy build --keep, below {cache_dir / WORK}",
        )
    return max(found, key=lambda work: work.changed).path


def _recipe_name(build: Path) -> str:
    if build.suffix not in {".yaml", ".yml"}:
        return build.name
    from melpy.recipe.load import load_recipe  # noqa: PLC0415  # only for a file

    return load_recipe(build).name


def _number(text: str, kept: Kept) -> int:
    from melpy.engine.reentry import find_step  # noqa: PLC0415  # --help does not need it

    return find_step(text, [step.label for _, step in kept.steps], "--step") if text else kept.reached


def _greet(kept: Kept, number: int) -> None:
    package, step = kept.steps[number - 1]
    whose = "" if package == kept.name else f" of {package}"
    print_text(f"{kept.job}, step {number} of {len(kept.steps)}{whose}: {step.label}", err=True)
    print_text(f"its script is /run/melpy/step, its directory {step.workdir}; exit leaves it as it is then", err=True)
