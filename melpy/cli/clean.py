"""`melpy clean`."""

from __future__ import annotations

from typing import Any

import click

from melpy.cli.option import read_settings, setting_options
from melpy.cli.report import count_text
from melpy.text import size_text


@click.command(short_help="Remove what killed builds left, and builds that were kept.")
@setting_options("cache-dir")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and leave it.")
@click.option("--only-killed", is_flag=True, help="Leave builds that were kept to look into.")
def command(*, dry_run: bool, only_killed: bool, **flags: Any) -> None:  # settings
    """Remove what killed builds left, and builds that were kept to look into.

    What builds work in now is left alone. Sources, extracted packages and the seed stay; melpy store prune removes
    packages.
    """
    from melpy.build.watch import disk_usage  # noqa: PLC0415  # --help does not need it
    from melpy.engine.workdir import WORK, find_work, remove_work  # noqa: PLC0415  # likewise

    cache_dir = read_settings(flags).path("cache-dir")
    assert cache_dir is not None
    removed = size = 0
    for work in find_work(cache_dir / WORK):
        if work.used or (work.kept and only_killed):
            continue
        used = disk_usage([work.path])
        click.echo(f"{work.path}  {size_text(used)}  {work.kept or 'left by a build that was killed'}")
        if not dry_run:
            remove_work(work.path)
        removed, size = removed + 1, size + used
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{count_text(removed, 'directory', 'directories')} {verb}, {size_text(size)}", err=True)
