"""`melpy report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import PATH, read_settings, setting_options
from melpy.cli.report import near_path, print_text
from melpy.errors import UsageError
from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAGE, _TRACE = "melpy-report.html", "melpy-trace.json"


@click.command(
    cls=Command,
    short_help="Write a page that shows what happened in a run.",
    examples={
        "melpy report": "the newest run of this out-dir, as melpy-report.html",
        "melpy report --out-dir ../other": "the newest run of another one",
        "melpy report -o nightly.html events.jsonl": "the run that melpy build --events events.jsonl recorded",
    },
)
@click.argument("recording", required=False, type=PATH, metavar="[EVENTS]")
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="What is written; melpy-report.html or melpy-trace.json by default.",
)
@click.option("--trace", is_flag=True, help="Write a trace that ui.perfetto.dev opens, instead of a page.")
@click.option("--out-dir", metavar="DIR", help="The newest run that wrote this repository.")
@setting_options("cache-dir")
def command(recording: Path | None, *, output: Path | None, trace: bool, **flags: Any) -> None:  # settings
    """Write one HTML page about a run: timeline, jobs, graph, failures.

    EVENTS is what melpy build --events wrote, or a recording of the cache. Without it, the newest run is taken that
    wrote the out-dir of the settings, or of --out-dir. The page needs no other file and no network.
    """
    from melpy.cli.mistake import check_target  # noqa: PLC0415  # --help does not need it
    from melpy.cli.page import render_page  # noqa: PLC0415  # likewise
    from melpy.engine.recording import find_newest_recording, list_recordings, load_recording  # noqa: PLC0415  # likewise
    from melpy.engine.timeline import make_timeline  # noqa: PLC0415  # likewise
    from melpy.engine.trace import render_trace  # noqa: PLC0415  # likewise
    from melpy.files import write_file  # noqa: PLC0415  # likewise

    settings = read_settings(flags)
    path = recording or find_newest_recording(settings.cache_dir, settings.out_dir)
    if recording and not recording.exists():
        raise UsageError("no such file", where=str(recording), hint="name a file of melpy build --events")
    if path is None:
        raise _refuse(list_recordings(settings.cache_dir), settings.out_dir)
    output = output or Path(_TRACE if trace else _PAGE)
    if str(output) != "-":
        check_target(output)
    timeline = make_timeline(load_recording(path))
    data = render_trace(timeline) if trace else render_page(timeline).encode("utf-8", "replace")
    if str(output) == "-":
        click.echo(data, nl=False)
        return
    write_file(output, data)
    print_text(f"{near_path(output.absolute())}: {size_text(len(data))}, of {path}", err=True)


def _refuse(others: Sequence[tuple[Path, str]], out_dir: Path) -> UsageError:
    """Return the error that no run of an out-dir is recorded, with the newest one of another."""
    if not others:
        hint = "run melpy build first, or name a file of melpy build --events"
        return UsageError("no run is recorded yet", hint=hint)
    path, place = others[0]
    hint = (
        f"the newest one is of {near_path(Path(place))}: --out-dir names it" if place else f"the newest one is {path}"
    )
    return UsageError(f"no run that wrote {near_path(out_dir.resolve())} is recorded", hint=hint)
