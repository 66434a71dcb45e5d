"""Monitors for people: a live display on terminals, plain lines elsewhere. Both write to stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from melpy import events
from melpy.cli.board import Board
from melpy.cli.ci import find_service, render_section
from melpy.cli.downloads import Downloads, amount_text
from melpy.cli.report import can_move, near_path
from melpy.text import clock_text, printable_line, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, EACH = 10.0, 30.0
"""Seconds of a download after which plain lines tell of it, and between two of them."""

STILL = 300.0
"""Seconds without a line after which plain lines of a run tell what is still being built."""


@contextmanager
def open_monitor(*, verbose: bool = False, quiet: bool = False) -> Iterator[events.Monitor]:
    """Return the monitor that suits stderr.

    Args:
        verbose: show what steps print.
        quiet: show warnings only.
    """
    if quiet:
        yield Plain(quiet=True)
    elif sys.stderr.isatty() and can_move():
        from melpy.cli.live import Live  # noqa: PLC0415  # only for terminals

        with Live(verbose=verbose) as live:
            yield live
    else:
        yield Plain(verbose=verbose)


def describe(event: events.Event) -> str:
    """Return the line that tells of an event; empty for what is not told."""
    text = ""
    match event:
        case events.JobStarted(log=log):
            text = f"building, log: {near_path(log)}" if log else "building"
        case events.JobFinished(seconds=seconds, ok=ok):
            text = f"{'done' if ok else 'failed'} after {seconds:.1f} s"
        case events.StageFinished(stage=stage, seconds=seconds, detail=detail):
            text = f"{stage}: {seconds:.1f} s{f' ({detail})' if detail else ''}"
        case events.StepStarted(label=label, number=number, total=total):
            text = f"step {number}/{total}: {label}"
        case events.StepFinished(label=label, seconds=seconds, status=status) if status:
            text = f"step {label} failed with status {status} after {seconds:.1f} s"
        case events.Note(text=note):
            text = note
        case events.Warning(text=warning, hint=hint):
            text = f"warning: {warning}{f' ({hint})' if hint else ''}"
    return text


class Plain:
    """Lines for logs.

    Of a single build, one line for each event, with the job in front, and one now and then for a long download. Of a
    run over several, one line for each job that was not up to date; in the log of a CI service that knows sections,
    each such line is followed by a section with what the build did.
    """

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self._verbose = verbose
        self._quiet = quiet
        self._downloads = Downloads()
        self._next: dict[tuple[str, str], float] = {}  # seconds after which something is said of a download
        self._board = Board(time.monotonic())
        self._sections = _Sections(find_service(os.environ))
        self._told = time.monotonic()  # when the last line was printed
        self._lock = threading.Lock()

    def emit(self, event: events.Event) -> None:
        """Print the event, if it is worth a line."""
        with self._lock:
            lines = self._describe_run(event) if self._board.is_run else self._describe_single(event)
            now = time.monotonic()
            self._board.note(event, now)
            if lines:
                self._told = now
            elif now - self._told > STILL and self._board.rows and self._board.is_run and not self._quiet:
                lines, self._told = self._describe_still(now), now
            if lines:
                # Where there is no terminal, click drops the sequences that GitLab's sections are made of.
                click.echo("\n".join(lines), err=True, color=True if self._sections.service else None)

    def _describe_still(self, now: float) -> list[str]:
        """Return a line about builds that take long: services end jobs that say nothing, and people wonder."""
        rows = list(self._board.rows.values())
        shown = [f"{row.job} {row.doing} {clock_text(now - row.since)}".replace("  ", " ") for row in rows[:3]]
        more = f" and {len(rows) - len(shown)} more" if len(rows) > len(shown) else ""
        return [printable_line(f"still building {', '.join(shown)}{more} ({self._board.settled}/{self._board.total})")]

    def _describe_run(self, event: events.Event) -> list[str]:
        if isinstance(event, events.JobSettled):
            self._sections.seconds = event.seconds
            lines, section = [], self._sections.close(event.job)
            is_told = self._verbose or self._board.is_worth_a_line(event)
            if event.outcome == "failed" or (is_told and not self._quiet):
                text, details = self._board.describe_settled(event)
                count = f" ({self._board.settled + 1}/{self._board.total})"
                lines = [_mark(event.job, text + count), *(printable_line(f"    {line}") for line in details)]
            return lines if self._quiet else [*lines, *section]
        if isinstance(event, events.Warning) or (self._verbose and not self._sections.service):
            return self._describe_single(event)
        if not event.job:
            return [] if isinstance(event, events.RunStarted) else self._describe_single(event)
        self._sections.add(event, verbose=self._verbose)
        return []

    def _describe_single(self, event: events.Event) -> list[str]:
        if isinstance(event, events.Output):
            line = event.line if self._verbose else ""
        elif self._quiet and not isinstance(event, events.Warning):
            line = ""
        elif isinstance(event, events.Progress):
            line = f"{event.what}: {event.total}" if event.done == event.total else ""
        elif isinstance(event, events.Transfer):
            line = self._transfer(event)
        else:
            line = describe(event)
        return [_mark(event.job, line)] if line else []

    def _transfer(self, event: events.Transfer) -> str:
        key = event.job, event.what
        seconds = self._downloads.note(event)
        limit = self._next.get(key, FIRST)
        if event.ended:
            self._next.pop(key, None)
            return f"{event.what}: {size_text(event.done)} after {seconds:.0f} s" if limit > FIRST else ""
        if seconds < limit:
            return ""
        self._next[key] = seconds + EACH
        return f"{event.what}: {amount_text(event.done, event.total)}"


class _Sections:
    """What builds that go on have done, for the section that a CI service shows of each when it is settled.

    Args:
        service: the service; empty for none, of which nothing is kept.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.seconds = 0.0
        self._lines: dict[str, deque[str]] = {}
        self._count = 0

    def add(self, event: events.Event, *, verbose: bool) -> None:
        """Take note of an event of a job."""
        if not self.service:
            return
        lines = self._lines.setdefault(event.job, deque(maxlen=_LONGEST_SECTION))
        if isinstance(event, events.Output):
            lines.append(f"  {event.line}")
        elif isinstance(event, events.StepFinished | events.StageFinished) and not verbose:
            # What was printed by something that ended well is in the log; only the last lines of a failure stay.
            while lines and lines[-1].startswith("  ") and not getattr(event, "status", 0):
                lines.pop()
        text = describe(event)
        if text:
            lines.append(text)

    def close(self, job: str) -> list[str]:
        """Return the section of a job that is settled; nothing for one that did nothing."""
        lines = self._lines.pop(job, None)
        if not lines:
            return []
        self._count += 1
        now = int(time.time())
        return render_section(self.service, self._count, job, list(lines), (now - int(self.seconds), now))


_LONGEST_SECTION = 2_000  # lines


def _mark(job: str, line: str) -> str:
    """Return a line with its job in front."""
    return printable_line(f"[{job}] {line}" if job else line)
