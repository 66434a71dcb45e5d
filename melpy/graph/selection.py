"""Which builds of a tree are chosen, and why: pure functions over summaries.

Inputs are summaries of all recipes that are known, the names and globs that a user gives, filters, and the direct needs
of each build. Output is a `Selection`. Files, git and indexes are read elsewhere (`melpy.engine.selection`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.errors import NothingSelectedError, RecipeNotFoundError, find_near
from melpy.graph.model import BuildId
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from melpy.graph.model import Summary

    Needs = Callable[[BuildId], Iterable[BuildId]]

_GLOB = frozenset("*?[")


class Name(Noun, frozen=True):
    """A name or glob that a user gives.

    Attributes:
        text: the name of a recipe or package, or a glob over them, as in a shell.
        where: where it stands, such as `list.txt:3`; empty for the command line.
    """

    text: str
    where: str = ""

    @property
    def is_glob(self) -> bool:
        """Whether it may match several names."""
        return not _GLOB.isdisjoint(self.text)


class Shard(Noun, frozen=True):
    """One of the parts that recipes are divided into.

    Attributes:
        number: the part, counted from 1.
        total: number of parts.
    """

    number: int = 1
    total: int = 1


@dataclass(frozen=True)
class Filters:
    """Conditions that narrow or widen a choice of builds.

    Attributes:
        changed: the changed file of each build that has one; None where changes do not count.
        since: the git revision that `changed` is about, for messages.
        missing: a package that no index has, for each build that has one; None where that does not count.
        rdeps: add the builds that need the chosen ones, directly or not.
        exclude: globs over names of recipes and packages; what matches is left out, whatever asks for it.
        shard: the part of the chosen recipes to keep.
        only: leave out the builds that the chosen ones need.
        quarantine: reason for each build that is not to be made.
        is_had: tells of a build that it need not come along for those that need it, as a repository has its packages.
    """

    changed: Mapping[BuildId, str] | None = None
    since: str = ""
    missing: Mapping[BuildId, str] | None = None
    rdeps: bool = False
    exclude: tuple[str, ...] = ()
    shard: Shard = field(default=Shard())
    only: bool = False
    quarantine: Mapping[BuildId, str] = field(default_factory=dict)
    is_had: Callable[[BuildId], bool] | None = None


class Selected(Noun, frozen=True):
    """A build that was selected.

    Attributes:
        build: the build.
        reason: why: `named`, `matches py3-*`, `changed since v1: packages/x.yaml`, `needs zlib`, `needed by curl`.
        asked: whether the user chose it; otherwise it comes along because a chosen one needs it.
    """

    build: BuildId
    reason: str
    asked: bool = True


class Skipped(Noun, frozen=True):
    """A build that was chosen, and is not made.

    Attributes:
        build: the build.
        reason: why: `quarantined until 2027-01-01: fails its tests`, `needs zlib, which is quarantined`.
    """

    build: BuildId
    reason: str


class Selection(Noun, frozen=True):
    """The builds of a run, and the reason for each.

    Attributes:
        builds: the builds, by name.
        skipped: the builds that a quarantine stops, by name.
        unmatched: globs of `exclude` that match no known name.
    """

    builds: tuple[Selected, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unmatched: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[BuildId]:
        """The builds without their reasons."""
        return frozenset(selected.build for selected in self.builds)


def find_named(summaries: Sequence[Summary], names: Iterable[Name]) -> dict[BuildId, str]:
    """Return the builds that names and globs stand for, each with its reason; a package stands for its recipe.

    Raises:
        RecipeNotFoundError: some match no recipe and no package.
    """
    wanted = set(names)
    by_name = _index_names(summaries) if wanted else {}
    found: dict[BuildId, str] = {}
    unknown: list[Name] = []
    for name in sorted(wanted, key=lambda name: (name.is_glob, name.text, name.where)):
        matches = _match(name, by_name)
        if not matches:
            unknown.append(name)
        for build, package in matches.items():
            found.setdefault(build, _named_reason(name, package, build))
    if unknown:
        raise _unknown_error(unknown, by_name)
    return found


def _index_names(summaries: Iterable[Summary]) -> dict[str, dict[BuildId, None]]:
    """Return the builds behind each name of a recipe or package."""
    by_name: defaultdict[str, dict[BuildId, None]] = defaultdict(dict)
    for summary in summaries:
        for name in (summary.name, *(package.name for package in summary.packages)):
            by_name[name][summary.id] = None
    return dict(by_name)


def _match(name: Name, by_name: Mapping[str, Mapping[BuildId, None]]) -> dict[BuildId, str]:
    """Return the builds that a name or glob matches, each with the name that was matched; a recipe's own first."""
    if not name.is_glob:
        return dict.fromkeys(by_name.get(name.text, ()), name.text)
    found: dict[BuildId, str] = {}
    for known in sorted(known for known in by_name if fnmatchcase(known, name.text)):
        for build in by_name[known]:
            if known == build.recipe or build not in found:
                found[build] = known
    return found


def _named_reason(name: Name, package: str, build: BuildId) -> str:
    reason = f"matches {name.text}" if name.is_glob else "named"
    if package != build.recipe:
        reason += f", as it makes {package}"
    return f"{reason} ({name.where})" if name.where else reason


def _unknown_error(unknown: Sequence[Name], known: Collection[str]) -> RecipeNotFoundError:
    """Return the error for names that nothing has; each with the name that was probably meant."""
    near = {name: None if name.is_glob else find_near(name.text, known) for name in unknown}
    hint = "names are looked for in the directories given, else in packages/ or here; paths have a / or end in .yaml"
    if len(unknown) == 1:
        (name,) = unknown
        what = "no recipe or package matches" if name.is_glob else "there is no recipe and no package"
        message = f"{what} {name.text!r}"
        return RecipeNotFoundError(
            message, where=name.where or None, hint=f"did you mean {near[name]!r}?" if near[name] else hint
        )
    details = []
    for name in unknown:
        meant = f", did you mean {near[name]!r}?" if near[name] else ""
        details.append(f"  {f'{name.where}: ' if name.where else ''}{name.text}{meant}")
    return RecipeNotFoundError(f"{len(unknown)} names match no recipe and no package", details=details, hint=hint)


def find_shard(recipe: str, total: int) -> int:
    """Return the number of the part that a recipe is in, from 1; it depends on name and number of parts alone."""
    digest = hashlib.sha256(recipe.encode()).digest()
    return int.from_bytes(digest[:8], "big") % total + 1


def select_builds(
    summaries: Sequence[Summary], chosen: Mapping[BuildId, str], needs: Needs, filters: Filters
) -> Selection:
    """Narrow and widen a choice of builds.

    Filters apply in this order: changed, missing, exclude, rdeps, shard; then the builds that the chosen ones need come
    along, unless `only`; then the quarantine takes builds away, and those that need them.

    Args:
        summaries: all builds that are known.
        chosen: the builds that the user chose, each with its reason.
        needs: direct needs of a build; those that are not known are passed over. It may have cycles.
        filters: the conditions.

    Raises:
        NothingSelectedError: no build is left; the message names the filter that took the last one away.
    """
    excluded, unmatched = _find_excluded(summaries, filters.exclude)
    known = {summary.id for summary in summaries} - excluded

    def kept_needs(build: BuildId) -> list[BuildId]:
        return [need for need in needs(build) if need in known and need != build]

    asked = _narrow(chosen, excluded, filters)
    if filters.rdeps:
        asked = _close(asked, _reverse(known, kept_needs), "needs {}")
    if filters.shard.total > 1:
        shard = filters.shard
        part = {build: asked[build] for build in asked if find_shard(build.recipe, shard.total) == shard.number}
        asked = _check_left(part, asked, f"part {shard.number}/{shard.total} has none of", "the other parts have them")
    is_had = filters.is_had
    coming: Needs = (
        kept_needs if is_had is None else lambda build: [need for need in kept_needs(build) if not is_had(need)]
    )
    return _finish(asked, coming, filters, unmatched)


def _narrow(chosen: Mapping[BuildId, str], excluded: Collection[BuildId], filters: Filters) -> dict[BuildId, str]:
    """Return the chosen builds that the filters of builds leave."""
    left = dict(chosen)
    if not left:
        raise NothingSelectedError("no build is selected", hint="no recipe is meant for the architectures asked for")
    if filters.changed is not None:
        changed = {
            build: f"changed since {filters.since}: {filters.changed[build]}"
            for build in left
            if build in filters.changed
        }
        what, hint = f"nothing changed since {filters.since} in", "changes of recipes, their directories and pipelines"
        left = _check_left(changed, left, what, f"{hint} count, committed or not")
    if filters.missing is not None:
        missing = {build: f"no index has {filters.missing[build]}" for build in left if build in filters.missing}
        left = _check_left(missing, left, "the indexes have all packages of", "without --missing they are chosen")
    kept = {build: reason for build, reason in left.items() if build not in excluded}
    globs = shorten_list([f"--exclude {glob}" for glob in filters.exclude])
    return _check_left(kept, left, f"{globs} leaves out", "exclude fewer")


def _check_left(left: dict[BuildId, str], before: Mapping[BuildId, str], what: str, hint: str) -> dict[BuildId, str]:
    """Return what a filter leaves.

    Raises:
        NothingSelectedError: it leaves nothing.
    """
    if left:
        return left
    names = shorten_list(sorted(map(str, before)))
    count = f"{len(before)} build{'s' if len(before) > 1 else ''}"
    raise NothingSelectedError(f"no build is selected: {what} {count}: {names}", hint=hint)


def _find_excluded(summaries: Sequence[Summary], globs: Sequence[str]) -> tuple[frozenset[BuildId], tuple[str, ...]]:
    """Return the builds that globs exclude, and the globs that match nothing.

    A glob is matched with names of recipes alone: `*-doc` is to exclude no recipe for one of its subpackages.
    """
    if not globs:
        return frozenset(), ()
    recipes = {summary.name for summary in summaries}
    by_name = _index_names(summaries)
    excluded: set[BuildId] = set()
    unmatched = []
    for glob in dict.fromkeys(globs):
        names = [name for name in (recipes if Name(glob).is_glob else by_name) if fnmatchcase(name, glob)]
        excluded.update(build for name in names for build in by_name[name])
        unmatched += [] if names else [glob]
    return frozenset(excluded), tuple(unmatched)


def _reverse(known: Iterable[BuildId], needs: Needs) -> Needs:
    """Return a function from a build to those that need it directly."""
    dependents: defaultdict[BuildId, list[BuildId]] = defaultdict(list)
    for build in known:
        for need in needs(build):
            dependents[need].append(build)
    return lambda build: dependents.get(build, ())


def _close(start: Mapping[BuildId, str], following: Needs, reason: str) -> dict[BuildId, str]:
    """Return builds with all that follow from them, each with its reason; the nearest and first by name is named."""
    found = dict(start)
    ring = sorted(start)
    while ring:
        new: dict[BuildId, str] = {}
        for build in ring:
            for other in following(build):
                if other not in found:
                    new.setdefault(other, reason.format(build.recipe))
        found |= new
        ring = sorted(new)
    return found


def _finish(asked: Mapping[BuildId, str], needs: Needs, filters: Filters, unmatched: tuple[str, ...]) -> Selection:
    """Take quarantined builds away with those that need them, and let what the others need come along."""
    within = _close(asked, needs, "needed by {}")
    skipped = _find_skipped(within.keys(), needs, filters.quarantine)
    left = {build: reason for build, reason in asked.items() if build not in skipped}
    told = tuple(Skipped(build, skipped[build]) for build in sorted(skipped) if build in asked or not filters.only)
    if not left:
        details = [f"  {one.build}: {one.reason}" for one in told]
        hint = "--no-quarantine builds them all the same"
        raise NothingSelectedError("no build is selected: the quarantine stops all", details=details, hint=hint)
    final = left if filters.only else within if not skipped else _close(left, needs, "needed by {}")
    builds = tuple(Selected(build, final[build], build in left) for build in sorted(final))
    return Selection(builds, told, unmatched)


def _find_skipped(within: AbstractSet[BuildId], needs: Needs, quarantine: Mapping[BuildId, str]) -> dict[BuildId, str]:
    """Return the quarantined builds and those that need them, directly or not, each with its reason."""
    stopped = {build: quarantine[build] for build in sorted(within & quarantine.keys())}
    if not stopped:
        return {}
    dependents = _reverse(within, needs)
    skipped = dict(stopped)
    for root in stopped:
        for build in _close({root: ""}, dependents, ""):
            skipped.setdefault(build, f"needs {root.recipe}, which is quarantined")
    return skipped
