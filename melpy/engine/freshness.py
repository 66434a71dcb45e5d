"""Staleness: which builds are up to date, and which have a result in the cache.

A build is up to date when the repository has all its packages and these were made with the key of its inputs. To learn
the key, the environment has to be resolved, which takes tens of milliseconds. A stamp follows from all that the key
follows from and costs next to nothing: the journal remembers the key of each stamp.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from melpy import __version__
from melpy.apk.archive import COMPRESSOR
from melpy.arch import ARCHES, parse_arch
from melpy.codec import asdict
from melpy.digest import identity
from melpy.engine.inputs import KEY_FORM, RULES, read_recipe_files
from melpy.engine.published import Published
from melpy.engine.schedule import JobOutcome as Outcome
from melpy.environment.model import EnvironmentSpec
from melpy.errors import MelpyError
from melpy.repo.layout import index_path
from melpy.rootfs.model import RootSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from melpy.engine.inputs import RecipeFile
    from melpy.engine.means import Means
    from melpy.engine.published import PublishedPackage
    from melpy.engine.resultstore import StoredResult
    from melpy.engine.stage import BuiltPackages
    from melpy.graph.model import BuildId, Summary


class Known(NamedTuple):
    """A build that need not be executed.

    Attributes:
        outcome: `UP_TO_DATE` or `CACHED`.
        packages: its packages.
        key: key of its inputs; empty where its packages do not agree on one.
        stored: its entry of the cache; None where it is up to date.
    """

    outcome: Outcome
    packages: BuiltPackages
    key: str
    stored: StoredResult | None = None


class Freshness:
    """The state of the repository, the result cache and the journal, as a run finds them."""

    def __init__(self, means: Means, summaries: Mapping[BuildId, Summary]) -> None:
        """Take what answers follow from.

        Args:
            means: what the run works with.
            summaries: all builds of the run's graph.
        """
        self._spec, self._stage, self._journal, self.store = means.spec, means.stage, means.journal, means.store
        self._tips, self._directories = means.tips, means.directories
        self._names: defaultdict[str, set[str]] = defaultdict(set)  # of recipes, by architecture
        for summary in summaries.values():
            for arch in summary.arches:
                self._names[arch].add(summary.name)
        self._published: dict[str, Published] = {}
        self._bases: dict[str, str] = {}
        self._others: dict[str, BuiltPackages] = {}
        self._versions: dict[BuildId, Known | None] = {}

    def find_published(self, arch: str) -> Published:
        """Return what the repository has for an architecture; it is read once.

        Raises:
            RepositoryError, PackageFormatError: its index cannot be read.
        """
        if arch not in self._published:
            self._published[arch] = Published(self._spec.out_dir, arch, self._journal)
        return self._published[arch]

    def find_others(self, arch: str) -> BuiltPackages:
        """Return the packages of the repository that no recipe of the graph makes: every build may see them."""
        if arch not in self._others:
            published = self.find_published(arch)
            found = published.find_others(self._names[arch])
            self._others[arch] = self._stage.take_published(found, published.find_made(found))
        return self._others[arch]

    def find_origin(self, summary: Summary, arch: str) -> BuiltPackages:
        """Return the packages of a recipe that the repository has for an architecture, in any version."""
        published = self.find_published(arch)
        found = published.find_origin(summary.name)
        return self._stage.take_published(found, published.find_made(found))

    def find_version(self, summary: Summary) -> Known | None:
        """Return a build whose packages the repository has in the recipe's version, whatever they were made from."""
        if summary.id not in self._versions:
            published = self.find_published(summary.environment_arch)
            found = published.find_build(summary)
            if all(_is_same(found, self.find_published(arch).find_build(summary)) for arch in summary.arches[1:]):
                packages = self._stage.take_published(found, published.find_made(found))
                known = Known(Outcome.UP_TO_DATE, packages, published.find_key(summary)) if found else None
            else:  # some of the architectures have it, or not all have the same
                keys = [self.find_published(arch).find_key(summary) for arch in summary.arches]
                known = next(filter(None, (self._find_stored(key, summary) for key in keys if key)), None)
            self._versions[summary.id] = known
        return self._versions[summary.id]

    def find_elsewhere(self, summary: Summary) -> Known | None:
        """Return a build of `noarch` packages that the repository has for an architecture that the run is not over.

        Its environment is none of those of the run, so that its key cannot be compared. It is taken where it was made
        from the recipe as it is: all architectures are to have the same packages.
        """
        if not summary.noarch:
            return None
        others = self._read_indexes(arch for arch in self.indexed if arch not in summary.arches)
        keys = [key for one in others if (key := one.find_key(summary))]
        if not keys:
            return None
        foreign = [arch for arch in ARCHES if arch not in summary.arches]
        made = set(self._journal.find_keys(self.list_recipe_stamps(summary, foreign)).values())
        return next(filter(None, (self.find_key(key, summary) for key in keys if key in made)), None)

    @cached_property
    def indexed(self) -> tuple[str, ...]:
        """The architectures that the repository has an index for."""
        return tuple(arch for arch in ARCHES if index_path(self._spec.out_dir, arch).is_file())

    def find_recipe(self, summary: Summary) -> Known | None:
        """Return a build whose packages the repository has, made from the recipe as it is, in any environment."""
        known = self.find_version(summary)
        made = self._journal.find_keys(self.list_recipe_stamps(summary, ARCHES)).values()
        return known if known and known.key and known.key in made else None

    def _read_indexes(self, arches: Iterable[str]) -> list[Published]:
        """Return what the repository has for architectures that the run may not be over; nothing of broken indexes."""
        found = []
        for arch in arches:
            with suppress(MelpyError):
                found.append(self.find_published(arch))
        return found

    def find_key(self, key: str, summary: Summary) -> Known | None:
        """Return a build whose packages were made with a key: those of the repository, else those in the cache."""
        found = self.find_version(summary)
        if found and found.key == key:
            return found
        return self._find_stored(key, summary)

    def _find_stored(self, key: str, summary: Summary) -> Known | None:
        """Return a build of the cache; one of `noarch` that an index has gets there from its directory."""
        stored = self.store.find(key)
        if stored is None and summary.noarch:
            published = self._read_indexes(self.indexed)
            found = next((one.find_build(summary) for one in published if one.find_key(summary) == key), ())
            stored = self.store.add_published(key, summary.job, [package.file for package in found]) if found else None
        if stored is None or stored.arch != summary.arch:
            return None
        packages = self._stage.take_unsigned(stored.root, summary.arches, stored.result.packages)
        return Known(Outcome.CACHED, packages, key, stored)

    def list_recipe_stamps(
        self, summary: Summary, arches: Iterable[str] = (), files: Sequence[RecipeFile] | None = None
    ) -> list[str]:
        """Return the digests of a recipe's own plan, files and sources; they are the same in every clone.

        Args:
            summary: the recipe.
            arches: of a recipe for `noarch` packages, the architectures of environments; that of the run by default.
            files: the files of its directory as they were when it was built; None for those that are there now.
        """
        if files is None:
            files = read_recipe_files(Path(summary.directory) if summary.directory else None)
        own: list[object] = ["recipe", summary.form, summary.job, [[one.path, one.kind, one.value] for one in files]]
        if summary.unpinned:
            tips = self.find_tips(summary)
            if not all(tips):
                return []
            own.append(tips)
        if not summary.noarch:
            return [identity(own)]
        return [identity([*own, arch]) for arch in arches or [summary.environment_arch]]

    def find_stamp(self, summary: Summary, view: str) -> str:
        """Return the stamp of a build; empty where its key follows from more than a stamp can tell.

        Args:
            summary: the recipe.
            view: digest of the packages of this machine that it may see.
        """
        tips = self.find_tips(summary)
        if summary.locations or not all(tips):
            return ""
        return identity(
            [
                "melpy-stamp-1",
                summary.form,
                summary.job,
                summary.world,
                tips,
                self.list_files(summary),
                self.find_base(summary.environment_arch),
                self.find_others(summary.environment_arch).digest,
                view,
            ]
        )

    def list_files(self, summary: Summary) -> Sequence[Sequence[object]]:
        """Return what changes when a file of a recipe's directory does; see `RecipeDirectories`."""
        return self._directories.list_files(summary.directory)

    def find_tips(self, *summaries: Summary) -> tuple[str, ...]:
        """Return the commits that recipes' git sources without one are at; empty for one that nobody has seen."""
        return self._tips.find([source for summary in summaries for source in summary.unpinned])

    def find_base(self, arch: str) -> str:
        """Return the digest of all that the keys of an architecture follow from, beside recipes and own packages."""
        if arch not in self._bases:
            spec = self._spec
            snapshot = self._stage.repositories.take_snapshot(EnvironmentSpec(RootSpec(arch)), ())
            supply = spec.repositories.supply
            self._bases[arch] = identity(
                [
                    arch,  # of `noarch` packages, nothing else tells it
                    __version__,
                    KEY_FORM,
                    RULES,
                    COMPRESSOR,
                    [asdict(index) for index in snapshot.indexes],
                    supply.find_state(parse_arch(arch)) if supply else "",
                    asdict(spec.distribution),
                    spec.steps.options.network,
                    spec.steps.build_cache,
                    self._locks,
                ]
            )
        return self._bases[arch]

    def renew(self, arch: str) -> None:
        """Look again at the supply and the repositories: resolving may have changed what they are."""
        self._bases.pop(arch, None)

    @cached_property
    def _locks(self) -> list[list[str]]:
        return [[str(path), identity(asdict(lock))] for path, lock in self._spec.locks]


def _is_same(found: Sequence[PublishedPackage], others: Sequence[PublishedPackage]) -> bool:
    return [one.package for one in found] == [one.package for one in others]
