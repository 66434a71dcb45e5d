"""Tools and memory of a run, opened together: a run, a dry run and a look at run stamps work with the same ones."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.engine.journal import Journal, find_journal
from melpy.engine.recipedir import RecipeDirectories
from melpy.engine.resultstore import ResultStore
from melpy.engine.stage import Stage
from melpy.engine.tip import Tips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.engine.model import BuildSpec, RunSpec
    from melpy.environment.repository import Repositories
    from melpy.events import Monitor


class Means(Struct, frozen=True):
    """Tools and memory of a run.

    Attributes:
        spec: what builds are prepared from.
        options: options of the run.
        stage: packages that builds may see.
        store: the result cache.
        journal: memory of earlier runs.
        tips: what sources without a commit are at.
        directories: the recipes' own files.
    """

    spec: BuildSpec
    options: RunSpec
    stage: Stage
    store: ResultStore
    journal: Journal
    tips: Tips
    directories: RecipeDirectories


@contextmanager
def open_means(
    spec: BuildSpec, options: RunSpec, repositories: Repositories, monitor: Monitor, *, look: bool = True
) -> Iterator[Means]:
    """Open the journal, and make the rest.

    Args:
        spec: what builds are prepared from.
        options: options of the run.
        repositories: the repositories of the run.
        monitor: is told of a journal that cannot be used, and of servers that cannot be reached.
        look: whether servers are asked for commits that no recipe states; else those count that were seen last.
    """
    stage, store = Stage(repositories), ResultStore(spec.cache_dir)
    with closing(Journal(find_journal(spec.cache_dir), monitor)) as journal:
        tips = Tips(spec.sources, journal, monitor, look=look)
        yield Means(spec, options, stage, store, journal, tips, RecipeDirectories())
