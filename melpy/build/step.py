"""One step of a plan: its script in the sandbox, or what melpy does itself for it."""

from __future__ import annotations

import os
import posixpath
import shlex
import shutil
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from melpy.archive.tree import TreeWriter
from melpy.build.frame import SCRIPT, find_step_line, step_script
from melpy.build.model import FetchedSources, Machine, StepOptions
from melpy.build.workspace import remove_tree
from melpy.codec import Noun, replace
from melpy.errors import ExtractError, reason_of
from melpy.inside import create_file, make_directory, move_tree, open_below, open_root
from melpy.plan import git
from melpy.plan.git import GitSource
from melpy.plan.model import WORKSPACE, PlanStep, Source, pairs
from melpy.run import Outcome, Usage
from melpy.sandbox.model import Mount, Root, SandboxSpec
from melpy.sandbox.runner import run_sandbox
from melpy.source.cache import file_name
from melpy.source.checkout import check_out
from melpy.unpack import unpack_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from melpy.build.watch import Watch
    from melpy.plan.model import Pairs

PATH = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"
_OUTSIDE = ".melpy-outside"
"""Directory of the workspace in which native steps put what belongs elsewhere."""
BUILD_CACHE = PurePosixPath("/var/cache/melange")
"""Where pipelines of languages keep what they download or compile."""
_LONGEST_VARIABLE = (128 << 10) - 1  # bytes of NAME=value and its NUL
_LONGEST_ENVIRONMENT = 1 << 20  # half of what the kernel takes together with all arguments


class StepSite(Noun, frozen=True):
    """Where steps run.

    Attributes:
        root: the build root.
        workspace: the workspace on this machine.
        state: directory for the sandbox's own files.
        environment: variables of every step.
        user: uid and gid of the steps.
        capabilities: Linux capabilities of the steps.
        machine: how programs run.
        options: how steps run.
        sources: what was fetched for them.
        cache: what they see as /var/cache/melange, and is kept.
        path: where they look for programs.
        name: name of the build and its attempt.
    """

    root: Root
    workspace: Path
    state: Path
    environment: Mapping[str, str]
    user: tuple[int, int]
    capabilities: tuple[str, ...]
    machine: Machine = Machine()
    options: StepOptions = StepOptions()
    sources: FetchedSources = FetchedSources()
    cache: Path | None = None
    path: str = PATH
    name: str = ""


def find_script_line(step: PlanStep, site: StepSite, ended: str, tail: Sequence[str]) -> int:
    """Return the line of a step's own script at which it failed; 0 where nothing tells it.

    Args:
        step: the step.
        site: where it ran.
        ended: what the frame said, as `find_ended` returns it; empty where it said nothing.
        tail: the last lines that the step printed.
    """
    return find_step_line(step, ended, tail, preamble=_preamble(step, site))


def run_script(step: PlanStep, site: StepSite, on_line: Callable[[str], None], watch: Watch | None = None) -> Outcome:
    """Run a step's script in the sandbox.

    Raises:
        SandboxError: this machine cannot run the sandbox.
    """
    script = prepare_step(step, site)
    return run_sandbox(sandbox_spec(step, site, script), on_line, watch=watch.look if watch else None)


def prepare_step(step: PlanStep, site: StepSite) -> Path:
    """Write a step's script, and see to the root that it runs in."""
    script = site.state / "step.sh"
    # Long variables come before the frame, so that nobody who asks for a trace gets to read them all.
    text = step_script(step, debug=site.options.debug, preamble=_preamble(step, site))
    script.write_text(text, encoding="utf-8", errors="surrogateescape")
    try:
        if not site.cache:
            with suppress(ExtractError):  # a step put something else there; nothing is mounted on it
                make_directory(site.root.upper, str(BUILD_CACHE.relative_to("/")))
        if site.options.has_network(step):
            _provide_resolver(site.root.upper)
    except OSError as error:
        where = str(error.filename or "").removeprefix(str(site.root.upper))
        hint = "an earlier step closed it, or gave it to another user"
        raise ExtractError(
            f"cannot be prepared for the step: {reason_of(error)}", where=where or None, hint=hint
        ) from None
    return script


def _preamble(step: PlanStep, site: StepSite) -> str:
    """Return what sets the variables that are too long for programs to be given."""
    _, unexported = split_environment(_environment(step, site))
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in unexported)


def _environment(step: PlanStep, site: StepSite) -> dict[str, str]:
    return {**site.environment, "PATH": site.path, **dict(step.environment)}


def split_environment(environment: Mapping[str, str]) -> tuple[Pairs, Pairs]:
    """Return the variables that programs can be given, and those that are too long for that, each sorted by name.

    The kernel starts no program with a variable of 128 KiB, or with more than some MiB in all. The script itself can
    have any: it sets them, and exports none of them. Source: execve(2), MAX_ARG_STRLEN.
    """
    exported: dict[str, str] = {}
    left = _LONGEST_ENVIRONMENT
    # What no script can set comes first.
    for name, value in sorted(environment.items(), key=lambda pair: (pair[0].isidentifier(), len(pair[1]))):
        size = len(name) + len(value.encode("utf-8", "surrogateescape")) + 2
        left -= size
        if size <= _LONGEST_VARIABLE and left >= 0:
            exported[name] = value
    return pairs(exported), pairs({name: value for name, value in environment.items() if name not in exported})


def find_share(options: StepOptions) -> tuple[int, ...]:
    """Return the processors that a step which starts now may use; none in particular where it may use all."""
    with suppress(OSError, ValueError):
        if options.share:
            share = tuple(map(int, options.share.read_text("ascii").split()))
            return () if set(share) >= os.sched_getaffinity(0) else share
    return options.processors


def sandbox_spec(step: PlanStep, site: StepSite, script: Path) -> SandboxSpec:
    """Return the sandbox of a step."""
    exported, _ = split_environment(_environment(step, site))
    return SandboxSpec(
        root=site.root,
        command=("/bin/sh", str(SCRIPT)),
        workdir=PurePosixPath(WORKSPACE),
        environment=exported,
        state=site.state,
        mounts=(
            Mount(site.workspace, PurePosixPath(WORKSPACE), writable=True),
            Mount(script, SCRIPT),
            *(site.machine.tools.mounts if site.machine.tools else ()),
            *((Mount(site.cache, BUILD_CACHE, writable=True),) if site.cache else ()),
        ),
        user=site.user,
        capabilities=site.capabilities,
        emulator=site.machine.emulator,
        network=site.options.has_network(step),
        ids=site.machine.ids,
        limits=site.options.limits,
        processors=find_share(site.options),
        name=site.name,
    )


@dataclass(frozen=True)
class Voice:
    """How a step speaks to the user.

    Attributes:
        tell: receives what a program would print.
        warn: receives what may not be what the user wants.
    """

    tell: Callable[[str], None]
    warn: Callable[[str], None]


def run_native(step: PlanStep, site: StepSite, voice: Voice, watch: Watch | None = None) -> Outcome:
    """Do what melpy does itself for a step.

    What belongs outside of the workspace, elsewhere in the build root, is put there from within the sandbox.

    Raises:
        ExtractError: an archive is damaged or wants to write elsewhere.
        SandboxError: this machine cannot run the sandbox.
    """
    start = time.monotonic()
    targets = NATIVE_STEPS[step.native](step, site, voice)
    outside = [path for path in dict.fromkeys(targets) if not _is_inside(path)]
    if not outside:
        return Outcome(0, usage=Usage(time.monotonic() - start))
    lines = [f"staged={shlex.quote(f'{WORKSPACE}/{_OUTSIDE}')}"]
    for path in map(shlex.quote, outside):
        # Not the directory itself, which may be there already, with a mode of its own.
        lines += [
            f"mkdir -p {path}",
            f'for entry in "$staged"{path}/* "$staged"{path}/.[!.]* "$staged"{path}/..?*; do',
            f'if [ -e "$entry" ] || [ -L "$entry" ]; then cp -a "$entry" {path}/; fi',
            "done",
        ]
    script = "\n".join([*lines, 'rm -rf "$staged"'])
    return run_script(replace(step, native="", script=script, workdir=WORKSPACE), site, voice.tell, watch)


def _fetch(step: PlanStep, site: StepSite, voice: Voice) -> list[str]:
    inputs = dict(step.inputs)
    source = Source.from_inputs(inputs)
    name = file_name(source.uri)
    strip = int(inputs["strip-components"])
    voice.tell(f"{name}: {'verified' if source.sha256 or source.sha512 else 'not verified'}, from {source.uri}")
    verified = site.sources.find_file(source)
    # Always from the verified file: what an earlier step left under its name is not looked at.
    directory = posixpath.normpath(posixpath.join(step.workdir, inputs["directory"]))
    with open_root(site.workspace) as root:
        # As in a script: the working directory is made, `directory` must be there.
        _make_directory(root, step.workdir)
        if not _is_inside(directory):
            _make_directory(root, directory)
        elif inputs["extract"] == "true":
            _check_directory(root, directory)
    if inputs["extract"] == "true":
        below = _parts(directory)
        for text in unpack_archive(verified, site.workspace, below=below, strip=strip, limit=site.options.unpack_limit):
            voice.warn(f"{name}: {text}")
    if inputs["delete"] != "true":
        with (
            open_root(site.workspace) as root,
            open_below(root, _parts(step.workdir)) as workdir,
            closing(TreeWriter(workdir)) as tree,  # an archive may have closed the directory
            verified.open("rb") as content,
        ):
            with tree.create_file([os.fsencode(name)], 0) as stream:
                shutil.copyfileobj(content, stream)
                os.fchmod(stream.fileno(), 0o644)
            tree.finish()
    return [step.workdir, directory]


def _make_directory(root: int, path: str) -> None:
    try:
        with open_below(root, _parts(path), make=True):
            pass
    except OSError as error:
        raise ExtractError(f"cannot be made: {reason_of(error)}", where=path) from None


def _check_directory(root: int, path: str) -> None:
    try:
        with open_below(root, _parts(path)):
            pass
    except OSError as error:
        reason = reason_of(error)
        hint = "a source's directory must be there already; its working-directory is made"
        raise ExtractError(f"cannot be extracted into: {reason}", where=path, hint=hint) from None


def _git_checkout(step: PlanStep, site: StepSite, voice: Voice) -> list[str]:
    inputs = dict(step.inputs)
    source = GitSource.from_inputs(inputs)
    destination = posixpath.normpath(posixpath.join(step.workdir, inputs["destination"]))
    pinned = site.sources.find_commit(source)
    what = f"tag {source.tag}" if source.tag else f"branch {source.branch}" if source.branch else "HEAD"
    verified = "verified" if source.commit else "not verified"
    voice.tell(f"{source.repository}: {what} at commit {pinned.commit}, {verified}")
    # It is made where no step can reach, and moved to where steps may have left anything.
    directory = Path(mkdtemp(dir=site.workspace.parent, prefix="checkout-"))
    try:
        check_out(pinned, directory / "tree", int(site.environment["SOURCE_DATE_EPOCH"]), voice.tell)
        move_tree(directory / "tree", site.workspace, _parts(destination))
    finally:
        remove_tree(directory)
    return [destination]


NATIVE_STEPS: dict[str, Callable[[PlanStep, StepSite, Voice], list[str]]] = {
    "fetch": _fetch,
    git.NATIVE: _git_checkout,
}
"""What melpy does itself, outside the sandbox; each returns the directories that it put something into."""


def _is_inside(path: str) -> bool:
    return path == WORKSPACE or path.startswith(f"{WORKSPACE}/")


def _parts(path: str) -> tuple[str, ...]:
    """Return where a directory of the sandbox is below the workspace; what is outside of it is staged there."""
    if _is_inside(path):
        return PurePosixPath(path).relative_to(WORKSPACE).parts
    return (_OUTSIDE, *PurePosixPath(path).parts[1:])


def _provide_resolver(upper: Path) -> None:
    """Give the root this machine's name servers, for a step that may use the network."""
    resolver = Path("/etc/resolv.conf")
    if not resolver.is_file():
        return
    with (
        open_root(upper) as root,
        open_below(root, ("etc",), make=True) as etc,
        create_file(etc, resolver.name) as stream,
    ):
        stream.write(resolver.read_bytes())
        os.fchmod(stream.fileno(), 0o644)
