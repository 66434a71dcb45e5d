"""One step of a plan: its script in the sandbox, or what melpy does itself for it."""

from __future__ import annotations

import os
import posixpath
import shlex
import shutil
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from melpy.archive.tree import TreeWriter
from melpy.build.workspace import remove_tree
from melpy.codec import replace
from melpy.errors import ExtractError, reason_of
from melpy.inside import RESERVED, create_file, make_directory, move_tree, open_below, open_root
from melpy.plan import git
from melpy.plan.git import GitSource
from melpy.plan.model import WORKSPACE, PlanStep, Source, pairs
from melpy.run import Outcome, Usage
from melpy.sandbox.model import NO_LIMITS, Mount, SandboxSpec
from melpy.sandbox.runner import run_sandbox
from melpy.source.cache import file_name
from melpy.source.checkout import check_out
from melpy.unpack import UNPACK_LIMIT, Limit, unpack_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from melpy.build.watch import Watch
    from melpy.plan.model import Pairs
    from melpy.sandbox.model import Emulator, IdRange, Limits, NativeTools, Root
    from melpy.source.git import Pinned

PATH = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"
_OUTSIDE = ".melpy-outside"
"""Directory of the workspace in which native steps put what belongs elsewhere."""
BUILD_CACHE = PurePosixPath("/var/cache/melange")
"""Where pipelines of languages keep what they download or compile."""
_LONGEST_VARIABLE = (128 << 10) - 1  # bytes of NAME=value and its NUL
_LONGEST_ENVIRONMENT = 1 << 20  # half of what the kernel takes together with all arguments
_SCRIPT = RESERVED / "step"
_DIGITS = 9  # of the number of a line


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
        checkouts: the verified commit of every git source.
        tools: programs of this machine that run in place of foreign ones.
        ids: ids beside the user's own.
        limits: what the steps may use.
        network: whether all of them see the network.
        debug: whether they print each command before they run it.
        cache: what they see as /var/cache/melange, and is kept.
        path: where they look for programs.
        unpack_limit: how much an archive may become.
    """

    root: Root
    workspace: Path
    state: Path
    environment: Mapping[str, str]
    user: tuple[int, int]
    capabilities: tuple[str, ...]
    emulator: Emulator | None
    sources: Mapping[Source, Path]
    checkouts: Mapping[GitSource, Pinned]
    tools: NativeTools | None = None
    ids: IdRange | None = None
    limits: Limits = NO_LIMITS
    network: bool = False
    debug: bool = False
    cache: Path | None = None
    path: str = PATH
    unpack_limit: Limit = UNPACK_LIMIT

    def has_network(self, step: PlanStep) -> bool:
        """Tell whether a step sees the network."""
        return self.network or step.network


_ENDED = "==> step ended in line "
_TELL = "{ MELPY_STATUS=$?; set +x; } 2>/dev/null; [ $MELPY_STATUS = 0 ] || "
_TRAPS = (
    'if [ -n "${BASH_VERSION-}" ]; then trap \'MELPY_LINE=$LINENO MELPY_LAST=$_; : "$MELPY_LAST"\' ERR; '
    f"trap '{_TELL}{{ case $BASH_COMMAND in exit*) MELPY_LINE=;; esac; MELPY_DEPTH=${{#BASH_LINENO[@]}}; "
    "[ $MELPY_DEPTH -lt 2 ] || MELPY_LINE=${BASH_LINENO[MELPY_DEPTH-2]}; "
    f'echo "{_ENDED}${{MELPY_LINE:-0}}" >&2; }}\' EXIT; else trap \'{_TELL}echo "{_ENDED}$LINENO" >&2\' EXIT; fi; '
)
"""How a script that fails tells its line, where its shell knows it: busybox in a trap at the end, bash in one for
errors (within functions: the line of the call), dash not at all. A script's own trap takes the place of these."""


def step_script(step: PlanStep, *, debug: bool = False, preamble: str = "") -> str:
    """Return the whole script of a step: it stops at the first failure and runs in its directory.

    The frame is melange's, so that what works there works here, but for traps that tell where a script failed.

    Args:
        step: the step.
        debug: print each command before it is run.
        preamble: commands before all others.
    """
    return f"{_head(step, preamble, debug=debug)}{step.script}\nexit 0\n"


def _head(step: PlanStep, preamble: str, *, debug: bool = False) -> str:
    directory = shlex.quote(step.workdir)
    enter = f"[ -d {directory} ] || mkdir -p {directory}\ncd {directory}\n"
    return f"{preamble}{_TRAPS}set -{'ex' if debug else 'e'}o pipefail\n{enter}"


def find_ended_line(line: str) -> int | None:
    """Return the line of the whole script at which a step says that it failed; None for any other text."""
    number = line.removeprefix(_ENDED)
    is_number = number != line and number.isascii() and number.isdecimal() and len(number) < _DIGITS
    return int(number) if is_number else None


def find_script_line(step: PlanStep, place: Place, line: int) -> int:
    """Return the line of a step's own script that a line of the whole script is; 0 where it is none."""
    own = line - _head(step, _preamble(step, place)).count("\n")
    return own if 0 < own <= step.script.count("\n") + 1 else 0


def run_script(step: PlanStep, place: Place, on_line: Callable[[str], None], watch: Watch | None = None) -> Outcome:
    """Run a step's script in the sandbox.

    Raises:
        SandboxError: this machine cannot run the sandbox.
    """
    script = prepare_step(step, place)
    return run_sandbox(sandbox_spec(step, place, script), on_line, watch=watch.look if watch else None)


def prepare_step(step: PlanStep, place: Place) -> Path:
    """Write a step's script, and see to the root that it runs in."""
    script = place.state / "step.sh"
    # Long variables come before the frame, so that nobody who asks for a trace gets to read them all.
    text = step_script(step, debug=place.debug, preamble=_preamble(step, place))
    script.write_text(text, encoding="utf-8", errors="surrogateescape")
    try:
        if not place.cache:
            with suppress(ExtractError):  # a step put something else there; nothing is mounted on it
                make_directory(place.root.upper, str(BUILD_CACHE.relative_to("/")))
        if place.has_network(step):
            _provide_resolver(place.root.upper)
    except OSError as error:
        where = str(error.filename or "").removeprefix(str(place.root.upper))
        hint = "an earlier step closed it, or gave it to another user"
        raise ExtractError(
            f"cannot be prepared for the step: {reason_of(error)}", where=where or None, hint=hint
        ) from None
    return script


def _preamble(step: PlanStep, place: Place) -> str:
    """Return what sets the variables that are too long for programs to be given."""
    _, unexported = split_environment(_environment(step, place))
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in unexported)


def _environment(step: PlanStep, place: Place) -> dict[str, str]:
    return {**place.environment, "PATH": place.path, **dict(step.environment)}


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


def sandbox_spec(step: PlanStep, place: Place, script: Path) -> SandboxSpec:
    """Return the sandbox of a step."""
    exported, _ = split_environment(_environment(step, place))
    return SandboxSpec(
        root=place.root,
        command=("/bin/sh", str(_SCRIPT)),
        workdir=PurePosixPath(WORKSPACE),
        environment=exported,
        state=place.state,
        mounts=(
            Mount(place.workspace, PurePosixPath(WORKSPACE), writable=True),
            Mount(script, _SCRIPT),
            *(place.tools.mounts if place.tools else ()),
            *((Mount(place.cache, BUILD_CACHE, writable=True),) if place.cache else ()),
        ),
        user=place.user,
        capabilities=place.capabilities,
        emulator=place.emulator,
        network=place.has_network(step),
        ids=place.ids,
        limits=place.limits,
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


def run_native(step: PlanStep, place: Place, voice: Voice, watch: Watch | None = None) -> Outcome:
    """Do what melpy does itself for a step.

    What belongs outside of the workspace, elsewhere in the build root, is put there from within the sandbox.

    Raises:
        ExtractError: an archive is damaged or wants to write elsewhere.
        SandboxError: this machine cannot run the sandbox.
    """
    start = time.monotonic()
    targets = NATIVE_STEPS[step.native](step, place, voice)
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
    return run_script(replace(step, native="", script=script, workdir=WORKSPACE), place, voice.tell, watch)


def _fetch(step: PlanStep, place: Place, voice: Voice) -> list[str]:
    inputs = dict(step.inputs)
    source = Source.from_inputs(inputs)
    name = file_name(source.uri)
    strip = int(inputs["strip-components"])
    voice.tell(f"{name}: {'verified' if source.sha256 or source.sha512 else 'not verified'}, from {source.uri}")
    verified = place.sources[source]
    # Always from the verified file: what an earlier step left under its name is not looked at.
    directory = posixpath.normpath(posixpath.join(step.workdir, inputs["directory"]))
    with open_root(place.workspace) as root:
        # As in a script: the working directory is made, `directory` must be there.
        _make_directory(root, step.workdir)
        if not _is_inside(directory):
            _make_directory(root, directory)
        elif inputs["extract"] == "true":
            _check_directory(root, directory)
    if inputs["extract"] == "true":
        below = _parts(directory)
        for text in unpack_archive(verified, place.workspace, below=below, strip=strip, limit=place.unpack_limit):
            voice.warn(f"{name}: {text}")
    if inputs["delete"] != "true":
        with (
            open_root(place.workspace) as root,
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


def _git_checkout(step: PlanStep, place: Place, voice: Voice) -> list[str]:
    inputs = dict(step.inputs)
    source = GitSource.from_inputs(inputs)
    destination = posixpath.normpath(posixpath.join(step.workdir, inputs["destination"]))
    pinned = place.checkouts[source]
    what = f"tag {source.tag}" if source.tag else f"branch {source.branch}" if source.branch else "HEAD"
    verified = "verified" if source.commit else "not verified"
    voice.tell(f"{source.repository}: {what} at commit {pinned.commit}, {verified}")
    # It is made where no step can reach, and moved to where steps may have left anything.
    directory = Path(mkdtemp(dir=place.workspace.parent, prefix="checkout-"))
    try:
        check_out(pinned, directory / "tree", int(place.environment["SOURCE_DATE_EPOCH"]), voice.tell)
        move_tree(directory / "tree", place.workspace, _parts(destination))
    finally:
        remove_tree(directory)
    return [destination]


NATIVE_STEPS: dict[str, Callable[[PlanStep, Place, Voice], list[str]]] = {
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
