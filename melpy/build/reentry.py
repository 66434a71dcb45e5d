"""A build that was kept can be entered again: what its sandbox is made of, as JSON in its directory.

`session.json` holds the site of the steps (root, workspace, user, machine, options) and the steps, so that neither the
recipe nor the repositories are needed.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melpy.build.model import FetchedSources, Machine, StepOptions
from melpy.build.step import StepSite, prepare_step, sandbox_spec
from melpy.errors import OutputError, reason_of
from melpy.files import replace_file
from melpy.plan.model import PlanStep, pairs
from melpy.sandbox.model import NO_LIMITS, Emulator, IdRange, Limits, NativeTools, Root
from melpy.unpack import Limit

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def save_session(directory: Path, plan: Plan, site: StepSite) -> None:
    """Write down what it takes to enter a build again.

    Raises:
        OutputError: it cannot be written.
    """
    # Sources are not run again.
    bare = dataclasses.replace(site, sources=FetchedSources())
    steps = [(package.name, step) for package in plan.packages for step in package.steps]
    value = {
        "format": _FORMAT,
        "name": plan.name,
        "arch": plan.arch,
        "job": plan.job,
        "site": dataclasses.asdict(bare),
        "steps": [[name, dataclasses.asdict(step)] for name, step in steps],
    }
    with replace_file(directory / _FILE, durable=False) as stream:
        stream.write(json.dumps(value, indent=1, default=_encode).encode(errors="surrogateescape"))


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
    options = dataclasses.replace(kept.site.options, network=kept.site.options.network or network)
    site = dataclasses.replace(kept.site, options=options)
    spec = sandbox_spec(step, site, prepare_step(step, site))
    # A shell that is given a script forgets the prompt, which the one after it is to have.
    script = 'cd "$1" 2>/dev/null; p=$2; shift 2; if [ $# = 0 ]; then PS1=$p exec /bin/sh; fi; exec "$@"'
    variables = {**dict(spec.environment), "TERM": terminal}
    prompt = f"{kept.name} {number}:\\w\\$ "
    return dataclasses.replace(
        spec,
        command=("/bin/sh", "-c", script, "sh", step.workdir, prompt, *command),
        environment=tuple(sorted(variables.items())),
        terminal=True,
        limits=NO_LIMITS,
    )


def _encode(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    assert isinstance(value, Path), value
    return str(value)


def load_session(directory: Path) -> Kept:
    """Read what `save_session` wrote.

    Raises:
        OutputError: there is no such build, or it is of another melpy.
    """
    try:
        value = json.loads((directory / _FILE).read_bytes())
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "is not JSON"
        raise OutputError(f"is no build that was kept: {reason}", where=str(directory)) from None
    try:
        return _read_kept(value, directory)
    except (LookupError, TypeError, ValueError, AttributeError):
        hint = "build it anew"
        raise OutputError("was kept by another version of melpy", where=str(directory), hint=hint) from None


def _read_kept(value: dict[str, Any], directory: Path) -> Kept:
    if value["format"] != _FORMAT:
        raise ValueError(value["format"])
    steps = tuple((name, _step(step)) for name, step in value["steps"])
    site = _site(value["site"])
    return Kept(
        directory=directory,
        name=value["name"],
        arch=value["arch"],
        job=value["job"],
        site=site,
        steps=steps,
        reached=min(max(_read_reached(directory), 1), len(steps)),
    )


def _read_reached(directory: Path) -> int:
    try:
        return int((directory / _REACHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 1


def _step(value: dict[str, Any]) -> PlanStep:
    return PlanStep(
        **{**value, "inputs": pairs(dict(value["inputs"])), "environment": pairs(dict(value["environment"]))}
    )


def _site(value: dict[str, Any]) -> StepSite:
    machine, options = value["machine"], value["options"]
    ids = IdRange(**machine["ids"]) if machine["ids"] else None
    return StepSite(
        root=_root(value["root"]),
        workspace=Path(value["workspace"]),
        state=Path(value["state"]),
        environment=value["environment"],
        user=(value["user"][0], value["user"][1]),
        capabilities=tuple(value["capabilities"]),
        machine=Machine(_emulator(machine["emulator"]), _tools(machine["tools"]), ids),
        options=StepOptions(
            Limits(**options["limits"]), options["network"], options["debug"], Limit(**options["unpack_limit"])
        ),
        cache=Path(value["cache"]) if value["cache"] else None,
        path=value["path"],
    )


def _root(value: dict[str, Any]) -> Root:
    upper, work, mountpoint = (Path(value[name]) for name in ("upper", "work", "mountpoint"))
    return Root(tuple(map(Path, value["layers"])), upper, work, mountpoint)


def _emulator(value: dict[str, Any] | None) -> Emulator | None:
    if not value:
        return None
    return Emulator(value["arch"], value["interpreter"], value["registration"].encode("latin-1"))


def _tools(value: dict[str, Any] | None) -> NativeTools | None:
    if not value:
        return None
    layers = tuple(map(Path, value["layers"]))
    return NativeTools(layers, Path(value["directory"]), Path(value["cache"]), tuple(value["packages"]))
