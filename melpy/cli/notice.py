"""Warnings of recipes in a run over several: told for what is built, and counted for the rest.

A directory of thousands has some that nobody means to mend today; those of a recipe are worth reading when it is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy import events
from melpy.cli.report import count_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from melpy.errors import MelpyError
    from melpy.graph.model import Summary

    Warnings = Mapping[str, Sequence[MelpyError]]


class RecipeNotices:
    """A monitor that tells the warnings of a recipe when the first build of it begins.

    Args:
        warnings: the warnings, by recipe file.
        summaries: the builds.
        monitor: is told.
    """

    def __init__(self, warnings: Warnings, summaries: Iterable[Summary], monitor: events.Monitor) -> None:
        self._left = dict(warnings)
        self._files = {one.job: one.file for one in summaries if one.file in warnings} if warnings else {}
        self._monitor = monitor

    def emit(self, event: events.Event) -> None:
        """Take an event."""
        if self._left and isinstance(event, events.JobStarted):
            for warning in self._left.pop(self._files.get(event.job, ""), ()):
                self._monitor.emit(events.Warning(event.job, str(warning), warning.hint or ""))
        self._monitor.emit(event)

    def tell_rest(self) -> None:
        """Tell how many warnings there are of recipes that were not built."""
        text = count_rest(self._left)
        if text:
            self._monitor.emit(events.Note("", text))


def count_rest(left: Warnings) -> str:
    """Return a line about warnings of recipes that are not built; empty without any."""
    if not left:
        return ""
    count, recipes = sum(map(len, left.values())), count_text(len(left), "recipe")
    return f"{count_text(count, 'warning')} in {recipes} of which nothing is built; melpy check shows them"
