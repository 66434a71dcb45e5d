"""`melpy store`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from melpy.bound import BoundError
from melpy.cli.help import Group
from melpy.cli.option import read_settings, setting_options
from melpy.cli.report import count_text, print_error, print_json, print_text
from melpy.cli.table import Column, print_table
from melpy.errors import StoreError, UsageError
from melpy.quantity import SIZE_HINT, parse_duration, parse_size
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from melpy.config.model import Settings
    from melpy.rootfs.upkeep import Damage, StoreEntry

_AGE_HINT = "write 30d, 12h or 2w"
_SHOWN = 10  # faults of an entry that are told
_COLUMNS = (
    Column("Name", least=30, cut=True),
    Column("Kind", rank=1),
    Column("Size", right=True),
    Column("Last use"),
    Column("Entry", rank=2, least=12, cut=True),
)


@click.group(
    cls=Group,
    short_help="Show, check and prune the extracted packages.",
    examples={
        "melpy store show": "what is there",
        "melpy store prune --older-than 30d": "remove what was not used for a month",
    },
)
def command() -> None:
    """Look after the store: packages as they were extracted, and environments that were assembled of them.

    It lies in the cache directory and may be removed at any time when no build runs; what is needed is extracted anew.
    """


@command.command(
    "show",
    short_help="Show what is in the store.",
    examples={
        "melpy store show": "for people",
        "melpy store show --json": "with the packages of each environment",
    },
)
@setting_options("cache-dir")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool, **flags: Any) -> None:
    """Show the packages and environments of the store, what they take, and when they were used last."""
    from melpy.rootfs.upkeep import list_store  # noqa: PLC0415  # --help does not need it

    store = _find_store(read_settings(flags))
    entries = list_store(store)
    if as_json:
        print_json({"store": str(store), "entries": [_as_json(entry) for entry in entries]})
        return
    now = time.time()
    rows = [
        (
            entry.name or "?",
            entry.kind,
            size_text(entry.size),
            _ago(now, entry),
            entry.identity,
        )
        for entry in entries
    ]
    if rows:
        print_table(_COLUMNS, rows)
    print_text(f"{store}: {_summary(entries)}", err=True)


@command.command(
    "verify",
    short_help="Check that the store is as it was made.",
    examples={
        "melpy store verify --repair": "check all, and remove what is damaged",
    },
)
@setting_options("cache-dir")
@click.option("--repair", is_flag=True, help="Remove what is damaged, so that the next build makes it anew.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what is wrong, one object each.")
def verify(repair: bool, as_json: bool, **flags: Any) -> int:
    """Check each entry of the store against its manifest: files that are missing, changed, or do not belong there."""
    from melpy.rootfs.upkeep import list_store, verify_store  # noqa: PLC0415  # --help does not need it

    store = _find_store(read_settings(flags))
    entries = list_store(store)
    found = [damage for damage in verify_store(entries, os.cpu_count() or 1) if damage]
    removed = _repair(store, found) if repair and found else set()
    if as_json:
        print_json(
            [
                {**_as_json(one.entry), "faults": list(one.faults), "removed": one.entry.identity in removed}
                for one in found
            ]
        )
    else:
        for damage in found:
            print_error(_damage_error(damage, repair=repair))
        bad = f", {len(found)} damaged" if found else ""
        gone = f", {len(removed)} removed" if removed else ""
        good = [entry for entry in entries if entry.identity not in {damage.entry.identity for damage in found}]
        print_text(f"{store}: {_summary(good)} verified{bad}{gone}", err=True)
    left = [damage for damage in found if damage.entry.identity not in removed]
    return StoreError.exit_status if left else 0


def _damage_error(damage: Damage, *, repair: bool) -> StoreError:
    entry = damage.entry
    details = [f"  {fault}" for fault in damage.faults[:_SHOWN]]
    if len(damage.faults) > _SHOWN:
        details.append(f"  … {len(damage.faults) - _SHOWN} more")
    hint = None if repair else "melpy store verify --repair removes it, and the next build makes it anew"
    return StoreError(f"{entry.name or entry.kind} is damaged", where=str(entry.path), details=details, hint=hint)


def _repair(store: Path, found: Sequence[Damage]) -> set[str]:
    """Remove damaged entries and the environments that lie upon them; return the names of those removed."""
    from melpy.rootfs.layout import lock_store  # noqa: PLC0415  # --help does not need it
    from melpy.rootfs.upkeep import find_dependent, find_used, list_store, remove_entries  # noqa: PLC0415  # likewise

    with lock_store(store, _waiting):
        entries = list_store(store)
        used = find_used(entries)
        doomed = find_dependent(entries, {damage.entry.identity for damage in found})
        if busy := [entry for entry in entries if entry.identity in doomed & used]:
            hint = "run it again when that has ended"
            raise StoreError("is used by a running build, and was not repaired", where=str(busy[0].path), hint=hint)
        remove_entries(store, [entry for entry in entries if entry.identity in doomed])
    return doomed


@command.command(
    "prune",
    short_help="Remove what has not been used for long.",
    examples={
        "melpy store prune --older-than 30d": "what was not used for a month",
        "melpy store prune --max-size 10G --dry-run": "what would go to leave 10 GB",
    },
)
@setting_options("cache-dir")
@click.option("--older-than", metavar="TIME", help="Remove what was not used for this time: 30d, 12h, 2w.")
@click.option("--max-size", metavar="SIZE", help="Remove what was not used for longest, until this is left: 10G.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what was removed.")
def prune(older_than: str | None, max_size: str | None, dry_run: bool, as_json: bool, **flags: Any) -> None:
    """Remove entries of the store by age or size, those first that were not used for longest.

    What a running build uses is kept. Without --older-than and --max-size, only leftovers of killed builds go.
    """
    from melpy.rootfs.layout import lock_store  # noqa: PLC0415  # --help does not need it
    from melpy.rootfs.upkeep import choose_stale, find_used, list_store, remove_entries  # noqa: PLC0415  # likewise

    before, most = _find_oldest(older_than), _find_most(max_size)
    store = _find_store(read_settings(flags))
    if not store.is_dir():
        entries, chosen, used = [], [], set()
    else:
        with lock_store(store, _waiting):
            entries = list_store(store)
            used = find_used(entries)
            chosen = choose_stale(entries, used, before=before, max_size=most)
            if not dry_run:
                remove_entries(store, chosen)
    if as_json:
        print_json([_as_json(entry) for entry in chosen])
        return
    for entry in chosen:
        print_text(f"{entry.name or '?'}  {entry.identity}")
    removed = {entry.identity for entry in chosen}
    kept = [entry for entry in entries if entry.identity not in removed]
    verb = "would be removed" if dry_run else "removed"
    busy = f", {len(used)} used by running builds" if used else ""
    print_text(f"{store}: {_summary(chosen)} {verb}; {_summary(kept)} left{busy}", err=True)


def _find_oldest(older_than: str | None) -> float | None:
    """Return the time before which what was used last is removed."""
    if older_than is None:
        return None
    if older_than.isdigit():  # seconds are too short a time for a slip
        raise UsageError(f"not a time with a unit: {older_than!r}", where="--older-than", hint=_AGE_HINT)
    try:
        return time.time() - parse_duration(older_than)
    except BoundError as error:
        raise UsageError(str(error), where="--older-than", hint=_AGE_HINT) from None


def _find_most(max_size: str | None) -> int | None:
    try:
        return None if max_size is None else parse_size(max_size)
    except BoundError as error:
        raise UsageError(str(error), where="--max-size", hint=SIZE_HINT) from None


def _waiting() -> None:
    print_text("waiting for a build that is adding to the store", err=True)


def _find_store(settings: Settings) -> Path:
    from melpy.rootfs.layout import STORE  # noqa: PLC0415  # --help does not need it

    cache = settings.cache_dir
    return cache / STORE


def _summary(entries: Iterable[StoreEntry]) -> str:
    listed = list(entries)
    packages = sum(entry.kind == "package" for entry in listed)
    environments = sum(entry.kind == "environment" for entry in listed)
    parts = [count_text(packages, "package"), count_text(environments, "environment")]
    if other := len(listed) - packages - environments:
        parts.append(f"{other} unknown")
    return f"{', '.join(parts)}, {size_text(sum(entry.size for entry in listed))}"


def _ago(now: float, entry: StoreEntry) -> str:
    if not entry.last_use:
        return "unknown"
    seconds = max(0, int(now - entry.last_use))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{count_text(seconds // length, unit)} ago"
    return "just now"


def _as_json(entry: StoreEntry) -> dict[str, object]:
    return {
        "entry": entry.identity,
        "kind": entry.kind,
        "name": entry.name,
        "size": entry.size,
        "last_use": int(entry.last_use),
        "packages": list(entry.packages),
    }
