"""A timeline in the trace event format of Chrome, which ui.perfetto.dev and chrome://tracing open.

One row for each worker slot: a slice for each build, within it its stages, within these its steps. A flow leads from
the job that a build waited for last to the build. Counters tell how many builds go on and how many jobs are settled.
Source of the format: "Trace Event Format" of the Chromium project.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from melpy.text import escape_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.engine.timeline import JobHistory, Span, Timeline

_RUN, _JOBS = 1, 2
"""Processes of the trace: the run itself, and its worker slots."""
_MOST_WAITS = 50  # names that a slice lists

Record = dict[str, Any]


def render_trace(timeline: Timeline) -> bytes:
    """Return a trace as JSON."""
    records = [
        *_names(timeline),
        *(_slice(_RUN, 0, piece.name, piece.start, piece.end, {}) for piece in timeline.stages),
        *(record for number in range(len(timeline.jobs)) for record in _job_records(timeline, number)),
        *_counters(timeline),
    ]
    # A line each, so that it can be looked into.
    lines = ",\n".join(escape_json(json.dumps(record, ensure_ascii=True, separators=(",", ":"))) for record in records)
    return f'{{"displayTimeUnit":"ms","traceEvents":[\n{lines}\n]}}\n'.encode()


def _names(timeline: Timeline) -> Iterator[Record]:
    slots = max((span.slot + 1 for job in timeline.jobs for span in job.spans), default=0)
    for process, name in ((_RUN, "run"), (_JOBS, "builds")):
        yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
    for slot in range(slots):
        yield {"ph": "M", "pid": _JOBS, "tid": slot, "name": "thread_name", "args": {"name": f"slot {slot + 1}"}}


def _job_records(timeline: Timeline, number: int) -> Iterator[Record]:
    job = timeline.jobs[number]
    for attempt, span in enumerate(job.spans):
        args: Record = {"outcome": job.outcome, "waited for": _waits(timeline, job)}
        args |= {"because": job.because} if job.because else {}
        args |= {"cause": job.cause} if job.cause else {}
        args |= {"log": job.log} if job.log else {}
        yield _slice(_JOBS, span.slot, job.job, span.start, span.end, args)
        for piece in span.pieces:
            more = {"status": piece.status} if piece.number else {}
            label = f"{piece.number} {piece.name}" if piece.number else piece.name
            yield _slice(_JOBS, span.slot, label, piece.start, piece.end, more)
        if not attempt:
            yield from _flow(timeline, number, span)


def _waits(timeline: Timeline, job: JobHistory) -> list[str]:
    names = [timeline.jobs[number].job for number in job.waits[:_MOST_WAITS]]
    return [*names, f"{len(job.waits) - _MOST_WAITS} more"] if len(job.waits) > _MOST_WAITS else names


def _flow(timeline: Timeline, number: int, span: Span) -> Iterator[Record]:
    """Yield the arrow from the build that was waited for last; there is none from a job that was not built."""
    blocker = timeline.jobs[number].blocker
    if blocker is None or not timeline.jobs[blocker].spans:
        return
    before = timeline.jobs[blocker].spans[-1]
    common = {"pid": _JOBS, "id": number, "name": "waits", "cat": "waits"}
    # A flow begins within the slice that it leaves.
    yield {**common, "ph": "s", "tid": before.slot, "ts": max(_micro(before.start), _micro(before.end) - 1)}
    yield {**common, "ph": "f", "bp": "e", "tid": span.slot, "ts": _micro(span.start)}


def _counters(timeline: Timeline) -> Iterator[Record]:
    changes = [(span.start, 1, 0) for job in timeline.jobs for span in job.spans]
    changes += [(span.end, -1, 0) for job in timeline.jobs for span in job.spans]
    changes += [(job.settled, 0, 1) for job in timeline.jobs if job.outcome not in {"running", "queued"}]
    running = settled = 0
    for at, started, done in sorted(changes):
        running, settled = running + started, settled + done
        yield {"ph": "C", "pid": _RUN, "name": "running" if started else "settled", "ts": _micro(at)} | {
            "args": {"jobs": running if started else settled}
        }


def _slice(process: int, row: int, name: str, start: float, end: float, args: Record) -> Record:
    times = {"ts": _micro(start), "dur": max(0, _micro(end) - _micro(start))}
    return {"ph": "X", "pid": process, "tid": row, "name": name, **times, "args": args}


def _micro(seconds: float) -> int:
    return round(seconds * 1_000_000)
