"""A build as one value: what is given to a process that executes it, and what that process returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.build.model import FetchedSources, StepOptions
from melpy.engine.limit import Requests

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.build.model import StepRecord
    from melpy.engine.inputs import Inputs
    from melpy.environment.model import StoreSpec
    from melpy.environment.native import ToolChoice
    from melpy.errors import MelpyError
    from melpy.solve.model import Solution


@dataclass(frozen=True)
class Locations:
    """Where a build finds and leaves its files on this machine.

    Attributes:
        store: where packages lie extracted, and melpy's cache.
        source_dir: the directory of the recipe, if it has one.
        results: directory that receives the unsigned packages.
        log: file that receives what the steps print; the record is written beside it.
        kept: the kept work directory of an earlier build that is gone on with; None for a new one.
    """

    store: StoreSpec
    source_dir: Path | None
    results: Path
    log: Path
    kept: Path | None = None


@dataclass(frozen=True)
class Run:
    """How a build is made. Nothing of it is part of a digest: it does not change the packages.

    Attributes:
        locations: where its files are.
        solution: the packages of the environment, with what their indexes say and where they lie.
        sources: what was fetched for its steps.
        options: how its steps run.
        tools: packages of this machine that native tools are made of; None emulates all.
        requests: what the recipe asks of the machine, for the record.
        first: number of the first step that is run.
        keep: keep the work directory, even if all ends well.
        attempt: number of the attempt, counted from 1.
    """

    locations: Locations
    solution: Solution
    sources: FetchedSources = field(default=FetchedSources())
    options: StepOptions = field(default=StepOptions())
    tools: ToolChoice | None = None
    requests: Requests = field(default=Requests())
    first: int = 1
    keep: bool = False
    attempt: int = 1


@dataclass(frozen=True)
class Job:
    """One recipe for one architecture to be built: all that the process which builds it is told."""

    inputs: Inputs
    run: Run

    @property
    def name(self) -> str:
        """What the build is called: `hello-2.10-r0/x86_64`."""
        return self.inputs.plan.job


@dataclass(frozen=True)
class Result:
    """What a build came to.

    Attributes:
        job: name of the build.
        packages: the unsigned packages, which lie in the job's directory for results; empty after a failure.
        steps: what each step did, up to the one that failed.
        stages: seconds that each stage took, in order.
        native: packages that native tools were made of, as `name=version`.
        failure: why it failed; None where it did not.
    """

    job: str
    packages: tuple[IndexEntry, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    stages: tuple[tuple[str, float], ...] = ()
    native: tuple[str, ...] = ()
    failure: MelpyError | None = None
