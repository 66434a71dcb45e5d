"""A run as one HTML page: timeline, table, graph and failures, with all it needs inside.

Input: a `Timeline`. The page asks for nothing from anywhere, and its content security policy forbids it. Names and
lines come from strangers: the template escapes them, and the script adds them as text only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melpy.cli.board import OUTCOMES
from melpy.cli.report import count_text
from melpy.cli.summary import render_enter
from melpy.text import printable, seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.engine.timeline import JobHistory, Piece, Span, Timeline

LARGEST = 5_000_000
"""Bytes of a page."""

_TEMPLATE = Path(__file__).parent / "html"
_ALL_OUTCOMES = (*OUTCOMES, "running", "queued")
_WORDS = {**OUTCOMES, "running": "not finished", "queued": "not begun"}
_VIEWS = (("timeline", "Timeline"), ("jobs", "Jobs"), ("graph", "Graph"), ("failures", "Failures"))
_MOST_WARNINGS = 200
_LONGEST_LINE = 400  # characters
_TAILS = 1_500_000  # characters of all logs
_LINES = 40  # of a log
_MOST_FAILURES = 500


class _Texts:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"": 0}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(printable(text[:_LONGEST_LINE]), len(self.numbers))


def render_page(timeline: Timeline) -> str:
    """Return the page of a run; where it would be too large, the steps of builds that ended well are left out first."""
    pages = (_render(timeline, steps=steps, depends=depends) for steps, depends in _DETAILS)
    return next((page for page in pages if len(page.encode("utf-8", "replace")) <= LARGEST), "") or _render(
        timeline, steps=False, depends=False, failures=20
    )


_DETAILS = ((True, True), (False, True), (False, False))
"""What pages have: the steps of all builds, dependencies of packages."""


def _render(timeline: Timeline, *, steps: bool, depends: bool, failures: int = _MOST_FAILURES) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # 30 ms; --help is without

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    style, script = ((_TEMPLATE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    failed = [job for job in timeline.jobs if job.outcome == "failed"]
    counts = Counter(job.outcome for job in timeline.jobs)
    begin = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(timeline.start))
    workers = f" on {count_text(timeline.workers, 'worker')}" if timeline.workers else ""
    ended = "" if timeline.is_whole else "; it did not come to its end"
    return environment.get_template("page.html").render(
        title=f"Run of {begin}",
        subtitle=f"{count_text(len(timeline.jobs), 'job')}{workers} in {seconds_text(timeline.seconds)}{ended}",
        counts=[(one, _WORDS[one], counts[one]) for one in _ALL_OUTCOMES if counts[one]],
        views=[(key, f"{word} ({len(failed)})" if key == "failures" else word) for key, word in _VIEWS],
        failures=list(_failures(failed[:failures])),
        failures_left=max(0, len(failed) - failures),
        warnings=[
            (printable(job), printable(text[:_LONGEST_LINE])) for job, text in timeline.warnings[:_MOST_WARNINGS]
        ],
        data=_script_text(_data(timeline, steps=steps, depends=depends)),
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def _digest(text: str) -> str:
    """Return what a content security policy names a script or style by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _script_text(data: object) -> str:
    """Return data as JSON that no browser takes for the end of a script element."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _failures(failed: list[JobHistory]) -> Iterator[dict[str, str]]:
    room = _TAILS
    for job in failed:
        lines = [printable(line[:_LONGEST_LINE]).removeprefix("| ") for line in job.tail[-_LINES:]]
        tail = "\n".join(lines)[-room:] if room > 0 else ""
        room -= len(tail)
        name = job.name.rsplit("-", 2)[0]
        yield {
            "job": printable(job.job),
            "step": printable(job.step),
            "cause": printable((job.cause or job.because)[:_LONGEST_LINE]),
            "enter": render_enter(printable(name), printable(job.arch)) if job.step else "",
            "log": printable(job.log),
            "tail": tail,
        }


def _data(timeline: Timeline, *, steps: bool, depends: bool) -> dict[str, Any]:
    texts = _Texts()
    jobs = [_job(job, texts, steps=steps or job.outcome == "failed", depends=depends) for job in timeline.jobs]
    return {
        "seconds": _hundredths(timeline.seconds),
        "outcomes": _ALL_OUTCOMES,
        "texts": list(texts.numbers),
        "jobs": jobs,
    }


def _job(job: JobHistory, texts: _Texts, *, steps: bool, depends: bool) -> list[object]:
    """Return a job as the script reads it: times in hundredths of a second, each wait as its distance from the last."""
    waits = [after - before for before, after in zip((0, *job.waits), job.waits, strict=False)]
    return [
        texts.number(job.name),
        texts.number(job.arch),
        _ALL_OUTCOMES.index(job.outcome) if job.outcome in _ALL_OUTCOMES else len(_ALL_OUTCOMES) - 1,
        _hundredths(job.settled),
        _hundredths(job.seconds),
        -1 if job.blocker is None else job.blocker,
        waits,
        [_span(span, texts, steps=steps) for span in job.spans],
        [
            [texts.number(one.name), one.size, [texts.number(text) for text in one.depends] if depends else []]
            for one in job.packages
        ],
        texts.number(job.because),
    ]


def _span(span: Span, texts: _Texts, *, steps: bool) -> list[object]:
    pieces = [number for piece in span.pieces if steps or not piece.number for number in _piece(piece, texts)]
    return [_hundredths(span.start), _hundredths(span.end) - _hundredths(span.start), span.slot, pieces]


def _piece(piece: Piece, texts: _Texts) -> tuple[int, int, int, int]:
    return texts.number(piece.name), _hundredths(piece.end - piece.start), piece.number, piece.status


def _hundredths(seconds: float) -> int:
    return round(seconds * 100)
