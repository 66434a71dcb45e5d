"""Monitors for people: a live display on terminals, plain lines elsewhere. Both write to stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import click

from melpy import events
from melpy.cli.report import can_move, has_color, near_path
from melpy.text import printable, printable_line, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.status import Status

FIRST, EACH = 10.0, 30.0
"""Seconds of a download after which plain lines tell of it, and between two of them."""


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


class Downloads:
    """The downloads that go on now, and what is said of them."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], events.Transfer] = {}
        self._since: dict[tuple[str, str], float] = {}

    def note(self, event: events.Transfer) -> float:
        """Take note of an event; return the seconds since the first one of its download."""
        key = event.job, event.what
        now = time.monotonic()
        since = self._since.setdefault(key, now)
        self._running[key] = event
        if event.ended:
            del self._running[key], self._since[key]
        return now - since

    def describe(self) -> str:
        """Return a line for all that go on; empty where none does."""
        running = list(self._running.values())
        if not running:
            return ""
        whole = all(event.total for event in running)
        done, total = sum(event.done for event in running), sum(event.total for event in running) if whole else 0
        seconds = time.monotonic() - min(self._since.values())
        what = running[0].what if len(running) == 1 else f"{len(running)} downloads"
        job = running[0].job if len({event.job for event in running}) == 1 else ""
        rate = f", {size_text(int(done / seconds))}/s" if seconds > 1 else ""
        return f"{job} {what} {_amount(done, total)}{rate}".lstrip()


def _amount(done: int, total: int) -> str:
    """Return how much of a download has come; a server may send more than it said."""
    if not total or done > total:
        return size_text(done)
    return f"{size_text(done)} of {size_text(total)} ({100 * done // total} %)"


class Plain:
    """One line for each event, with the job in front; one now and then for a long download."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self._verbose = verbose
        self._quiet = quiet
        self._downloads = Downloads()
        self._next: dict[tuple[str, str], float] = {}  # seconds after which something is said of a download

    def emit(self, event: events.Event) -> None:
        """Print the event, if it is worth a line."""
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
        if line:
            text = f"[{event.job}] {line}" if event.job else line
            click.echo(printable_line(text), err=True)

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
        return f"{event.what}: {_amount(event.done, event.total)}"


class Live:
    """What is done scrolls up; what goes on now stays in the last line, with the time it takes."""

    def __init__(self, *, verbose: bool = False) -> None:
        from rich.console import Console  # noqa: PLC0415  # 40 ms that only terminals need

        self._verbose = verbose
        self._console: Console = Console(stderr=True, no_color=not has_color(terminal=True), highlight=False)
        self._status: Status = self._console.status("")
        self._since = time.monotonic()
        self._doing = ""
        self._shown = 0.0
        self._downloads = Downloads()

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def emit(self, event: events.Event) -> None:
        """Show the event."""
        job = f"[bold]{_escape(event.job)}[/] " if event.job else ""
        match event:
            case events.Output(line=line):
                self._output(line)
            case events.StageStarted(stage=stage, detail=detail):
                self._now(f"{job}{stage}{f' {_escape(detail)}' if detail else ''}")
            case events.StepStarted(label=label, number=number, total=total):
                self._now(f"{job}step {number}/{total} {_escape(label)}")
            case events.StepFinished(label=label, number=number, total=total, seconds=seconds, status=0):
                self._console.print(f"[green]✓[/] {job}{number}/{total} {_escape(label)} [dim]{seconds:.1f} s[/]")
            case events.Progress(what=what, done=done, total=total):
                self._now(f"{job}{_escape(what)} {done}/{total}")
            case events.Transfer():
                self._downloads.note(event)
                self._show(_escape(self._downloads.describe()) or self._doing)
            case events.StageFinished(stage=stage, seconds=seconds) if stage != "steps":
                self._console.print(f"[green]✓[/] {job}{stage} [dim]{seconds:.1f} s[/]")
            case events.StageFinished():
                pass  # its steps have told their times
            case _:
                self._line(event, job)

    def _line(self, event: events.Event, job: str) -> None:
        text = _escape(describe(event))
        if not text:
            return
        if isinstance(event, events.Warning):
            text = f"[yellow]{text}[/]"
        elif isinstance(event, events.StepFinished) or (isinstance(event, events.JobFinished) and not event.ok):
            text = f"[red]✗[/] {text}"
        self._console.print(f"{job}{text}")

    def _now(self, text: str) -> None:
        self._doing, self._since = text, time.monotonic()
        self._show(text)

    def _show(self, markup: str) -> None:
        """Show what goes on now, in one line whatever the width."""
        from rich.text import Text  # noqa: PLC0415  # see __init__

        text = Text.from_markup(markup)
        text.truncate(max(1, self._console.width - 3), overflow="ellipsis")  # the wheel takes two columns
        self._status.update(text)

    def _output(self, line: str) -> None:
        if self._verbose:
            self._console.print(_escape(line), style="dim")
            return
        now = time.monotonic()
        # Compilers print thousands of lines a second; a terminal need not show each.
        if now - self._shown > 0.1:
            self._shown = now
            tail = _escape(line.strip()[: self._console.width].replace("\t", " "))
            self._show(f"{self._doing} [dim]{now - self._since:.0f} s  {tail}[/]")


def _escape(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415  # rich is loaded by whoever calls this

    return escape(printable(text))
