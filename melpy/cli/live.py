"""The display for terminals: what is done scrolls up, and what goes on now stays in the last lines.

One build has one such line; a run over several has one for each build that goes on, and some for the whole. A thread
draws at most eight times a second; an event only changes the state and, at most, adds a line to be scrolled up, so
that compilers that print thousands of lines a second are not kept waiting.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Self

from melpy import events
from melpy.cli.board import Board, Row, render_board
from melpy.cli.monitor import describe
from melpy.cli.report import has_color
from melpy.interrupt import start_thread
from melpy.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from melpy.cli.board import Line

PERIOD = 0.125
"""Seconds between two drawings."""

_OUTPUT = "dim"
"""Style of what steps print."""
_MOST_PENDING = 50_000  # lines
_WHEEL = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR = "\x1b[J"
"""Erases what is below the cursor, which stays visible: a killed melpy could not show it again."""


class Live:
    """Shows events on the terminal that stderr is.

    Args:
        verbose: show what steps print.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        from rich.console import Console  # noqa: PLC0415  # 40 ms that only terminals need

        self._verbose = verbose
        self._console: Console = Console(stderr=True, no_color=not has_color(terminal=True), highlight=False)
        self._board = Board(time.monotonic())
        self._single = Row("", time.monotonic())
        self._lock = threading.Lock()
        self._scroll: list[Line] = []
        self._drawn: list[int] = []  # cells of the lines that are drawn now
        self._frame: tuple[int, list[Line]] = 0, []  # width and lines that are drawn now
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw_on, name="live", daemon=True)
        self._turn = 0

    def __enter__(self) -> Self:
        start_thread(self._thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._draw(last=True)

    def emit(self, event: events.Event) -> None:
        """Take note of the event; it is shown by the next drawing."""
        now = time.monotonic()
        with self._lock:
            is_run = self._board.is_run
            lines = self._describe_run(event) if is_run else self._describe_single(event)
            self._board.note(event, now)
            if not is_run:
                self._note_single(event, now)
            # A terminal that was stopped (Ctrl-S) takes nothing; the log has what is left out here.
            if lines and (len(self._scroll) < _MOST_PENDING or not isinstance(event, events.Output)):
                self._scroll += lines

    def _describe_run(self, event: events.Event) -> list[Line]:
        """Return the lines that scroll up for an event of a run over several jobs."""
        match event:
            case events.Output(job=job, line=line):
                return [((f"{job} {line}", _OUTPUT),)] if self._verbose else []
            case events.JobSettled(job=job, outcome=outcome):
                if not (self._verbose or self._board.is_worth_a_line(event)):
                    return []  # counted below, and the summary names those that were skipped
                text, details = self._board.describe_settled(event)
                mark = _MARKS.get(outcome, ("·", "dim"))
                return [(mark, (f" {job}", "bold"), (f" {text}", "")), *(((f"    {line}", ""),) for line in details)]
            case events.Warning() | events.Note(job=""):
                return _described(event)
            case _ if self._verbose:
                return self._describe_single(event)
        return []

    def _describe_single(self, event: events.Event) -> list[Line]:
        job = ((f"{event.job} ", "bold"),) if event.job else ()
        match event:
            case events.Output(line=line):
                return [((line, _OUTPUT),)] if self._verbose else []
            case events.StepFinished(label=label, number=number, total=total, seconds=seconds, status=0):
                return [(("✓ ", "green"), *job, (f"{number}/{total} {label} ", ""), (f"{seconds:.1f} s", "dim"))]
            case events.StageFinished(stage=stage, seconds=seconds) if stage != "steps":
                return [(("✓ ", "green"), *job, (f"{stage} ", ""), (f"{seconds:.1f} s", "dim"))]
            case events.StageFinished() | events.StepStarted() | events.JobSettled():
                return []  # the steps of a stage have told their times
        return _described(event)

    def _note_single(self, event: events.Event, now: float) -> None:
        """Take note of what goes on now, for the one line of a single build."""
        job = f"{event.job} " if event.job else ""
        match event:
            case events.StageStarted(stage=stage, detail=detail):
                self._now(f"{job}{stage}{f' {detail}' if detail else ''}", now)
            case events.StepStarted(label=label, number=number, total=total):
                self._now(f"{job}step {number}/{total} {label}", now)
            case events.Progress(what=what, done=done, total=total):
                self._now(f"{job}{what} {done}/{total}", now)
            case events.Output(line=line):
                self._single.last = line

    def _now(self, text: str, now: float) -> None:
        self._single.doing, self._single.doing_since, self._single.last = text, now, ""

    def _draw_on(self) -> None:
        while not self._ended.wait(PERIOD):
            self._draw()

    def _draw(self, *, last: bool = False) -> None:
        """Write the lines that scroll up, and below them those that go on."""
        console = self._console
        width, height = self._size()
        with self._lock:
            scroll, self._scroll = self._scroll, []
            below = [] if last else self._below(width, height)
        self._turn += 1
        frame = width, below
        if not scroll and frame == self._frame:
            return
        self._frame = frame
        with console.capture() as captured:
            for is_output, lines in groupby(scroll, _is_output):
                if is_output:  # all at once: each line by itself takes rich 0.3 ms, and there may be thousands
                    joined = "\n".join(printable(line[0][0]) for line in lines)
                    console.out(joined, style=_OUTPUT, highlight=False)
                    continue
                for line in lines:
                    console.print(_text(line), soft_wrap=True)
            drawn = []
            for line in below:
                text = _text([(part.replace("\t", " "), style) for part, style in line])  # a tab takes up to 8 cells
                text.truncate(max(1, width - 1), overflow="ellipsis")
                drawn.append(text.cell_len)
                console.print(text, no_wrap=True, overflow="ignore", crop=False)
        up = f"\x1b[{rows}A" if (rows := _rows(self._drawn, width)) else ""
        self._drawn = drawn
        self._write(f"\r{up}{_CLEAR}{captured.get()}")

    def _below(self, width: int, height: int) -> list[Line]:
        now = time.monotonic()
        if self._board.is_run:
            return render_board(self._board, width, height, now)
        single = self._single
        wheel = (_WHEEL[self._turn % len(_WHEEL)], "green")
        downloads = self._board.downloads.describe()
        if downloads:
            return [(wheel, (f" {downloads}", ""))]
        if not single.last:
            return [(wheel, (f" {single.doing}", ""))]
        last = single.last.strip()
        return [(wheel, (f" {single.doing} ", ""), (f"{now - single.doing_since:.0f} s  {last}", "dim"))]

    def _size(self) -> tuple[int, int]:
        """Return columns and rows of the terminal now; COLUMNS, which rich heeds, may be from before it was resized."""
        try:
            return os.get_terminal_size(self._console.file.fileno())
        except (OSError, ValueError):
            return self._console.size

    def _write(self, text: str) -> None:
        # A terminal that is gone shows nothing; the build goes on until it is told to end.
        with suppress(OSError):
            self._console.file.write(text)
            self._console.file.flush()


_MARKS = {"built": ("✓", "green"), "cached": ("✓", "green"), "failed": ("✗", "red"), "held-back": ("✗", "red")}


def _described(event: events.Event) -> list[Line]:
    """Return the line of an event as monitors for plain lines have it, with colours."""
    text = describe(event)
    if not text:
        return []
    job = ((f"{event.job} ", "bold"),) if event.job else ()
    if isinstance(event, events.Warning):
        return [(*job, (text, "yellow"))]
    failed = isinstance(event, events.StepFinished) or (isinstance(event, events.JobFinished) and not event.ok)
    return [(*job, *((("✗ ", "red"),) if failed else ()), (text, ""))]


def _is_output(line: Line) -> bool:
    return len(line) == 1 and line[0][1] == _OUTPUT


def _text(line: Sequence[tuple[str, str]]) -> Text:
    from rich.text import Text  # noqa: PLC0415  # see Live

    return Text.assemble(*((printable(text), style) for text, style in line))


def _rows(cells: list[int], width: int) -> int:
    """Return the rows that lines take now: a terminal that became narrower has folded them."""
    return sum(max(1, -(-each // max(1, width))) for each in cells)
