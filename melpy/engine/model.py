"""The nouns of a run: what builds are given, and what they return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.environment.model import StoreSpec
from melpy.sandbox.model import NO_LIMITS, Limits
from melpy.source.place import NOWHERE
from melpy.unpack import UNPACK_LIMIT, Limit

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Signer
    from melpy.arch import Arch
    from melpy.environment.model import RepositorySpec
    from melpy.plan.model import Evaluation, Plan
    from melpy.recipe.model import Recipe
    from melpy.solve.lockfile import Lock
    from melpy.source.place import SourcePlaces


BUILD_CACHES = ("none", "recipe", "shared")
"""What steps may keep at /var/cache/melange from one build to the next."""


FileId = tuple[int, int]
"""Device and inode of a file of this machine."""


@dataclass(frozen=True)
class SourceSpec:
    """Where sources are kept, and where they are looked for.

    Attributes:
        cache_dir: melpy's cache.
        places: where they are looked for.
    """

    cache_dir: Path
    places: SourcePlaces = NOWHERE

    @property
    def files(self) -> Path:
        """Directory of files by digest."""
        return self.cache_dir / "sources"

    @property
    def repositories(self) -> Path:
        """Directory of mirrors of git repositories."""
        return self.cache_dir / "git"


@dataclass(frozen=True)
class BuildContext:
    """What every build of a run has in common.

    Attributes:
        out_dir: repository that is written.
        cache_dir: sources, extracted packages and work directories.
        repositories: where the packages of environments come from.
        signer: signs packages and indexes; None leaves them unsigned.
        namespace: distribution that packages belong to.
        git_repo_url: repository of the recipes, for the SBOM.
        recipe_license: licence of the recipes themselves, for the SBOM.
        places: where sources are looked for.
        unpack_limit: how much an archive may become.
        epoch: SOURCE_DATE_EPOCH of the process environment; None takes the recipe's last commit.
        keep: keep the work directory of builds that end well, too.
        from_step: begin with this step, by number or name, where an earlier build was kept.
        network: let every step see the network.
        debug: have steps print each command before they run it.
        limits: what a build may use.
        build_cache: what steps keep at /var/cache/melange: for their recipe (`recipe`), for all (`shared`), or `none`.
        jobs: how many packages are unpacked at once.
        emulate_all: emulate every program of a foreign root, though native tools could be had.
        secrets: files that no build may read, such as the signing key, and their names for messages.
        locks: lock file and lock of each architecture; environments are what these say, where there are any.
    """

    out_dir: Path
    cache_dir: Path
    repositories: RepositorySpec
    signer: Signer | None = None
    namespace: str = "unknown"
    git_repo_url: str = ""
    recipe_license: str = ""
    places: SourcePlaces = NOWHERE
    unpack_limit: Limit = UNPACK_LIMIT
    epoch: int | None = None
    keep: bool = False
    from_step: str = ""
    network: bool = False
    debug: bool = False
    build_cache: str = "none"
    limits: Limits = NO_LIMITS
    jobs: int = 2
    emulate_all: bool = False
    secrets: tuple[tuple[FileId, str], ...] = ()
    locks: tuple[tuple[Path, Lock], ...] = ()

    @property
    def sources(self) -> SourceSpec:
        """Where sources are kept, and where they are looked for."""
        return SourceSpec(self.cache_dir, self.places)

    @property
    def store(self) -> StoreSpec:
        """Where packages lie extracted."""
        return StoreSpec(self.cache_dir, self.repositories.servers, self.jobs, self.out_dir)


@dataclass(frozen=True)
class Job:
    """One recipe for one architecture.

    Attributes:
        recipe: the recipe.
        plan: what is to be done.
        arch: the architecture.
        pipeline_files: definitions of pipelines that it uses, without the built-in ones.
        evaluation: what the plan was made from, which knows the lines of the recipe; for messages only.
        left_out: names of subpackages that a restricted range leaves out.
    """

    recipe: Recipe
    plan: Plan
    arch: Arch
    pipeline_files: tuple[Path, ...] = ()
    evaluation: Evaluation | None = field(default=None, compare=False, repr=False)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuiltPackage:
    """A package that was written."""

    entry: IndexEntry
    path: Path


@dataclass(frozen=True)
class BuildResult:
    """What a build left.

    Attributes:
        job: name of the job.
        packages: the packages, main package first.
        stages: seconds that each stage took, in order.
        log: what its steps printed.
        left_out: subpackages that were not made, since the user restricts their ranges.
    """

    job: str
    packages: tuple[BuiltPackage, ...]
    stages: tuple[tuple[str, float], ...]
    log: Path
    left_out: tuple[str, ...] = ()
