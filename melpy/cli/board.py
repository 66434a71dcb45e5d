"""The state of a run for display: which builds go on, what became of the others, and the estimate of the rest.

Input: events and the time. Output: lines, each a sequence of texts with styles. It knows no terminal and prints
nothing; `live` and `monitor` show its lines.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from melpy import events
from melpy.build.cause import find_cause
from melpy.cli.downloads import Downloads
from melpy.cli.report import near_path
from melpy.text import clock_text, printable, seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Line = tuple[tuple[str, str], ...]
"""Texts with their styles, as rich names these; the texts may come from strangers."""

OUTCOMES = {
    "built": "built",
    "cached": "cached",
    "up-to-date": "up to date",
    "failed": "failed",
    "skipped": "skipped",
    "held-back": "held back",
    "stopped": "not begun",
    "interrupted": "interrupted",
}
"""Outcomes of jobs, and their words for people, in the order in which they are listed."""

_TOLD = ("built", "cached", "failed", "held-back")
_TAIL = 40  # lines of output that are kept of each build, from which the cause of a failure is found
_STYLES = {"failed": "red", "held-back": "red", "stopped": "yellow", "interrupted": "yellow", "skipped": "yellow"}
_NARROW, _WIDE = 8, 100
_BAR = 10  # cells below which a bar shows nothing


class Row:
    """A build that goes on.

    Attributes:
        job: its name.
        since: when it began, `time.monotonic`.
        doing: stage or step.
        doing_since: when that began.
        waits: nothing of it goes on now: it waits for a processor, or for the other builds of its cycle.
        last: last line of its output.
        tail: last lines of its output.
        failed: the step that failed, and how it ended.
        log: its log.
        has_steps: a step has begun, and the log with it.
    """

    def __init__(self, job: str, since: float) -> None:
        self.job = job
        self.since = since
        self.doing = ""
        self.doing_since = since
        self.waits = False
        self.last = ""
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.failed = ""
        self.log: Path | None = None
        self.has_steps = False


class Board:
    """All that is known of a run now."""

    def __init__(self, now: float = 0.0) -> None:
        self.total = 0
        self.workers = 0
        self.since = now
        self.counts: Counter[str] = Counter()
        self.rows: dict[str, Row] = {}
        self._jobs: frozenset[str] = frozenset()
        self.downloads = Downloads()
        self.doing = ""
        self.forecast: events.Forecast | None = None
        self.forecast_at = now
        self._widest = 0

    @property
    def is_run(self) -> bool:
        """Tell whether this is a run over several jobs, which is shown as a whole."""
        return self.total > 1

    @property
    def running(self) -> list[Row]:
        """The builds of which something goes on now."""
        return [row for row in self.rows.values() if not row.waits]

    @property
    def settled(self) -> int:
        """Number of jobs whose outcome is known."""
        return self.counts.total()

    def note(self, event: events.Event, now: float) -> None:
        """Take note of an event."""
        match event:
            case events.Output(job=job, line=line):  # by far the most frequent
                row = self._row(job, now)
                row.last = line
                row.tail.append(line)
            case events.RunStarted(total=total, workers=workers, jobs=jobs):
                self.total, self.workers, self.since, self._jobs = total, workers, now, frozenset(jobs)
            case events.Forecast():
                self.forecast, self.forecast_at = event, now
            case events.Transfer():
                self.downloads.note(event)
            case events.JobSettled(job=job, outcome=outcome):
                self.counts[outcome] += 1
                self.rows.pop(job, None)
            case events.Progress(job="", what=what, done=done, total=total):
                self.doing = f"{what} {done}/{total}" if done < total else ""
            case events.StageStarted(job="", stage=stage):
                self.doing = stage
            case events.StageFinished(job=""):
                self.doing = ""
            case events.RunFinished() | events.Note() | events.Warning():
                pass
            case _ if self._jobs and event.job not in self._jobs and _ends(event):
                self.rows.pop(event.job, None)  # what works for all jobs, such as the seed
            case _ if event.job:
                self._note_job(event, now)

    def _note_job(self, event: events.Event, now: float) -> None:
        row = self._row(event.job, now)
        row.waits = isinstance(event, events.StageFinished | events.JobFinished)
        row.has_steps = row.has_steps or isinstance(event, events.StepStarted | events.StepFinished)
        match event:
            case events.JobStarted(log=log):
                row.log, row.since = log, now
            case events.JobFinished():
                row.doing, row.doing_since = "", now
            case events.StageStarted(stage=stage, detail=detail):
                row.doing, row.doing_since = f"{stage} {detail}".rstrip(), now
            case events.StepStarted(label=label, number=number, total=total):
                row.doing, row.doing_since, row.last = f"{number}/{total} {label}", now, ""
                row.tail.clear()
            case events.StepFinished(label=label, number=number, total=total, status=status):
                row.failed = f"step {number}/{total} {label}, status {status}" if status else ""
            case events.Progress(what=what, done=done, total=total):
                row.doing = f"{what} {done}/{total}"

    def _row(self, job: str, now: float) -> Row:
        row = self.rows.get(job)
        if row is None:
            row = self.rows[job] = Row(job, now)
            self._widest = max(self._widest, len(job.rpartition("/")[0]))
        return row

    def is_worth_a_line(self, event: events.JobSettled) -> bool:
        """Tell whether what became of a job is worth a line, to be asked before the event is noted.

        Thousands that are up to date, or were never begun, are counted, and the summary says why.
        """
        row = self.rows.get(event.job)
        return event.outcome in _TOLD or (row is not None and row.has_steps)

    def describe_settled(self, event: events.JobSettled) -> tuple[str, list[str]]:
        """Return what became of a job, to be asked before the event is noted, and further lines about a failure."""
        row = self.rows.get(event.job) or Row(event.job, 0.0)
        word = OUTCOMES.get(event.outcome, event.outcome)
        reason = f": {event.because}" if event.because else ""
        took = seconds_text(event.seconds)
        if event.outcome == "built":
            return f"{word} in {took}", []
        if event.outcome == "skipped" and event.because:
            return f"skipped because of {event.because}", []
        if event.outcome != "failed":
            return f"{word}{reason}", []
        cause = find_cause(row.tail) if row.failed else ""
        details = [cause] if cause and cause not in event.because else []
        details += [f"log: {near_path(row.log)}"] if row.log and row.has_steps else []
        return f"{word} after {took}: {row.failed or event.because or 'no reason was given'}", details


def render_board(board: Board, width: int, height: int, now: float) -> list[Line]:
    """Return the lines that show a run in so many columns and rows."""
    footer = [_progress(board, width, now), *_counts(board, width)]
    doing = board.downloads.describe() if board.doing or not board.running else ""
    if doing or board.doing:
        footer.insert(0, (("  ", ""), (doing or board.doing, "")))
    room = max(1, height - len(footer) - 2)
    rows = board.running
    shown = rows if len(rows) <= room else rows[: room - 1]
    lines = [_render_row(board, row, width, now) for row in shown]
    if len(shown) < len(rows):
        lines.append(((f"  … and {len(rows) - len(shown)} more", "dim"),))
    return [*lines, *footer]


def _render_row(board: Board, row: Row, width: int, now: float) -> Line:
    name, _, arch = row.job.rpartition("/")
    took = clock_text(now - row.since)
    # The columns stay where they are: their widths depend on the terminal and on the longest name so far.
    longest = max(_NARROW, min(board._widest, width * 2 // 5))  # noqa: SLF001  # the board's own view
    rest = width - longest - 8 - 7 - 6
    doing = board.downloads.describe_job(row.job) or row.doing
    step = min(rest, 32) if width >= _WIDE else rest
    has_room = rest - step > _NARROW and row.last
    last = f"  {_fit(printable(row.last).removeprefix('| ').strip(), rest - step - 2)}" if has_room else ""
    return (
        (f"  {_fit(name, longest)} ", "bold"),
        (f"{_fit(arch, 8)} ", ""),
        (_fit(printable(doing), step), "cyan"),
        (last.ljust(rest - step), "dim"),
        (f" {took:>7}", ""),
    )


def _ends(event: events.Event) -> bool:
    """Tell whether an event is the end of a stage."""
    return isinstance(event, events.StageFinished) or (isinstance(event, events.Progress) and event.done >= event.total)


def _fit(text: str, width: int) -> str:
    """Return a text in exactly so many characters."""
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _progress(board: Board, width: int, now: float) -> Line:
    total, settled = board.total, board.settled
    share = min(1.0, settled / total) if total else 0.0
    head = f"  {settled}/{total} "
    tail = f" {int(share * 100)} %  {clock_text(now - board.since)}{_estimate(board, now)}"
    room = width - len(head) - len(tail) - 1
    if room < _BAR:
        return ((head.rstrip(), "bold"), (tail, ""))
    room = min(room, 40)
    full = int(room * share)
    return ((head, "bold"), ("━" * full, "green"), ("─" * (room - full), "dim"), (tail, ""))


def _estimate(board: Board, now: float) -> str:
    """Return the estimate of the time that is left, with its spread: `, 12 min left (9-20)`."""
    if board.forecast is None or board.settled >= board.total:
        return ""
    age = now - board.forecast_at
    left, low, high = (
        max(0.0, value - age) for value in (board.forecast.left, board.forecast.low, board.forecast.high)
    )
    if not high and board.forecast.high:
        return ", later than estimated"
    unit, seconds = next((unit for unit in _UNITS if left < 90 * unit[1]), _UNITS[-1])
    digits = 1 if unit == "h" and left < 10 * seconds else 0
    middle, least, most = (f"{value / seconds:.{digits}f}" for value in (left, low, high))
    return f", {middle} {unit} left" + (f" ({least}-{most})" if least != most else "")


_UNITS = (("s", 1), ("min", 60), ("h", 3600))


def _counts(board: Board, width: int) -> list[Line]:
    """Return what became of the jobs, in as many lines as it takes."""
    queued = max(0, board.total - board.settled - len(board.running))
    parts: list[tuple[str, str]] = [(f"{len(board.running)} running", ""), (f"{queued} queued", "")]
    for outcome, word in OUTCOMES.items():
        if board.counts[outcome]:
            parts.append((f"{board.counts[outcome]} {word}", _STYLES.get(outcome, "green")))
    lines: list[list[tuple[str, str]]] = [[("  ", "")]]
    for text, style in parts:
        used = sum(len(part) for part, _ in lines[-1])
        if used + len(text) + 3 >= width and len(lines[-1]) > 1:
            lines.append([("  ", "")])
        lines[-1] += [(" · ", "dim")] if len(lines[-1]) > 1 else []
        lines[-1].append((text, style))
    return [tuple(line) for line in lines]


def plain_text(line: Sequence[tuple[str, str]]) -> str:
    """Return a line without its styles."""
    return "".join(text for text, _ in line)
