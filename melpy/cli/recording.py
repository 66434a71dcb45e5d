"""What a run shows and what it writes down, as one monitor: the view, its recording, `--events` and `--trace`."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from melpy import events
from melpy.cli.monitor import open_monitor
from melpy.cli.option import PATH
from melpy.errors import MelpyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Function = TypeVar("Function", bound="Callable[..., Any]")


def recording_options(function: Function) -> Function:
    """Add `--events` and `--trace` to a command, as `events_file` and `trace_file`."""
    function = click.option(
        "--trace", "trace_file", type=PATH, metavar="FILE", help="Write a trace that ui.perfetto.dev opens."
    )(function)
    return click.option(
        "--events", "events_file", type=PATH, metavar="FILE", help="Write what happens, as JSON lines."
    )(function)


@contextmanager
def open_recording(
    cache_dir: Path,
    *,
    out_dir: Path | None = None,
    events_file: Path | None = None,
    trace_file: Path | None = None,
    verbose: bool = False,
    quiet: bool = False,
) -> Iterator[events.Monitor]:
    """Return the monitor of a run: it shows what happens, and records it.

    The run's own recording is below the cache, where `melpy report` finds it. The trace is written at the end, whether
    the run ended well or not. What cannot be written on the way is a warning; the run is worth more.

    Args:
        cache_dir: melpy's cache.
        out_dir: the repository that the run writes; None for none.
        events_file: further file for the recording.
        trace_file: file for a trace in Chrome's format.
        verbose: show what steps print.
        quiet: show warnings and failures only.

    Raises:
        OutputError: a file cannot be written, found out at the beginning.
    """
    from melpy.engine.recording import Recorder, new_recording_path  # noqa: PLC0415  # --help does not need it
    from melpy.files import check_writable  # noqa: PLC0415  # likewise

    if trace_file:  # `check_flags` has seen to its directory
        check_writable(trace_file.absolute().parent)
    with ExitStack() as stack:
        # The view is closed last, as it is told what could not be recorded.
        view = stack.enter_context(open_monitor(verbose=verbose, quiet=quiet))
        own = new_recording_path(cache_dir)
        recorders = [stack.enter_context(Recorder(path, out_dir=out_dir)) for path in (own, events_file) if path]
        try:
            yield events.Fan(*recorders, view)
        finally:
            for recorder in recorders:
                if recorder.problem:
                    view.emit(events.Warning("", f"{recorder.path}: not all was recorded: {recorder.problem}"))
            if trace_file:
                _write_trace(own, trace_file, view)


def _write_trace(recording: Path, target: Path, view: events.Monitor) -> None:
    from melpy.engine.recording import load_recording  # noqa: PLC0415  # only where a trace is asked for
    from melpy.engine.timeline import make_timeline  # noqa: PLC0415  # likewise
    from melpy.engine.trace import render_trace  # noqa: PLC0415  # likewise
    from melpy.files import write_file  # noqa: PLC0415  # likewise

    try:
        write_file(target, render_trace(make_timeline(load_recording(recording))))
    except MelpyError as error:
        view.emit(events.Warning("", f"no trace was written: {error}", error.hint or ""))
