"""A build as one value: all that the process which executes it is told."""

from __future__ import annotations

from pathlib import Path

from melpy.build.model import FetchedSources, StepOptions
from melpy.codec import Noun
from melpy.engine.inputs import Inputs
from melpy.engine.limit import Requests
from melpy.environment.model import StoreSpec, ToolChoice
from melpy.solve.model import Solution


class Locations(Noun, frozen=True):
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


class Run(Noun, frozen=True):
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
        weight: expected work, in processor seconds or another unit that all jobs of a run share: jobs that run at the
            same time share processors in proportion; 0 for as many as the recipe asks for.
    """

    locations: Locations
    solution: Solution
    sources: FetchedSources = FetchedSources()
    options: StepOptions = StepOptions()
    tools: ToolChoice | None = None
    requests: Requests = Requests()
    first: int = 1
    keep: bool = False
    attempt: int = 1
    weight: float = 0.0


class Job(Noun, frozen=True):
    """One recipe for one architecture to be built: all that the process which builds it is told."""

    inputs: Inputs
    run: Run

    @property
    def name(self) -> str:
        """What the build is called: `hello-2.10-r0/x86_64`."""
        return self.inputs.plan.job
