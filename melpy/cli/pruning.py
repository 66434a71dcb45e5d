"""`melpy build --prune`: packages of the out-dir that no recipe makes any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from melpy import events
from melpy.apk.index import read_entries
from melpy.cli.report import count_text, print_text
from melpy.errors import UsageError
from melpy.files import output_error, scratch_directory
from melpy.repo.repository import load_index, publish_packages
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.apk.model import IndexEntry
    from melpy.cli.preparing import Prepared
    from melpy.engine.model import PublishSpec
    from melpy.engine.selection import Arguments


def check_pruning(arguments: Arguments, flags: Mapping[str, Any]) -> None:
    """Refuse what cannot be meant, before anything is built.

    Raises:
        UsageError: `--yes` has nothing to remove, or no directory says which recipes there are.
    """
    if flags["yes"] and not flags["prune"]:
        raise UsageError("--yes is about --prune", hint="melpy build --prune --yes packages/")
    if flags["prune"] and not arguments.directories:
        raise UsageError("--prune needs the directory of all recipes", hint="melpy build --prune packages/")


def prune(prepared: Prepared, publication: PublishSpec, monitor: events.Monitor, *, remove: bool) -> None:
    """List, or remove, packages that no recipe makes any more; old versions of packages that one makes stay.

    Raises:
        OutputError: the repository cannot be written.
    """
    made = {one for summary in prepared.tree.summaries for one in summary.list_made()}
    for arch in prepared.settings.arch:
        entries = read_entries(load_index(publication.root, arch.apk, keyring=None))
        gone = [entry for entry in entries if (entry.info.name, arch.apk) not in made]
        if gone:
            names = shorten_list([entry.info.full_name for entry in gone])
            print_text(f"{arch.apk}: no recipe makes {count_text(len(gone), 'package')}: {names}", err=True)
            if remove:
                _remove(gone, publication, arch.apk, monitor)
            else:
                print_text("--prune --yes removes them", err=True)


def _remove(gone: list[IndexEntry], publication: PublishSpec, arch: str, monitor: events.Monitor) -> None:
    directory = publication.root / arch
    for entry in gone:
        path = directory / entry.info.file_name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise output_error(path, error) from None
    with scratch_directory(directory) as scratch:  # nothing is added; the index is written from what is there
        publish_packages(publication.root, arch, scratch, (), signer=publication.signer)
    monitor.emit(events.Note("", f"{arch}: removed {count_text(len(gone), 'package')}"))
