"""One step of a plan: its script in the sandbox, or what melpy does itself for it."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from melpy.errors import ExtractError, StepFailedError
from melpy.plan.model import WORKSPACE, PlanStep, Source
from melpy.sandbox.model import Mount, SandboxSpec
from melpy.sandbox.runner import run_sandbox
from melpy.source.cache import file_name
from melpy.unpack import unpack_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from melpy.sandbox.model import Emulator, Root

PATH = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"
_SCRIPT = PurePosixPath("/run/melpy/step")


@dataclass(frozen=True)
class Place:
    """Where steps run.

    Attributes:
        root: the build root.
        workspace: the workspace on this machine.
        state: directory for the sandbox's own files.
        environment: variables of every step.
        user: uid and gid of the steps.
        capabilities: Linux capabilities of the steps.
        emulator: how foreign programs are run.
        sources: the verified file of every source.
    """

    root: Root
    workspace: Path
    state: Path
    environment: Mapping[str, str]
    user: tuple[int, int]
    capabilities: tuple[str, ...]
    emulator: Emulator | None
    sources: Mapping[Source, Path]


def step_script(step: PlanStep) -> str:
    """Return the whole script of a step: it stops at the first failure and runs in its directory.

    The frame is melange's, so that what works there works here.
    """
    directory = shlex.quote(step.workdir)
    head = f"set -eo pipefail\n[ -d {directory} ] || mkdir -p {directory}\ncd {directory}\n"
    return f"{head}{step.script}\nexit 0\n"


def run_script(step: PlanStep, place: Place, on_line: Callable[[str], None]) -> tuple[int, tuple[str, ...]]:
    """Run a step's script in the sandbox; return its exit status and the last lines that it printed.

    Raises:
        SandboxError: this machine cannot run the sandbox.
    """
    script = place.state / "step.sh"
    script.write_text(step_script(step), encoding="utf-8", errors="surrogateescape")
    outcome = run_sandbox(sandbox_spec(step, place, script), on_line)
    return outcome.status, outcome.tail


def sandbox_spec(step: PlanStep, place: Place, script: Path) -> SandboxSpec:
    """Return the sandbox of a step."""
    environment = {**place.environment, "PATH": PATH, **dict(step.environment)}
    return SandboxSpec(
        root=place.root,
        command=("/bin/sh", str(_SCRIPT)),
        workdir=PurePosixPath(WORKSPACE),
        environment=tuple(sorted(environment.items())),
        state=place.state,
        mounts=(
            Mount(place.workspace, PurePosixPath(WORKSPACE), writable=True),
            Mount(script, _SCRIPT),
        ),
        user=place.user,
        capabilities=place.capabilities,
        emulator=place.emulator,
    )


def run_native(step: PlanStep, place: Place, on_line: Callable[[str], None]) -> None:
    """Do what melpy does itself for a step.

    Raises:
        StepFailedError: it cannot be done.
        ExtractError: an archive is damaged or wants to write elsewhere.
    """
    NATIVE_STEPS[step.native](step, place, on_line)


def _fetch(step: PlanStep, place: Place, on_line: Callable[[str], None]) -> None:
    inputs = dict(step.inputs)
    source = Source.from_inputs(inputs)
    directory = _inside(place.workspace, step.workdir, make=True)
    name = file_name(source.uri)
    on_line(f"{name}: verified, from {source.uri}")
    file = directory / name
    if not file.exists():
        shutil.copyfile(place.sources[source], file)
    if inputs["extract"] == "true":
        target = _inside(place.workspace, f"{step.workdir}/{inputs['directory']}")
        strip = inputs["strip-components"]
        if not strip.isdecimal():
            raise StepFailedError(f"strip-components must be a number, found {strip!r}", where=step.label)
        unpack_archive(file, target, strip=int(strip))
    if inputs["delete"] == "true":
        file.unlink()


NATIVE_STEPS: dict[str, Callable[[PlanStep, Place, Callable[[str], None]], None]] = {"fetch": _fetch}
"""What melpy does itself, outside the sandbox."""


def _inside(workspace: Path, path: str, *, make: bool = False) -> Path:
    """Return where a path of the sandbox lies on this machine.

    Steps fill the workspace as they like, with symlinks too, so what is resolved must still be inside of it. No
    step is running now that could change it in between.
    """
    below = PurePosixPath(path).relative_to(WORKSPACE) if path.startswith(WORKSPACE) else None
    found = (workspace / below).resolve() if below is not None else None
    if found is None or not found.is_relative_to(workspace.resolve()):
        raise ExtractError("is outside of the workspace", where=path, hint="fetch into a directory of the workspace")
    if make:
        found.mkdir(parents=True, exist_ok=True)
    if not found.is_dir():
        raise ExtractError("no such directory", where=path, hint="make it in an earlier step")
    return found
