"""A build that was kept can be entered again: what its sandbox is made of, as JSON in its directory.

`session.json` holds the site of the steps (root, workspace, user, machine, options) and the steps, so that neither the
recipe nor the repositories are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy.build.model import FetchedSources
from melpy.build.step import StepSite, prepare_step, sandbox_spec
from melpy.codec import Noun, decode, encode, replace
from melpy.errors import OutputError, ValueFormatError, reason_of
from melpy.files import replace_file
from melpy.plan.model import PlanStep
from melpy.sandbox.model import NO_LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.plan.model import Plan
    from melpy.sandbox.model import SandboxSpec

_FILE = "session.json"
_REACHED = "reached"
_FORMAT = 2


@dataclass(frozen=True)
class Kept:
    """A build that was kept.

    Attributes:
        directory: where it is.
        name: name of the main package.
        arch: its architecture.
        job: what the build was called.
        site: where its steps run.
        steps: its steps, with the package that each is for.
        reached: number of the last step that was begun.
    """

    directory: Path
    name: str
    arch: str
    job: str
    site: StepSite
    steps: tuple[tuple[str, PlanStep], ...]
    reached: int


class _Saved(Noun, frozen=True):
    """What is kept of a build; see `Kept`."""

    form: int
    name: str
    arch: str
    job: str
    site: StepSite
    steps: tuple[tuple[str, PlanStep], ...]


def save_session(directory: Path, plan: Plan, site: StepSite) -> None:
    """Write down what it takes to enter a build again.

    Raises:
        OutputError: it cannot be written.
    """
    bare = replace(site, sources=FetchedSources())  # sources are not unpacked again
    steps = tuple((package.name, step) for package in plan.packages for step in package.steps)
    with replace_file(directory / _FILE, durable=False) as stream:
        stream.write(encode(_Saved(_FORMAT, plan.name, plan.arch, plan.job, bare, steps)))


def save_reached(directory: Path, number: int) -> None:
    """Write down which step is begun."""
    (directory / _REACHED).write_text(f"{number}\n", encoding="utf-8")


def shell_spec(kept: Kept, number: int, command: Sequence[str], *, terminal: str, network: bool = False) -> SandboxSpec:
    """Return the sandbox of a step with the caller's terminal, for a shell or a command in the step's directory.

    Args:
        kept: the build.
        number: number of the step.
        command: command and arguments; a shell without one.
        terminal: kind of terminal.
        network: whether the network is seen, even if the step does not.
    """
    step = kept.steps[number - 1][1]
    options = replace(kept.site.options, network=kept.site.options.network or network)
    site = replace(kept.site, options=options)
    spec = sandbox_spec(step, site, prepare_step(step, site))
    # A shell that is given a script forgets the prompt, which the one after it is to have.
    script = 'cd "$1" 2>/dev/null; p=$2; shift 2; if [ $# = 0 ]; then PS1=$p exec /bin/sh; fi; exec "$@"'
    variables = {**dict(spec.environment), "TERM": terminal}
    prompt = f"{kept.name} {number}:\\w\\$ "
    return replace(
        spec,
        command=("/bin/sh", "-c", script, "sh", step.workdir, prompt, *command),
        environment=tuple(sorted(variables.items())),
        terminal=True,
        limits=NO_LIMITS,
        processors=(),
    )


def load_session(directory: Path) -> Kept:
    """Read what `save_session` wrote.

    Raises:
        OutputError: there is no such build, or it is of another melpy.
    """
    where = str(directory)
    try:
        data = (directory / _FILE).read_bytes()
    except OSError as error:
        raise OutputError(f"is no build that was kept: {reason_of(error)}", where=where) from None
    try:
        saved = decode(data, _Saved)
    except ValueFormatError:
        saved = None
    if saved is None or saved.form != _FORMAT:
        raise OutputError("was kept by another version of melpy", where=where, hint="build it anew")
    reached = min(max(_read_reached(directory), 1), len(saved.steps))
    return Kept(directory, saved.name, saved.arch, saved.job, saved.site, saved.steps, reached)


def _read_reached(directory: Path) -> int:
    try:
        return int((directory / _REACHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 1
