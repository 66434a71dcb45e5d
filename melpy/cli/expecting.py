"""What a run would do, printed: `melpy build --dry-run`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from melpy.cli.monitor import open_monitor
from melpy.cli.notice import count_rest
from melpy.cli.preparing import load_run, make_run_spec, order_run
from melpy.cli.report import count_text, print_json, print_text, print_warning, short_list
from melpy.cli.table import Column, print_table
from melpy.codec import asdict
from melpy.engine.expectation import CACHED, FAILS, FRESH, MAY, SKIPPED, WILL, Expecter
from melpy.engine.means import open_means
from melpy.engine.model import PublishSpec
from melpy.errors import MelpyError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from melpy.cli.preparing import Prepared
    from melpy.config.model import Settings
    from melpy.engine.expectation import Expectation
    from melpy.engine.means import Means
    from melpy.engine.selection import Arguments, SelectionOptions
    from melpy.events import Monitor

_COLUMNS = (
    Column("Build"),
    Column("What"),
    Column("Why", cut=True, least=20),
    Column("Selected", rank=1, cut=True, least=12),
)
_WORDS = {
    WILL: "will build",
    MAY: "may build",
    FRESH: "up to date",
    CACHED: "from the cache",
    FAILS: "fails",
    SKIPPED: "skipped",
}


def open_prepared(prepared: Prepared, flags: Mapping[str, Any], monitor: Monitor) -> AbstractContextManager[Means]:
    """Open the memory that tells what is up to date; no server is asked."""
    options = make_run_spec(prepared.settings, flags, len(prepared.work.chosen))
    return open_means(prepared.spec, options, prepared.repositories, monitor, look=False)


def show_expectations(
    arguments: Arguments,
    chosen: SelectionOptions,
    settings: Settings,
    options: Sequence[str],
    flags: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print what a run would do with each build, in order.

    Raises:
        MelpyError: as the run would.
    """
    with open_monitor(quiet=flags.get("quiet", False)) as monitor:
        prepared = order_run(load_run(arguments, chosen, settings, options, flags, monitor))
        with open_prepared(prepared, flags, monitor) as means:
            expecter = Expecter(prepared.work, means)
            expected = list(expecter.expect(linked=as_json))
        if flags["prune"]:
            from melpy.cli.pruning import prune  # noqa: PLC0415  # only where it is asked for

            prune(prepared, arguments.directories, PublishSpec(prepared.spec.out_dir), monitor, flags)
    reasons = {prepared.work.graph.summaries[one.build].job: one.reason for one in prepared.selection.builds}
    _print_notices(expected, prepared.tree.warnings)
    if as_json:
        said = [{**asdict(one), "selected": reasons.get(one.job, "")} for one in expected]
        left = [{"job": one.job, "verdict": SKIPPED, "because": one.because} for one in prepared.skipped]
        print_json([*said, *left])
        return
    rows = [(one.job, _WORDS[one.verdict], one.because, reasons.get(one.job, "")) for one in _shown(expected)]
    rows += [(one.job, _WORDS[SKIPPED], one.because, "") for one in prepared.skipped]
    if rows:
        print_table(_COLUMNS, rows)
    _print_conflicts(expected, expecter.unread)
    if any(one.remembered for one in expected):
        print_text("--retry-failed tries again what failed before with the same inputs", err=True)
    print_text(_count(expected, len(prepared.skipped)), err=True)


def _print_notices(expected: Sequence[Expectation], warnings: Mapping[str, Sequence[MelpyError]]) -> None:
    """Print the warnings of recipes that would be built, and count the others."""
    left = dict(warnings)
    for one in expected if left else ():
        for warning in left.pop(one.file, ()) if one.verdict in {WILL, MAY} else ():
            print_warning(warning)
    text = count_rest(left)
    if text:
        print_text(text, err=True)


def _print_conflicts(expected: Sequence[Expectation], unread: Collection[str]) -> None:
    """Print what does not go together where cycles begin, and how much nobody knows of that."""
    for one in expected:
        for text in one.conflicts:
            hint = "let one replace the other, or cut the cycle at another recipe: --bootstrap-first NAME"
            print_warning(MelpyError(text, where=one.job, hint=hint))
    if unread:
        count = count_text(len(unread), "package")
        print_text(f"files of {count} of cycles are not at hand: conflicts of theirs are told by the run", err=True)


def _shown(expected: Sequence[Expectation]) -> Iterator[Expectation]:
    """Yield what is worth a line: of many builds not those that are up to date."""
    many = len(expected) > 1
    return (one for one in expected if not (many and one.verdict == FRESH))


def _count(expected: Sequence[Expectation], skipped: int) -> str:
    """Return how many builds a run would do what with; so many more are not built since a quarantine says so."""
    counts = Counter(one.verdict for one in expected)
    counts[SKIPPED] += skipped
    parts = [f"{counts[verdict]:,} {words}" for verdict, words in _WORDS.items() if counts[verdict]]
    cuts = [one.job for one in expected if one.cut]
    cut = f"; taken from outside at first, since cycles need them: {short_list(cuts, 3)}" if cuts else ""
    return f"{count_text(len(expected) + skipped, 'job')}: {', '.join(parts)}{cut}"
