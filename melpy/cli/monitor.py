"""Monitors for people: a live display on terminals, plain lines elsewhere. Both write to stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import click

from melpy import events
from melpy.cli.report import has_color
from melpy.text import printable, printable_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.status import Status


@contextmanager
def open_monitor(*, verbose: bool = False, quiet: bool = False) -> Iterator[events.Monitor]:
    """Return the monitor that suits stderr.

    Args:
        verbose: show what steps print.
        quiet: show warnings only.
    """
    if quiet:
        yield Plain(quiet=True)
    elif sys.stderr.isatty():
        with Live(verbose=verbose) as live:
            yield live
    else:
        yield Plain(verbose=verbose)


def describe(event: events.Event) -> str:
    """Return the line that tells of an event; empty for what is not told."""
    text = ""
    match event:
        case events.JobStarted(log=log):
            text = f"building, log: {log}" if log else "building"
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
    """One line for each event, with the job in front."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self._verbose = verbose
        self._quiet = quiet

    def emit(self, event: events.Event) -> None:
        """Print the event, if it is worth a line."""
        if isinstance(event, events.Output):
            line = event.line if self._verbose else ""
        elif self._quiet and not isinstance(event, events.Warning):
            line = ""
        elif isinstance(event, events.Progress):
            line = f"{event.what}: {event.total}" if event.done == event.total else ""
        else:
            line = describe(event)
        if line:
            text = f"[{event.job}] {line}" if event.job else line
            click.echo(printable_line(text), err=True)


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
        self._status.update(f"{text}")

    def _output(self, line: str) -> None:
        if self._verbose:
            self._console.print(_escape(line), style="dim")
            return
        now = time.monotonic()
        # Compilers print thousands of lines a second; a terminal need not show each.
        if now - self._shown > 0.1:
            self._shown = now
            room = max(10, self._console.width - 45)
            tail = _escape(line.strip()[:room].replace("\t", " "))
            self._status.update(f"{self._doing} [dim]{now - self._since:.0f} s  {tail}[/]")


def _escape(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415  # rich is loaded by whoever calls this

    return escape(printable(text))
