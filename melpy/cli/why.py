"""`melpy why`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import (
    BUILD_OPTION,
    DISTRIBUTION,
    ENVIRONMENT,
    IGNORE_SIGNATURES,
    OFFLINE,
    RUNS,
    read_settings,
    setting_options,
)
from melpy.cli.report import print_json, print_text, short_list
from melpy.errors import MelpyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from melpy.cli.preparing import Prepared
    from melpy.engine.expectation import Expectation, Expecter
    from melpy.events import Monitor
    from melpy.graph.model import BuildId

_SHOWN = 12  # changed inputs


@click.command(
    cls=Command,
    short_help="Tell why a build is up to date or not, and which inputs changed.",
    examples={
        "melpy why curl": "a recipe of packages/, by its name",
        "melpy why --arch aarch64 packages/curl.yaml": "for another architecture",
    },
)
@click.argument("targets", nargs=-1, required=True, metavar="RECIPE|NAME...")
@setting_options(*ENVIRONMENT, *DISTRIBUTION, "build-cache", *RUNS)
@BUILD_OPTION
@IGNORE_SIGNATURES
@OFFLINE
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(targets: tuple[str, ...], *, options: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Tell why builds are up to date or not.

    The inputs that published packages say they were made from are held against those of today: packages of the
    environment, sources, files of the recipe. The recipe's last commit says since when.
    """
    from melpy.cli.expecting import open_prepared  # noqa: PLC0415  # --help does not need it
    from melpy.cli.monitor import open_monitor  # noqa: PLC0415  # likewise
    from melpy.cli.preparing import load_run, order_run  # noqa: PLC0415  # likewise
    from melpy.cli.selection import read_targets  # noqa: PLC0415  # likewise
    from melpy.engine.expectation import Expecter  # noqa: PLC0415  # likewise
    from melpy.engine.selection import SelectionOptions  # noqa: PLC0415  # likewise
    from melpy.graph.model import BuildId  # noqa: PLC0415  # likewise

    settings = read_settings(flags, tuple(Path(text) for text in targets if Path(text).exists()))
    chosen = SelectionOptions()
    given = {**_FLAGS, **flags}
    with open_monitor(quiet=True) as monitor:
        arguments = read_targets(targets, chosen, settings.file)
        prepared = order_run(load_run(arguments, chosen, settings, options, given, monitor))
        with open_prepared(prepared, given, monitor) as means:
            expecter = Expecter(prepared.work, means)
            expected = {BuildId(one.recipe, one.arch): one for one in expecter.expect(linked=False)}
            asked = [one.build for one in prepared.selection.builds if one.asked]
            said = [_describe(build, expected[build], expecter, prepared, monitor) for build in asked]
    if as_json:
        print_json(said)
        return
    for one in said:
        print_text("\n".join(_render(one)))


_FLAGS: Mapping[str, Any] = {
    "only": False,
    "quarantine": None,
    "no_quarantine": True,
    "jobs": None,
    "max_failures": None,
    "stale": "inputs",
    "force": False,
    "keep": False,
    "debug": False,
    "from_step": "",
    "retry_failed": False,
    "publish": "end",
    "retry_steps": 0,
    "network": False,
    "emulate_all": False,
    "lock": False,
    "lock_file": None,
}
"""What `melpy build` takes without its flags."""


def _describe(
    build: BuildId, one: Expectation, expecter: Expecter, prepared: Prepared, monitor: Monitor
) -> dict[str, Any]:
    """Return the answer about one build as JSON-able values."""
    from melpy.engine.expectation import FRESH  # noqa: PLC0415  # --help does not need it
    from melpy.engine.prepare import find_commit  # noqa: PLC0415  # likewise
    from melpy.engine.why import find_changes, load_inputs  # noqa: PLC0415  # likewise

    summary = prepared.work.graph.summaries[build]
    file = f"{one.recipe}-{summary.version}.apk"
    places = [prepared.spec.out_dir / arch / file for arch in summary.arches]
    before = load_inputs(next((path for path in places if path.is_file()), places[0]))
    answer: dict[str, Any] = {"job": one.job, "file": one.file, "verdict": one.verdict, "because": one.because}
    planned = prepared.work.plan(build)
    revision = find_commit(planned, prepared.spec, monitor)
    answer["recipe-commit"], answer["package-commit"] = revision.commit, str(before.get("commit", ""))
    try:
        draft = expecter.draft(build)
    except MelpyError as error:
        answer["error"] = str(error)
        answer["changes"] = []
        return answer
    # What is up to date may be of another environment: `noarch` packages that another architecture had.
    changes = find_changes(before, draft.inputs) if before and one.verdict != FRESH else ()
    answer["changes"] = [str(change) for change in changes]
    return answer


def _render(answer: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "up-to-date": "is up to date",
        "cached": "is in the result cache",
        "will-build": "is to be built",
        "may-build": "may have to be built",
        "fails": "cannot be built",
        "skipped": "is not built",
    }
    because = f": {answer['because']}" if answer["because"] and answer["verdict"] != "cached" else ""
    yield f"{answer['job']} {words[answer['verdict']]}{because}"
    if answer.get("error"):
        yield f"  {answer['error']}"
    changes = answer["changes"]
    yield from (f"  {change}" for change in changes[:_SHOWN])
    if len(changes) > _SHOWN:
        yield f"  and {len(changes) - _SHOWN} more: {short_list(changes[_SHOWN:])}"
    commits = answer["package-commit"], answer["recipe-commit"]
    if all(commits) and commits[0] != commits[1]:
        yield f"  the packages are of commit {commits[0][:12]}, the recipe's last one is {commits[1][:12]}"
