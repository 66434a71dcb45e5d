"""`melpy build --prune`: packages of the out-dir that no recipe makes any more.

Several directories of recipes may share an out-dir. Only packages that are known to be of directories that are named
are removed: those whose recipe was in them when it was built last (see `melpy.engine.maker`), and has gone since.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from melpy import events
from melpy.apk.index import read_entries
from melpy.arch import NOARCH
from melpy.cli.report import count_text, near_path, print_text, short_list
from melpy.engine.consistency import find_needed
from melpy.engine.maker import find_elsewhere, is_inside, load_makers
from melpy.engine.runlock import hold_run
from melpy.graph.model import BuildId
from melpy.repo.repository import load_index, remove_packages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.apk.model import IndexEntry
    from melpy.cli.preparing import Prepared
    from melpy.engine.model import PublishSpec


class Gone(Struct, frozen=True):
    """Packages of an architecture that no recipe makes.

    Attributes:
        arch: the architecture, in APK's spelling.
        entries: those that pruning removes.
        others: those that it leaves alone, by the directory of their recipes; None where that is not known.
        needed: reasons for those that it leaves alone since other packages need them, by full name.
    """

    arch: str
    entries: tuple[IndexEntry, ...]
    others: Mapping[Path | None, Sequence[IndexEntry]]
    needed: Mapping[str, str]


def prune(
    prepared: Prepared,
    directories: Sequence[Path],
    publication: PublishSpec,
    monitor: events.Monitor,
    flags: Mapping[str, Any],
    *,
    ended: bool = True,
) -> None:
    """List, or remove, packages that no recipe makes any more; old versions of packages that one makes stay.

    Args:
        prepared: the run.
        directories: directories of recipes that are named.
        publication: the repository.
        monitor: is told what was removed.
        flags: flags of the command.
        ended: whether the run came to its end, and what it built was published; else nothing is removed.

    Raises:
        OutputError: the repository cannot be written, or another run writes it.
    """
    remove = flags["yes"] and not flags["dry_run"] and ended
    for arch in prepared.settings.arch:
        gone = _find_gone(prepared, directories, publication.root, arch.apk, others=flags["prune_others"])
        _tell(gone)
        if gone.entries and remove:
            with hold_run(publication.root, alone=True):
                names = {entry.info.file_name for entry in gone.entries}
                remove_packages(publication.root, arch.apk, names, signer=publication.signer)
            monitor.emit(events.Note("", f"{arch.apk}: removed {count_text(len(names), 'package')}"))
        elif gone.entries:
            print_text("--prune --yes removes them" if ended else "nothing is removed: the run did not end", err=True)


def _find_gone(prepared: Prepared, directories: Sequence[Path], root: Path, arch: str, *, others: bool) -> Gone:
    summaries = [summary for summary in prepared.tree.summaries if arch in summary.arches]
    made = {package.name for summary in summaries for package in summary.packages}
    makers = {one.id: Path(one.file) for one in summaries} | load_makers(root)
    taken: list[IndexEntry] = []
    left: defaultdict[Path | None, list[IndexEntry]] = defaultdict(list)
    entries = read_entries(load_index(root, arch, keyring=None))
    for entry in entries:
        if entry.info.name in made:
            continue
        origin = entry.info.origin or entry.info.name
        build = next(
            (one for one in (BuildId(origin, arch), BuildId(origin, NOARCH)) if one in makers), BuildId(origin, arch)
        )
        file = makers.get(build)
        if file and is_inside(file, directories):
            file = find_elsewhere(build, makers, directories) or file
        if others or (file and is_inside(file, directories)):
            taken.append(entry)
        else:
            left[file.parent if file else None].append(entry)
    names = {entry.info.file_name for entry in taken}
    needed = find_needed((entry for entry in entries if entry.info.file_name not in names), taken)
    return Gone(arch, tuple(entry for entry in taken if entry.info.full_name not in needed), left, needed)


def _tell(gone: Gone) -> None:
    """Print what pruning removes, package by package, and what it leaves alone."""
    if gone.entries:
        print_text(f"{gone.arch}: no recipe makes {count_text(len(gone.entries), 'package')}:", err=True)
        for entry in gone.entries:
            print_text(f"  {entry.info.file_name}", err=True)
    for directory, entries in gone.others.items():
        names = short_list([entry.info.full_name for entry in entries])
        why = f"recipes of {near_path(directory)} made them" if directory else "nothing tells which recipes made them"
        what = "name that directory, too, or use --prune-others" if directory else "--prune-others takes them, too"
        print_text(f"{gone.arch}: {count_text(len(entries), 'package')} left alone, as {why}: {names}", err=True)
        print_text(f"  {what}", err=True)
    if gone.needed:
        print_text(f"{gone.arch}: {count_text(len(gone.needed), 'package')} left alone, as others need them:", err=True)
        for name, reason in gone.needed.items():
            print_text(f"  {name}: {reason}", err=True)
