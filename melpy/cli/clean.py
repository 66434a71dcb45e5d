"""`melpy clean`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import read_settings, setting_options
from melpy.cli.report import count_text, print_error, print_text
from melpy.errors import OutputError
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@click.command(
    cls=Command,
    short_help="Remove what killed builds left, and builds that were kept.",
    examples={
        "melpy clean --dry-run": "what would be removed",
        "melpy clean": "remove it",
    },
)
@setting_options("cache-dir")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and leave it.")
@click.option(
    "--only-killed",
    is_flag=True,
    help="Leave what was kept: builds to look into, packages that could not be published.",
)
@click.option("--build-cache", "caches", is_flag=True, help="Remove what steps keep in /var/cache/melange, too.")
def command(*, dry_run: bool, only_killed: bool, caches: bool, **flags: Any) -> int:  # settings
    """Remove what killed builds left, builds that were kept to look into, and packages that could not be published.

    What builds work in now is left alone. Sources, extracted packages and the seed stay; melpy store prune removes
    packages.
    """
    from melpy.engine.buildcache import take_caches  # noqa: PLC0415  # --help does not need it
    from melpy.engine.resultdir import find_left, remove_results  # noqa: PLC0415  # likewise
    from melpy.engine.workdir import WORK, find_work, remove_left, remove_work  # noqa: PLC0415  # likewise

    cache_dir = read_settings(flags).cache_dir
    tally = _Tally(dry_run=dry_run)
    for work in find_work(cache_dir / WORK):
        if not work.used and not (work.kept and only_killed):
            tally.remove(work.path, work.kept or "left by a build that was killed", remove_left)
    for left in find_left(cache_dir):
        if not (left.kept and only_killed):
            why = "packages that could not be published" if left.kept else "left by a build that was killed"
            tally.remove(left.path, why, remove_results)
    if caches:
        with take_caches(cache_dir) as found:
            for path in found:
                tally.remove(path, "cache of builds", remove_work)
    verb = "would be removed" if dry_run else "removed"
    print_text(f"{count_text(tally.count, 'directory', 'directories')} {verb}, {size_text(tally.size)}", err=True)
    return tally.status


@dataclass
class _Tally:
    """What was removed, or would be."""

    dry_run: bool
    count: int = 0
    size: int = 0
    status: int = 0

    def remove(self, path: Path, why: str, remove: Callable[[Path], bool]) -> None:
        """Remove a directory, and say so; one that cannot be removed keeps no other from it."""
        from melpy.build.watch import disk_usage  # noqa: PLC0415  # --help does not need it

        size = disk_usage([path])
        try:
            if not self.dry_run and not remove(path):
                return
        except OutputError as error:
            print_error(error)
            self.status = error.exit_status
            return
        print_text(f"{path}  {size_text(size)}  {why}")
        self.count, self.size = self.count + 1, self.size + size
