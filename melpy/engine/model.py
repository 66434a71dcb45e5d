"""The nouns of a run: what builds are given, and what they return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from melpy.build.model import StepOptions
from melpy.engine.inputs import Distribution
from melpy.source.place import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Signer
    from melpy.arch import Arch
    from melpy.engine.admission import Capacity
    from melpy.engine.job import Job
    from melpy.engine.result import Result
    from melpy.environment.model import RepositorySpec, StoreSpec, VisiblePackage
    from melpy.errors import MelpyError
    from melpy.events import Monitor
    from melpy.plan.model import Evaluation, Plan
    from melpy.recipe.model import Recipe
    from melpy.repo.model import Location
    from melpy.solve.lockfile import Lock
    from melpy.source.place import SourcePlaces


class Executor(Protocol):
    """Who executes jobs: `melpy.engine.worker` on this machine.

    It leaves the unsigned packages in the directory for results and the log at the place for it that a job names, on
    this machine, and takes the packages and sources of a job from where they are here. Several threads may call it.
    """

    def execute(self, job: Job, monitor: Monitor) -> Result:
        """Execute a job and hand on its events; a step that fails is in the result.

        Raises:
            CancelledError: another thread cancelled it, and nothing of it is left.
            ProcessError: it came to no result, through no fault of its recipe.
        """

    def cancel(self, job: Job) -> None:
        """Have the execution of a job end; return at once."""

    def find_machine(self, arch: str) -> str:
        """Return the name of the machine that executes the jobs of an architecture."""

    def find_capacities(self, work: Path, builds: int) -> Mapping[str, Capacity]:
        """Return what each machine has now, by its name.

        Args:
            work: a directory on the file system where builds write on this machine.
            builds: number of builds that the user lets run at the same time.
        """


FileId = tuple[int, int]
"""Device and inode of a file of this machine."""


class SourceSpec(Struct, frozen=True):
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


class StepSettings(Struct, frozen=True):
    """What a user asks of the steps of all builds of a run.

    Attributes:
        options: how steps run; a recipe's own timeout counts where no limit of time is stated.
        build_cache: what steps keep at /var/cache/melange: for their recipe (`recipe`), for all (`shared`), or `none`.
        emulate_all: emulate every program of a foreign root, though native tools could be had.
        keep: keep the work directory of builds that end well, too.
        from_step: begin with this step, by number or name, where an earlier build was kept.
    """

    options: StepOptions = StepOptions()
    build_cache: str = "none"
    emulate_all: bool = False
    keep: bool = False
    from_step: str = ""


class BuildSpec(Struct, frozen=True):
    """What the builds of a run are prepared from, beside their recipes. The signing key is no part of it.

    Attributes:
        repositories: where the packages of environments come from, and where those that are built go.
        store: where packages lie extracted.
        sources: where sources are kept and looked for.
        distribution: what the packages belong to.
        steps: what is asked of all steps.
        epoch: SOURCE_DATE_EPOCH of the process environment; None takes the recipe's last commit.
        secrets: files that no build may read, such as the signing key, and their names for messages.
        locks: lock file and lock of each architecture; environments are what these say, where there are any.
    """

    repositories: RepositorySpec
    store: StoreSpec
    sources: SourceSpec
    distribution: Distribution = Distribution()
    steps: StepSettings = StepSettings()
    epoch: int | None = None
    secrets: tuple[tuple[FileId, str], ...] = ()
    locks: tuple[tuple[Path, Lock], ...] = ()

    @property
    def cache_dir(self) -> Path:
        """Melpy's cache."""
        return self.store.cache_dir

    @property
    def out_dir(self) -> Path:
        """The repository that is written."""
        return self.repositories.own


class PublishSpec(Struct, frozen=True):
    """Where packages are published, and how they are signed.

    Attributes:
        root: the repository.
        signer: signs packages and indexes; None leaves them unsigned.
    """

    root: Path
    signer: Signer | None = None


@dataclass(frozen=True)
class PlannedBuild:
    """One recipe for one architecture, as it was planned in this process.

    Attributes:
        recipe: the recipe.
        plan: what is to be done.
        arch: the architecture; of what is built for all, that of the environment.
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


class Visible(Struct, frozen=True):
    """Packages of this machine that a build may have in its environment.

    Attributes:
        packages: those that may be seen; None for all that the repository has.
        staged: directories of packages that are not published yet, as repositories, the last one first.
        own: all repositories of packages that were built here.
        contents: content digest of packages, by checksum, as far as it is known.
        origins: of these, the packages of recipes that come from one side each; see `melpy.engine.side`.
    """

    packages: tuple[VisiblePackage, ...] | None
    staged: tuple[Path, ...]
    own: frozenset[str]
    contents: Mapping[str, str] = msgspec.field(default_factory=dict)
    origins: Mapping[str, tuple[VisiblePackage, ...]] = msgspec.field(default_factory=dict)


class BuiltPackage(Struct, frozen=True):
    """A package that was published.

    Attributes:
        entry: its index entry; one for every architecture is for `noarch`.
        paths: where it lies: once for each architecture, the same file.
    """

    entry: IndexEntry
    paths: tuple[Path, ...]


class BuildResult(Struct, frozen=True):
    """Packages of one build that were published.

    Attributes:
        job: name of the build.
        packages: the packages, main package first.
        stages: seconds that each stage took, in order.
        log: output of its steps.
    """

    job: str
    packages: tuple[BuiltPackage, ...]
    stages: tuple[tuple[str, float], ...]
    log: Path


class JobReport(Struct, frozen=True):
    """What became of one job of a run, for the summary.

    Attributes:
        job: name of the job, such as `hello-2.10-r0/x86_64`.
        file: recipe file.
        arch: architecture, in APK's spelling, or `noarch`.
        outcome: as `melpy.events.JobSettled` has it.
        because: reason for the outcome; of a skipped job, the job whose failure had it skipped.
        failure: error that ended it; None where none did.
        log: what its steps printed; None where none ran.
        stages: seconds of each stage, in order.
        packages: its packages in the repository, main package first.
        seconds: time from start to end.
    """

    job: str
    file: str
    arch: str
    outcome: str
    because: str = ""
    failure: MelpyError | None = None
    log: Path | None = None
    stages: tuple[tuple[str, float], ...] = ()
    packages: tuple[BuiltPackage, ...] = ()
    seconds: float = 0.0


class RunReport(Struct, frozen=True):
    """The end of a run.

    Attributes:
        jobs: its jobs, in order of settling.
        problem: why packages could not be published; None where they were.
        interrupted: whether the user ended the run.
    """

    jobs: tuple[JobReport, ...]
    problem: MelpyError | None = None
    interrupted: bool = False


class RunSpec(Struct, frozen=True):
    """Options of a run over several builds.

    Attributes:
        workers: builds that may run at the same time.
        max_failures: failures after which nothing more starts; 0 for any number.
        stale: rule for what is built again: `inputs`, `recipe` or `version`.
        force: whether builds that were chosen are made again although they are up to date.
        retry_failed: whether builds that failed before, with the same inputs, are tried again.
        publish: when packages are published: `end`, `consistent` or `each`.
        retry_steps: how often a build whose step failed is tried again.
        result_limit: bytes that the result cache may take; 0 for any number.
        published: repositories whose versions are not published with other content.
    """

    workers: int = 1
    max_failures: int = 0
    stale: str = "inputs"
    force: bool = False
    retry_failed: bool = False
    publish: str = "consistent"
    retry_steps: int = 0
    result_limit: int = 0
    published: tuple[Location, ...] = ()
